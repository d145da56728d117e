use std::os::fd::{AsFd, OwnedFd};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, kill_process_group, pidfd_open, pidfd_send_signal, waitpid,
};
use tempfile::TempDir;
use tokio::io::unix::AsyncFd;
use tokio::io::{BufReader, Interest};
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::sandbox_uid::SandboxUid;

/// Longest wait for processes that were killed to be gone.
const KILL_TIMEOUT: Duration = Duration::from_secs(2);

/// A program that was started.
pub(super) struct RunningProgram {
    pub(super) processes: ProcessTree,
    /// The first process of the program.
    pub(super) first: Pid,
    pub(super) isolation: Isolation,
}

/// What surrounds a program.
pub(super) enum Isolation {
    /// A sandbox, and what bubblewrap goes on to report.
    Sandbox(BufReader<Receiver>),
    /// The folder that it runs in; there are no walls.
    Folder(TempDir),
}

/// A program with all its processes. Dropping it kills them.
#[derive(Debug)]
pub(super) struct ProcessTree {
    pub(super) child: Child,
    leader: AsyncFd<OwnedFd>,
    /// The first process of the sandbox: the kernel kills all others with it.
    first: Option<(Pid, AsyncFd<OwnedFd>)>,
}

impl ProcessTree {
    /// Starts a command in a process group of its own, its streams on pipes. Nothing of the server but what the command names is handed down.
    pub(super) fn start(mut command: Command) -> std::io::Result<Self> {
        // What the server itself inherited may still be open to its children.
        close_fds::set_fds_cloexec_threadsafe(3, &[]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.process_group(0).kill_on_drop(true).spawn()?;
        let leader = pidfd(id(&child).ok_or(std::io::ErrorKind::NotFound)?)?;
        Ok(Self { child, leader, first: None })
    }

    /// Makes the program's streams the account's own.
    pub(super) fn chown_streams(&self, uid: SandboxUid) {
        let Child { stdin, stdout, stderr, .. } = &self.child;
        stdin.iter().for_each(|stream| uid.chown_pipe(stream.as_fd()));
        stdout.iter().for_each(|stream| uid.chown_pipe(stream.as_fd()));
        stderr.iter().for_each(|stream| uid.chown_pipe(stream.as_fd()));
    }

    /// The number of the process that was started.
    pub(super) fn leader(&self) -> Option<Pid> {
        id(&self.child)
    }

    /// Tells of the sandbox's first process.
    pub(super) fn set_first(&mut self, first: Pid) -> std::io::Result<()> {
        self.first = Some((first, pidfd(first)?));
        Ok(())
    }

    /// Waits until the process that was started has ended. It is not taken note of yet, so that its number stays its own.
    pub(super) async fn ended(&self) {
        drop(self.leader.readable().await);
    }

    fn kill(&self) {
        // Either may have ended by itself. A group keeps its number as long as its leader was not waited for.
        if let Some(leader) = self.leader() {
            kill_process_group(leader, Signal::KILL).ok();
        }
        if let Some((_, first)) = &self.first {
            pidfd_send_signal(first.get_ref(), Signal::KILL).ok();
        }
    }

    /// Kills what is left and waits until it is gone; the status is that of the process that was started.
    pub(super) async fn end(&mut self) -> Option<ExitStatus> {
        self.kill();
        let status = timeout(KILL_TIMEOUT, self.child.wait()).await;
        if let Some((number, first)) = self.first.take() {
            wait_gone(number, first).await;
        }
        status.ok().and_then(Result::ok)
    }
}

/// Waits for the first process of a sandbox to have ended, and reaps it if the server is what orphans go to, as in a container.
async fn wait_gone(number: Pid, first: AsyncFd<OwnedFd>) {
    if timeout(KILL_TIMEOUT, first.readable()).await.is_err() {
        tracing::warn!("the processes of a sandbox were killed and are still there");
    }
    waitpid(Some(number), WaitOptions::NOHANG).ok();
}

fn id(child: &Child) -> Option<Pid> {
    Pid::from_raw(i32::try_from(child.id()?).ok()?)
}

#[expect(deprecated, reason = "an owned descriptor stays open for as long as it is registered")]
fn pidfd(process: Pid) -> std::io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(pidfd_open(process, PidfdFlags::NONBLOCK)?, Interest::READABLE)
}

impl Drop for ProcessTree {
    fn drop(&mut self) {
        self.kill();
        if let (Some((number, first)), Ok(runtime)) = (self.first.take(), Handle::try_current()) {
            drop(runtime.spawn(wait_gone(number, first)));
        }
    }
}
