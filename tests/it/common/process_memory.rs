//! What a process takes, from `/proc`.

use std::time::{Duration, Instant};

/// Longest wait for memory to be given back; the allocator keeps what was freed for ten seconds.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes that a process may have more than before once it has given back what it took: less than one body or reply of these tests.
const ALLOWANCE: u64 = 9_000_000;

/// What a process had in memory at one time, in bytes.
pub struct ProcessMemory {
    pid: u32,
    resident: u64,
    /// What is no page of a file: those come and go as the system likes.
    anonymous: u64,
}

impl ProcessMemory {
    /// What it has now; its peak is from now on.
    pub fn now(pid: u32) -> Self {
        std::fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
        Self { pid, resident: figure(pid, "VmRSS:"), anonymous: anonymous(pid) }
    }

    /// The most that it has had since, beyond what it had.
    pub fn taken(&self) -> u64 {
        figure(self.pid, "VmHWM:").saturating_sub(self.resident)
    }

    /// Done once it has hardly more than it had.
    pub async fn given_back(&self) {
        let until = Instant::now() + TIMEOUT;
        while anonymous(self.pid) > self.anonymous + ALLOWANCE {
            assert!(
                Instant::now() < until,
                "{} bytes are kept, {} were taken before",
                anonymous(self.pid),
                self.anonymous
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

fn anonymous(pid: u32) -> u64 {
    figure(pid, "RssAnon:")
}

fn figure(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}
