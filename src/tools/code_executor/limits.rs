use std::io;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setpriority_process};

use crate::kernel::Deadline;
use crate::settings::{CodeOptions, Language};

const MEGABYTE: u64 = 1 << 20;
/// Processes and threads that a sandbox may have at once.
const MAX_PROCESSES: u64 = 64;
/// Files that a process may have open.
const MAX_OPEN_FILES: u64 = 256;
/// Largest file, and what a sandbox's `/tmp` holds in all, whatever the limit of memory.
const MAX_FILE_BYTES: u64 = 256 * MEGABYTE;
/// What Node.js needs besides what a program uses.
const NODE_OVERHEAD: u64 = 64 * MEGABYTE;
/// Below the server as far as it goes, so that it stays responsive while programs are busy.
pub(super) const NICENESS: i32 = 19;

/// What a program may use.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProgramLimits {
    /// Bytes of memory of all its processes together, the files in `/tmp` included.
    pub(super) memory: u64,
    /// Bytes of a file, and of all files in `/tmp`.
    pub(super) files: u64,
    /// Seconds of CPU time of one process.
    pub(super) cpu_seconds: u64,
    data: u64,
}

impl ProgramLimits {
    pub(super) fn of(options: &CodeOptions, language: Language, deadline: Deadline) -> Self {
        let overhead = if language == Language::JavaScript { NODE_OVERHEAD } else { 0 };
        Self {
            memory: options.max_memory,
            files: (options.max_memory / 2).min(MAX_FILE_BYTES),
            cpu_seconds: deadline.remaining().as_secs() + 1,
            data: options.max_memory + overhead,
        }
    }

    pub(super) fn megabytes(&self) -> u64 {
        self.memory / MEGABYTE
    }

    /// Sets what the kernel holds for each process of a sandbox for the first one, whose children inherit it.
    pub(super) fn apply_limits(&self, first: Pid) -> io::Result<()> {
        set(first, &self.in_sandbox())
    }

    /// The number of processes is that of the sandbox alone, for it has user ids of its own.
    fn in_sandbox(&self) -> Vec<Limit> {
        let mut limits = self.per_process();
        limits.push((Resource::Nproc, MAX_PROCESSES, MAX_PROCESSES));
        limits
    }

    /// The same for a program without a sandbox. The number of processes would count all of the server's user.
    pub(super) fn apply_limits_unsandboxed(&self, process: Pid) -> io::Result<()> {
        deprioritize(process);
        set(process, &self.per_process())
    }

    fn per_process(&self) -> Vec<Limit> {
        vec![
            (Resource::Cpu, self.cpu_seconds, self.cpu_seconds + 1),
            (Resource::Data, self.data, self.data),
            (Resource::Fsize, self.files, self.files),
            (Resource::Nofile, MAX_OPEN_FILES, MAX_OPEN_FILES),
            (Resource::Core, 0, 0),
            (Resource::Memlock, 0, 0),
            // Or a program could raise its own priority where the server may.
            (Resource::Nice, 0, 0),
            (Resource::Rtprio, 0, 0),
        ]
    }
}

/// What is limited, the soft and the hard limit.
type Limit = (Resource, u64, u64);

/// A limit, or the server's own if that is lower: it can't be raised.
fn limit(resource: Resource, soft: u64, hard: u64) -> Rlimit {
    let most = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    Rlimit { current: Some(soft.min(most)), maximum: Some(hard.min(most)) }
}

fn set(process: Pid, limits: &[Limit]) -> io::Result<()> {
    for (resource, soft, hard) in limits {
        prlimit(Some(process), *resource, limit(*resource, *soft, *hard))?;
    }
    Ok(())
}

/// Makes a process yield to others, in time and when memory is short. Without that it is still contained.
pub(super) fn deprioritize(process: Pid) {
    setpriority_process(Some(process), NICENESS).ok();
    std::fs::write(format!("/proc/{process}/oom_score_adj"), "1000").ok();
}
