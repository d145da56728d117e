//! What a process takes, from `/proc`.

use std::time::{Duration, Instant};

/// Longest wait for memory to be given back; the allocator keeps what was freed for ten seconds.
const TIMEOUT: Duration = Duration::from_secs(40);

/// Bytes that a process has in memory.
pub fn resident(pid: u32) -> u64 {
    figure(pid, "VmRSS:")
}

/// The most that it had since [`forget_peak`].
pub fn peak(pid: u32) -> u64 {
    figure(pid, "VmHWM:")
}

/// Begins anew to look for the most.
pub fn forget_peak(pid: u32) {
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
}

/// Done once the process is back to within a fifth of `before`.
pub async fn given_back(pid: u32, before: u64) {
    let until = Instant::now() + TIMEOUT;
    while resident(pid) > before + before / 5 {
        assert!(Instant::now() < until, "{} bytes are kept, {before} were taken before", resident(pid));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn figure(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}
