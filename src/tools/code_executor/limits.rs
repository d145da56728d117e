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
    /// Seconds in all, and when they are over.
    pub(super) seconds: f64,
    pub(super) deadline: Deadline,
    data: u64,
}

impl ProgramLimits {
    pub(super) fn of(options: &CodeOptions, language: Language, deadline: Deadline) -> Self {
        let overhead = if language == Language::JavaScript { NODE_OVERHEAD } else { 0 };
        Self {
            memory: options.max_memory,
            files: (options.max_memory / 2).min(MAX_FILE_BYTES),
            cpu_seconds: deadline.remaining().as_secs() + 1,
            seconds: deadline.remaining().as_secs_f64(),
            deadline,
            data: options.max_memory + overhead,
        }
    }

    pub(super) fn megabytes(&self) -> u64 {
        self.memory / MEGABYTE
    }

    /// Sets what the kernel holds for each process of a program for the first one, whose children inherit it.
    pub(super) fn apply_limits(&self, first: Pid, is_sandboxed: bool) -> io::Result<()> {
        let limits = [
            (Resource::Cpu, self.cpu_seconds, self.cpu_seconds + 1),
            (Resource::Data, self.data, self.data),
            (Resource::Fsize, self.files, self.files),
            (Resource::Nofile, MAX_OPEN_FILES, MAX_OPEN_FILES),
            (Resource::Core, 0, 0),
            (Resource::Memlock, 0, 0),
            // Or a program could raise its own priority where the server may.
            (Resource::Nice, 0, 0),
            (Resource::Rtprio, 0, 0),
        ];
        // A sandbox has user ids of its own; without one, all processes of the server's user would count.
        let processes = is_sandboxed.then_some((Resource::Nproc, MAX_PROCESSES, MAX_PROCESSES));
        for (resource, soft, hard) in limits.into_iter().chain(processes) {
            // The server's own limit can't be raised.
            let most = getrlimit(resource).maximum.unwrap_or(u64::MAX);
            prlimit(Some(first), resource, Rlimit { current: Some(soft.min(most)), maximum: Some(hard.min(most)) })?;
        }
        Ok(())
    }
}

/// Makes a process yield to others, in time and when memory is short. Without that it is still contained.
pub(super) fn deprioritize(process: Pid) {
    setpriority_process(Some(process), NICENESS).ok();
    std::fs::write(format!("/proc/{process}/oom_score_adj"), "1000").ok();
}
