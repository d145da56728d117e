use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::LogRing;
use crate::kernel::supervise_thread;
use crate::settings::LogFormat;

/// How long the end of the process waits for those who read standard error.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);
/// Pause before another attempt to write to what is full and does not say when it no longer is.
const WRITE_BACKOFF: Duration = Duration::from_millis(10);

/// Writes the log to standard error, on a thread of its own: who logs must not wait for who reads.
pub(super) fn start(ring: &'static LogRing, format: LogFormat) {
    let colored = io::stderr().is_terminal();
    let mut unreported = 0;
    let mut write = move || {
        loop {
            let (lines, missed) = ring.next_batch();
            unreported += missed;
            let text = lines.iter().map(|line| match format {
                LogFormat::Text => line.to_text(colored),
                LogFormat::Json => line.to_json(),
            });
            let written = write_all(&mut io::stderr(), text.collect::<String>().as_bytes());
            let failed = if written.is_ok() { 0 } else { lines.len() as u64 };
            ring.mark_written(failed);
            unreported += failed;
            if unreported > 0 && failed == 0 {
                tracing::warn!(lines = unreported, "nobody has read the log for a while; older lines are lost");
                unreported = 0;
            }
        }
    };
    // Without a thread there is no log, nor much else.
    let run = move || supervise_thread("log_writer", &mut write);
    drop(thread::Builder::new().name("log".to_owned()).spawn(run));
}

/// Writes all of it, to a pipe that does not wait as well.
fn write_all(to: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(WRITE_BACKOFF),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes what the log still holds when it is dropped, unless nobody reads it.
#[must_use = "the log is written to its end when this is dropped"]
#[derive(Debug)]
pub struct FlushGuard(pub(super) &'static LogRing);

impl Drop for FlushGuard {
    fn drop(&mut self) {
        self.0.flush(FLUSH_TIMEOUT);
    }
}

/// Writes `text` to standard error, unless nobody reads it.
pub(super) fn write_stderr(text: String) {
    let (done, wait) = mpsc::channel::<()>();
    drop(thread::Builder::new().spawn(move || {
        drop(write_all(&mut io::stderr(), text.as_bytes()));
        drop(done);
    }));
    // Ends with an error as soon as it is written.
    let _written = wait.recv_timeout(FLUSH_TIMEOUT);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes one byte at a time, and every other time none.
    struct Reluctant(Vec<u8>, bool);

    impl Write for Reluctant {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(ErrorKind::WouldBlock.into());
            }
            self.0.extend(bytes.first());
            Ok(1)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_pipe_that_does_not_wait_gets_whole_lines() {
        let mut to = Reluctant(Vec::new(), false);
        write_all(&mut to, b"a line\n").unwrap();
        assert_eq!(to.0, b"a line\n");
    }
}
