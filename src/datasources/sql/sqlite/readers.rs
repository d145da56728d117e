use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::Job;
use super::reader::MOST_MEMORY;
use crate::datasources::client::{Source, who};
use crate::datasources::rows::MOST_BYTES;
use crate::datasources::sql::pools::{IDLE, LIFETIME};
use crate::datasources::sql::statement_limit;
use crate::datasources::{DataError, Outage};
use crate::kernel::{Deadline, JsonReader};

/// Longest answer taken from a reader: JSON writes some bytes as six.
const MOST_ANSWER: u64 = 8 * MOST_BYTES as u64;

/// Reads as many values as the largest result has.
const ANSWER: JsonReader = JsonReader::new(MOST_BYTES / 5);

/// How long a process that says nothing any more may take to end.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The processes that read one file, each of which works on one job at a time. Those without work are kept for a while.
pub(in crate::datasources::sql) struct Readers {
    /// This program's own file.
    program: PathBuf,
    file: PathBuf,
    idle: Idle,
    _sweeper: AbortOnDropHandle<()>,
}

type Idle = Arc<Mutex<Vec<Reader>>>;

/// A process that reads the file. Dropping it kills the process.
struct Reader {
    process: Child,
    jobs: ChildStdin,
    answers: BufReader<ChildStdout>,
    started: Instant,
    idle_since: Instant,
}

impl Readers {
    pub(super) fn new(program: PathBuf, file: PathBuf) -> Self {
        let idle = Idle::default();
        let sweeper = AbortOnDropHandle::new(tokio::spawn(sweep(idle.clone())));
        Self { program, file, idle, _sweeper: sweeper }
    }

    /// Has a reader do this. It is killed unless it is done with it in time.
    pub(super) async fn ask<T: DeserializeOwned + Send + 'static>(
        &self,
        source: &Source,
        job: &Job,
        deadline: Deadline,
    ) -> Result<T, DataError> {
        let failed = |what: String| DataError::failed(format!("{}: {what}", who(source)));
        let job = serde_json::to_vec(job).map_err(|error| failed(error.to_string()))?;
        let reader = self.take().map_err(|error| failed(format!("its file can't be read: {error}")))?;
        let Ok((reader, answer)) = timeout(statement_limit(deadline), reader.work(job)).await else {
            let text = format!("{}: the query was stopped: it did not finish in time", who(source));
            return Err(DataError::Failed { text, timed_out: true, outage: Outage::No });
        };
        let Some(answer) = answer else { return Err(failed(reader.last_words().await)) };
        self.put_back(reader);
        // A long one takes a while to parse.
        let answer = tokio::task::spawn_blocking(move || ANSWER.read::<Result<T, String>>(&answer));
        let answer = answer.await.map_err(|error| failed(error.to_string()))?;
        answer.map_err(|error| failed(format!("its reader's answer is odd: {error}")))?.map_err(failed)
    }

    fn take(&self) -> io::Result<Reader> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(mut reader) = idle.pop() {
            // Whatever else may kill a process.
            if let Ok(None) = reader.process.try_wait() {
                return Ok(reader);
            }
        }
        drop(idle);
        Reader::start(self)
    }

    fn put_back(&self, reader: Reader) {
        if reader.started.elapsed() < LIFETIME {
            let reader = Reader { idle_since: Instant::now(), ..reader };
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
        }
    }
}

/// Ends those that have had nothing to do for long.
async fn sweep(idle: Idle) {
    loop {
        tokio::time::sleep(IDLE).await;
        idle.lock().unwrap_or_else(PoisonError::into_inner).retain(|reader| reader.idle_since.elapsed() < IDLE);
    }
}

impl Reader {
    fn start(readers: &Readers) -> io::Result<Self> {
        let mut process = Command::new(&readers.program)
            .arg0("orchestrator-studio")
            .arg("read-sqlite")
            .arg(&readers.file)
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
            (&mut self.answers).take(MOST_ANSWER).read_until(b'\n', &mut answer).await
        };
        let done = done.await.is_ok() && answer.ends_with(b"\n");
        (self, done.then_some(answer))
    }

    /// Why it has ended.
    async fn last_words(mut self) -> String {
        drop(self.jobs);
        let ended = match timeout(LAST_WORDS, self.process.wait()).await {
            Ok(Ok(status)) => status.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it answered too much".to_owned(),
        };
        let memory = MOST_MEMORY / 1_000_000;
        format!(
            "the query was stopped: it needs more than {memory} MB of memory, or more room for temporary files than there is \
             ({ended})"
        )
    }
}
