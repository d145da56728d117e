use std::io;
use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Resource, Rlimit, prlimit, setpriority_process};
use tokio::process::Command;

use super::account::Account;
use crate::kernel::Deadline;
use crate::settings::{CodeOptions, Language};

const MEGABYTE: u64 = 1 << 20;
/// Processes and threads that a sandbox may have at once.
const PROCESSES: u64 = 64;
/// Files that a process may have open.
const OPEN_FILES: u64 = 256;
/// Largest file, and what a sandbox's `/tmp` holds in all, whatever the limit of memory.
const MOST_FILE: u64 = 256 * MEGABYTE;
/// What Node.js needs besides what a program uses.
const OVERHEAD_OF_NODE: u64 = 64 * MEGABYTE;
/// Below the server, so that it stays responsive while programs are busy.
const NICENESS: i32 = 10;

/// What a program may use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes of memory of all its processes together, the files in `/tmp` included.
    pub(super) memory: u64,
    /// Bytes of a file, and of all files in `/tmp`.
    pub(super) files: u64,
    /// Seconds of CPU time of one process.
    pub(super) cpu_seconds: u64,
    data: u64,
}

impl Limits {
    pub(super) fn of(options: &CodeOptions, language: Language, deadline: Deadline) -> Self {
        let overhead = if language == Language::JavaScript { OVERHEAD_OF_NODE } else { 0 };
        Self {
            memory: options.max_memory,
            files: (options.max_memory / 2).min(MOST_FILE),
            cpu_seconds: deadline.remaining().as_secs() + 1,
            data: options.max_memory + overhead,
        }
    }

    pub(super) fn megabytes(&self) -> u64 {
        self.memory / MEGABYTE
    }

    /// Sets what the kernel holds for each process of a sandbox; its children inherit it.
    pub(super) async fn impose(&self, first: Pid, account: Account, tool: &Path) -> io::Result<()> {
        let mut limits = self.per_process();
        // Counts the processes of the sandbox alone: it has user ids of its own.
        limits.push(("nproc", Resource::Nproc, PROCESSES, PROCESSES));
        be_modest(first);
        match set(first, &limits) {
            // Root without the capability for it, which is usual in containers.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                set_as(account, tool, first, &limits).await
            }
            done => done,
        }
    }

    /// The same for a program without a sandbox. The number of processes would count all of the server's user.
    pub(super) fn impose_outside(&self, process: Pid) -> io::Result<()> {
        be_modest(process);
        set(process, &self.per_process())
    }

    fn per_process(&self) -> Vec<Limit> {
        vec![
            ("cpu", Resource::Cpu, self.cpu_seconds, self.cpu_seconds + 1),
            ("data", Resource::Data, self.data, self.data),
            ("fsize", Resource::Fsize, self.files, self.files),
            ("nofile", Resource::Nofile, OPEN_FILES, OPEN_FILES),
            ("core", Resource::Core, 0, 0),
            ("memlock", Resource::Memlock, 0, 0),
        ]
    }
}

/// The name, the kernel's name, the soft and the hard limit.
type Limit = (&'static str, Resource, u64, u64);

fn set(process: Pid, limits: &[Limit]) -> io::Result<()> {
    for (_, resource, soft, hard) in limits {
        prlimit(Some(process), *resource, Rlimit { current: Some(*soft), maximum: Some(*hard) })?;
    }
    Ok(())
}

/// Sets limits through `prlimit`, in the name of the account that a process runs as, which may lower them.
async fn set_as(account: Account, tool: &Path, process: Pid, limits: &[Limit]) -> io::Result<()> {
    let mut command = Command::new(tool);
    command.arg(format!("--pid={process}")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.args(limits.iter().map(|(name, _, soft, hard)| format!("--{name}={soft}:{hard}"))).kill_on_drop(true);
    account.apply(command.as_std_mut());
    let status = command.status().await?;
    if status.success() { Ok(()) } else { Err(io::Error::other("prlimit could not set the limits of the sandbox")) }
}

/// Makes a process yield to others, in time and when memory is short. Without that it is still contained.
fn be_modest(process: Pid) {
    setpriority_process(Some(process), NICENESS).ok();
    std::fs::write(format!("/proc/{process}/oom_score_adj"), "1000").ok();
}
