use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rmcp::RoleClient;
use rmcp::transport::async_rw::AsyncRwTransport;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process_group, waitid};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::failure::{Failure, Trouble};
use crate::kernel::{JsonError, JsonReader, Redaction, Secret, ValueCounter};
use crate::settings::Environment;

/// Bytes that a message, which is one line, may have.
const LONGEST_LINE: usize = 4_000_000;
/// Bytes of a line of its log that are kept.
const LONGEST_LOG_LINE: usize = 4_000;
/// Characters of it that are quoted.
const QUOTED: usize = 400;
/// What a process gets to end by itself once its input is closed.
const GRACE: Duration = Duration::from_millis(1000);
/// What a process gets to end after it has closed its output, and then its log to arrive.
const LAST_WORDS_WAIT: Duration = Duration::from_millis(300);
/// Variables that a program needs to find its way. It sees no others but those of the tool's `env`: ours hold credentials.
const PASSED_ON: [&str; 9] = ["PATH", "HOME", "USER", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR", "TERM"];

/// Where programs are without a `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The messages of a process.
pub(super) type Messages = AsyncRwTransport<RoleClient, Lines<ChildStdout>, ChildStdin>;

/// An MCP server that runs as a process in a group of its own. Dropping it kills the group.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    log: JoinHandle<()>,
    last_words: Arc<Mutex<String>>,
}

impl Process {
    pub(super) fn start(
        command: &str,
        args: &[String],
        env: &[(String, Secret)],
        environment: &Environment,
        redaction: Redaction,
        reader: JsonReader,
        trouble: Trouble,
    ) -> Result<(Self, Messages), Failure> {
        let passed_on = PASSED_ON.iter().filter_map(|name| Some((*name, environment.get(name)?)));
        // Found by our own PATH: what a tool sets has no say in which program it is that the operator has allowed.
        let program = find(command, environment.get("PATH").unwrap_or(DEFAULT_PATH)).ok_or_else(|| {
            Failure::Other(format!("could not be started: '{command}' is no program on this server's PATH"))
        })?;
        let mut child = Command::new(program)
            .args(args)
            .env_clear()
            .envs(passed_on)
            .envs(env.iter().map(|(name, value)| (name, value.expose())))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| Failure::Other(format!("could not be started: '{command}': {error}")))?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(Failure::other("could not be started: it has no pipes"));
        };
        let last_words = Arc::default();
        let log = tokio::spawn(read_log(stderr, Arc::clone(&last_words), redaction));
        let lines = Lines { inner: stdout, line: 0, values: ValueCounter::default(), reader, trouble };
        let messages = AsyncRwTransport::new_client(lines, stdin).with_max_line_length(LONGEST_LINE);
        Ok((Self { child, log, last_words }, messages))
    }

    /// How a process that has closed the connection ended, if it has, and its last words.
    pub(super) async fn obituary(&mut self) -> Option<(String, String)> {
        let status = self.ends_within(LAST_WORDS_WAIT).await?;
        // Its log ends with it, unless it left children.
        drop(timeout(LAST_WORDS_WAIT, &mut self.log).await);
        let how = match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => format!("ended with exit status {code}"),
            (None, Some(signal)) => format!("was ended by signal {signal}"),
            (None, None) => "ended".to_owned(),
        };
        Some((how, self.last_words.lock().unwrap_or_else(PoisonError::into_inner).clone()))
    }

    /// Waits a moment for its end, now that its input is closed, then kills what is left of it and its children.
    pub(super) async fn end(mut self) {
        self.ends_within(GRACE).await;
        self.kill();
        if let Err(error) = self.child.wait().await {
            tracing::warn!(%error, "a process of an MCP server could not be waited for");
        }
    }

    /// How it ended, if it does. It stays a zombie, so that the number of its group can't become that of another.
    async fn ends_within(&self, limit: Duration) -> Option<WaitIdStatus> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        let until = Instant::now() + limit;
        loop {
            let ended = waitid(WaitId::Pid(self.group()?), options).ok().flatten();
            if ended.is_some() || Instant::now() >= until {
                return ended;
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    fn group(&self) -> Option<Pid> {
        // `None` once it has been waited for.
        Pid::from_raw(i32::try_from(self.child.id()?).ok()?)
    }

    fn kill(&self) {
        if let Some(group) = self.group()
            && let Err(error) = kill_process_group(group, Signal::KILL)
        {
            tracing::debug!(%error, "the processes of an MCP server could not be killed");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        self.log.abort();
    }
}

/// The file of a command: the first of its name on `path`, unless it is a path itself.
fn find(command: &str, path: &str) -> Option<PathBuf> {
    if command.contains('/') {
        return Some(PathBuf::from(command));
    }
    let is_program =
        |file: &PathBuf| file.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0);
    // A relative folder is another one wherever the server is started.
    path.split(':')
        .map(Path::new)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(command))
        .find(is_program)
}

