use std::future::pending;
use std::os::unix::process::ExitStatusExt;
use std::pin::pin;
use std::process::ExitStatus;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::FusedFuture;
use rustix::process::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::ChildStdin;
use tokio::sync::Notify;
use tokio::time::{sleep_until, timeout};

use super::job::Job;
use super::memory;
use super::output::{Captured, Keep, Text};
use super::process::Processes;
use super::sandbox::{Started, explain};
use super::session;
use crate::kernel::Deadline;

/// Longest wait for the rest of the output once all processes are gone.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// By itself, or by a signal: 128 and its number.
    Exit(i32),
    /// It was stopped: its time had passed.
    Late,
    /// It was stopped: it used too much memory.
    Memory,
    /// It was stopped: it wrote too much.
    Flood,
}

/// What came of a program.
pub(super) struct Outcome {
    pub(super) end: End,
    pub(super) stdout: Text,
    pub(super) stderr: Text,
}

/// Sees a program in its sandbox to its end. The error tells why it never began.
pub(super) async fn sandboxed(started: Started, job: &Job<'_>, deadline: Deadline) -> Result<Outcome, String> {
    let Started { mut processes, first, mut status } = started;
    let outcome = run(&mut processes, first, job, deadline, true).await;
    let mut report = String::new();
    let reported = timeout(LAST_WORDS, (&mut status).take(1000).read_to_string(&mut report)).await.is_ok();
    // An exit code is reported only for a program that was started; else it is bubblewrap's own.
    if matches!(outcome.end, End::Exit(_)) && reported && !report.contains("exit-code") {
        return Err(explain(&outcome.stderr.text));
    }
    Ok(outcome)
}

/// Sees a program without walls to its end.
pub(super) async fn plain(processes: &mut Processes, first: Pid, job: &Job<'_>, deadline: Deadline) -> Outcome {
    run(processes, first, job, deadline, false).await
}

async fn run(processes: &mut Processes, first: Pid, job: &Job<'_>, deadline: Deadline, is_sandboxed: bool) -> Outcome {
    let flood = Notify::new();
    let (mut stdout, mut stderr) = (Captured::new(Keep::First), Captured::new(Keep::Last));
    let child = &mut processes.child;
    let (stdin, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let end = {
        let streams = async {
            tokio::join!(feed(stdin, job.stdin), stdout.read(out, &flood), stderr.read(err, &flood));
        };
        let mut streams = pin!(streams.fuse());
        let stopped = tokio::select! {
            () = processes.ended() => None,
            () = memory::exceeded(first, job.limits.memory, is_sandboxed) => Some(End::Memory),
            () = flood.notified() => Some(End::Flood),
            () = sleep_until(deadline.instant()) => Some(End::Late),
            () = async { streams.as_mut().await; pending().await } => None,
            () = async { session::yield_to_others(first).await; pending().await }, if is_sandboxed => None,
        };
        let status = processes.end().await;
        if !streams.is_terminated() {
            drop(timeout(LAST_WORDS, streams).await);
        }
        stopped.unwrap_or(End::Exit(status.map_or(-1, code)))
    };
    Outcome { end, stdout: stdout.into_text(), stderr: stderr.into_text() }
}

/// Gives a program its input. One that does not read it all is free to do so.
async fn feed(stdin: Option<ChildStdin>, input: &str) {
    if let Some(mut stdin) = stdin {
        drop(stdin.write_all(input.as_bytes()).await);
    }
}

fn code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}
