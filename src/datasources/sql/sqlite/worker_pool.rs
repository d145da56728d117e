use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::Signal;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::worker::{MAX_MEMORY, WorkerRequest};
use crate::datasources::rows::MAX_RESULT_BYTES;
use crate::datasources::source::{Source, source_error, source_label};
use crate::datasources::sql::database_pool::{IDLE_TIMEOUT, MAX_LIFETIME};
use crate::datasources::sql::engine::statement_timeout;
use crate::datasources::{DataError, Outage};
use crate::kernel::{BackgroundTask, Deadline, JsonReader};

/// Size of a worker's reply: JSON writes some bytes as six.
const MAX_REPLY_BYTES: u64 = 8 * MAX_RESULT_BYTES as u64;

/// Values of the largest result: a cell of empty text under a name of one letter weighs 7 bytes, and is two of them.
const REPLY_READER: JsonReader = JsonReader::new(MAX_RESULT_BYTES / 3);

/// How long a process that says nothing any more may take to end.
const EXIT_TIMEOUT: Duration = Duration::from_secs(1);

/// Workers on all files at once: each may take [`MAX_MEMORY`].
pub(crate) const MAX_WORKERS: usize = 16;

/// The processes that read one file, each of which works on one request at a time. Those without work are kept for a while.
pub(crate) struct WorkerPool {
    /// The source as it was when the pool was made.
    source: Source,
    /// This program's own file.
    program: PathBuf,
    file: PathBuf,
    /// Shared by the workers on all files, [`MAX_WORKERS`] of them.
    permits: Arc<Semaphore>,
    idle: Idle,
    _sweeper: BackgroundTask,
}

type Idle = Arc<Mutex<Vec<Worker>>>;

/// A process that reads the file. Dropping it kills the process.
struct Worker {
    process: Child,
    jobs: ChildStdin,
    answers: BufReader<ChildStdout>,
    started: Instant,
    idle_since: Instant,
}

impl WorkerPool {
    pub(super) fn new(source: Source, program: PathBuf, file: PathBuf, permits: Arc<Semaphore>) -> Self {
        let idle = Idle::default();
        let swept = idle.clone();
        let sweeper = BackgroundTask::spawn("sqlite_readers", move || close_idle(swept.clone()));
        Self { source, program, file, permits, idle, _sweeper: sweeper }
    }

    /// Has a worker do this. It is killed unless it is done with it in time.
    pub(crate) async fn request<T: DeserializeOwned + Send + 'static>(
        &self,
        request: &WorkerRequest,
        deadline: Deadline,
    ) -> Result<T, DataError> {
        let failed = |what: String| source_error(&self.source, what);
        let request = serde_json::to_vec(request).map_err(|error| failed(error.to_string()))?;
        // That there is none left says nothing of the source.
        let permit = timeout(statement_timeout(deadline), self.permits.acquire()).await.ok().and_then(Result::ok);
        let what = format!("{MAX_WORKERS} queries of SQLite files are running, and no more may");
        let _permit = permit.ok_or_else(|| self.timed_out(&what))?;
        let worker = self.take().map_err(|error| failed(format!("its file can't be read: {error}")))?;
        let Ok((worker, reply)) = timeout(statement_timeout(deadline), worker.work(request)).await else {
            return Err(self.timed_out("the query was stopped: it did not finish in time"));
        };
        let Some(reply) = reply else { return Err(failed(worker.exit_reason().await)) };
        self.put_back(worker);
        // A long one takes a while to parse.
        let reply = tokio::task::spawn_blocking(move || REPLY_READER.read::<Result<T, String>>(&reply));
        let reply = reply.await.map_err(|error| failed(error.to_string()))?;
        reply.map_err(|error| failed(format!("its reader's answer is odd: {error}")))?.map_err(failed)
    }

    fn timed_out(&self, what: &str) -> DataError {
        DataError::timed_out(format!("{}: {what}", source_label(&self.source)), Outage::No)
    }

    fn take(&self) -> io::Result<Worker> {
        let mut idle = self.idle.lock();
        while let Some(mut worker) = idle.pop() {
            // Whatever else may kill a process.
            if let Ok(None) = worker.process.try_wait() {
                return Ok(worker);
            }
        }
        drop(idle);
        Worker::start(self)
    }

    fn put_back(&self, worker: Worker) {
        if worker.started.elapsed() < MAX_LIFETIME {
            let worker = Worker { idle_since: Instant::now(), ..worker };
            self.idle.lock().push(worker);
        }
    }
}

/// Ends those that have had nothing to do for long.
async fn close_idle(idle: Idle) {
    loop {
        tokio::time::sleep(IDLE_TIMEOUT).await;
        idle.lock().retain(|worker| worker.idle_since.elapsed() < IDLE_TIMEOUT);
    }
}

impl Worker {
    fn start(pool: &WorkerPool) -> io::Result<Self> {
        let mut process = Command::new(&pool.program)
            .arg0("orchestrator-studio")
            .arg("read-sqlite")
            .arg(&pool.file)
            .env_clear()
            // Where SQLite puts what it has no room for.
            .env("TMPDIR", std::env::temp_dir())
            // The signal that stops the server at a terminal is not for its readers: queries are finished.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        match (process.stdin.take(), process.stdout.take()) {
            (Some(jobs), Some(answers)) => {
                let now = Instant::now();
                Ok(Self { process, jobs, answers: BufReader::new(answers), started: now, idle_since: now })
            }
            _ => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Itself and the line that it answers; none if it has ended instead.
    async fn work(mut self, mut job: Vec<u8>) -> (Self, Option<Vec<u8>>) {
        job.push(b'\n');
        let mut answer = Vec::new();
        let done = async {
            self.jobs.write_all(&job).await?;
            (&mut self.answers).take(MAX_REPLY_BYTES).read_until(b'\n', &mut answer).await
        };
        let done = done.await.is_ok() && answer.ends_with(b"\n");
        (self, done.then_some(answer))
    }

    /// Why it has ended.
    async fn exit_reason(mut self) -> String {
        drop(self.jobs);
        match timeout(EXIT_TIMEOUT, self.process.wait()).await {
            Ok(Ok(status)) => describe_exit(status),
            Ok(Err(error)) => format!("the query was stopped: {error}"),
            Err(_) => "the query was stopped: it answered too much".to_owned(),
        }
    }
}

/// Why a reader has ended that nobody here has killed.
fn describe_exit(status: ExitStatus) -> String {
    let is = |signal: Signal| status.signal() == Some(signal.as_raw());
    let why = if is(Signal::ABORT) || is(Signal::XFSZ) {
        let memory = MAX_MEMORY / 1_000_000;
        format!("it needs more than {memory} MB of memory, or more room for temporary files than there is")
    } else if is(Signal::KILL) {
        "its reader was killed, as the system does when memory runs out".to_owned()
    } else {
        "its reader has ended".to_owned()
    };
    format!("the query was stopped: {why} ({status})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_death_is_told_as_what_it_was() {
        let (abort, file_size, kill, terminate, exit_1) = (6, 25, 9, 15, 1 << 8);
        for (status, said) in [
            (abort, "needs more than 400 MB of memory, or more room for temporary files than there is (signal: 6"),
            (file_size, "needs more than 400 MB of memory, or more room for temporary files than there is (signal: 25"),
            (kill, "its reader was killed, as the system does when memory runs out (signal: 9"),
            (terminate, "its reader has ended (signal: 15"),
            (exit_1, "its reader has ended (exit status: 1)"),
        ] {
            let told = describe_exit(ExitStatus::from_raw(status));
            assert!(told.contains(said), "{told}");
        }
    }
}