/// Keeps the last line of a process's log, and shows all of it to whoever debugs.
async fn read_log(mut stderr: ChildStderr, last_words: Arc<Mutex<String>>, redaction: Redaction) {
    let mut line = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(count @ 1..) = stderr.read(&mut chunk).await {
        for byte in chunk.get(..count).unwrap_or_default() {
            if *byte != b'\n' {
                if line.len() < LONGEST_LOG_LINE {
                    line.push(*byte);
                }
                continue;
            }
            tell(&line, &last_words, &redaction);
            line.clear();
        }
    }
    tell(&line, &last_words, &redaction);
}

fn tell(line: &[u8], last_words: &Mutex<String>, redaction: &Redaction) {
    let text = redaction.text(String::from_utf8_lossy(line).trim());
    if !text.is_empty() {
        tracing::debug!(untrusted = %text, "log of an MCP server");
        *last_words.lock().unwrap_or_else(PoisonError::into_inner) = text.chars().take(QUOTED).collect();
    }
}

/// Reads from a process until it writes a line that is too large.
pub(super) struct Lines<R> {
    inner: R,
    line: usize,
    values: ValueCounter,
    reader: JsonReader,
    trouble: Trouble,
}

impl<R> Lines<R> {
    /// What is wrong with the lines that have come so far, of which these bytes are the latest.
    fn problem(&mut self, new: &[u8]) -> Option<String> {
        for (nth, piece) in new.split(|byte| *byte == b'\n').enumerate() {
            if nth > 0 {
                (self.line, self.values) = (0, ValueCounter::default());
            }
            self.line += piece.len();
            self.values.feed(piece);
            if self.line > LONGEST_LINE {
                return Some(format!("wrote a line of more than {LONGEST_LINE} bytes"));
            }
            if let Err(JsonError::TooManyValues(most)) = self.reader.check(self.values) {
                return Some(format!("wrote a line of more than {most} values (MAX_REPLY_VALUES)"));
            }
        }
        None
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Lines<R> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
        let new = buf.filled().get(before..).unwrap_or_default();
        if let Some(problem) = this.problem(new) {
            this.trouble.note(Failure::Other(problem.clone()));
            return Poll::Ready(Err(std::io::Error::other(problem)));
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_the_first_program_of_its_name_on_the_path() {
        let folder = tempfile::TempDir::new().unwrap();
        let at = |place: &str| folder.path().join(place);
        for place in ["a", "b", "c"] {
            std::fs::create_dir(at(place)).unwrap();
            std::fs::write(at(place).join("run"), "").unwrap();
            let mode = if place == "a" { 0o644 } else { 0o755 };
            std::fs::set_permissions(at(place).join("run"), PermissionsExt::from_mode(mode)).unwrap();
        }
        let path = format!(".:{}:{}:{}", at("a").display(), at("b").display(), at("c").display());
        assert_eq!(find("run", &path), Some(at("b").join("run")));
        assert_eq!((find("walk", &path), find("run", "tests")), (None, None));
        assert_eq!(find("/bin/run", &path), Some(PathBuf::from("/bin/run")));
    }
}
