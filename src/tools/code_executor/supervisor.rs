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
use tokio::task::spawn_blocking;
use tokio::time::{sleep_until, timeout};

use super::autogroup;
use super::captured::{CapturedStream, CapturedText, Keep};
use super::invocation::Invocation;
use super::memory_watchdog;
use super::process_tree::{Isolation, ProcessTree, RunningProgram};
use super::sandbox::explain;

/// Longest wait for the rest of the output once all processes are gone.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Termination {
    /// By itself, or by a signal: 128 and its number.
    Exit(i32),
    /// It was stopped: its time had passed.
    Timeout,
    /// It was stopped: it used too much memory.
    MemoryLimit,
    /// It was stopped: it wrote too much.
    OutputLimit,
}

/// What came of a program.
pub(super) struct ProgramResult {
    pub(super) end: Termination,
    pub(super) stdout: CapturedText,
    pub(super) stderr: CapturedText,
}

/// Sees a program to its end. The error tells why one in a sandbox never began.
pub(super) async fn supervise(program: RunningProgram, invocation: &Invocation<'_>) -> Result<ProgramResult, String> {
    let RunningProgram { mut processes, first, isolation } = program;
    let result = run(&mut processes, first, invocation).await;
    match isolation {
        Isolation::Sandbox(mut status) => {
            let mut report = String::new();
            let reported = timeout(DRAIN_TIMEOUT, (&mut status).take(1000).read_to_string(&mut report)).await.is_ok();
            // An exit code is reported only for a program that was started; else it is bubblewrap's own.
            if matches!(result.end, Termination::Exit(_)) && reported && !report.contains("exit-code") {
                return Err(explain(&result.stderr.text));
            }
        }
        // It may hold a lot; nobody needs to wait for the end of it.
        Isolation::Folder(folder) => drop(spawn_blocking(move || drop(folder))),
    }
    Ok(result)
}

async fn run(processes: &mut ProcessTree, first: Pid, invocation: &Invocation<'_>) -> ProgramResult {
    let (limits, is_sandboxed) = (invocation.limits, invocation.is_sandboxed);
    let flood = Notify::new();
    let (mut stdout, mut stderr) = (CapturedStream::new(Keep::Head), CapturedStream::new(Keep::Tail));
    let child = &mut processes.child;
    let (stdin, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let end = {
        let streams = async {
            tokio::join!(write_stdin(stdin, invocation.stdin), stdout.read(out, &flood), stderr.read(err, &flood));
        };
        let mut streams = pin!(streams.fuse());
        let stopped = tokio::select! {
            () = processes.ended() => None,
            () = memory_watchdog::limit_exceeded(first, limits.memory, is_sandboxed) => Some(Termination::MemoryLimit),
            () = flood.notified() => Some(Termination::OutputLimit),
            () = sleep_until(limits.deadline.instant()) => Some(Termination::Timeout),
            () = async { streams.as_mut().await; pending().await } => None,
            () = async { autogroup::deprioritize(first).await; pending().await }, if is_sandboxed => None,
        };
        let status = processes.end().await;
        if !streams.is_terminated() {
            drop(timeout(DRAIN_TIMEOUT, streams).await);
        }
        stopped.unwrap_or(Termination::Exit(status.map_or(-1, exit_code)))
    };
    ProgramResult { end, stdout: stdout.into_text(), stderr: stderr.into_text() }
}

/// Gives a program its input. One that does not read it all is free to do so.
async fn write_stdin(stdin: Option<ChildStdin>, input: &str) {
    if let Some(mut stdin) = stdin {
        drop(stdin.write_all(input.as_bytes()).await);
    }
}

fn exit_code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}
