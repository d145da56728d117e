use std::fs;
use std::time::Duration;

use rustix::process::Pid;
use tokio::time::sleep;

use super::limits::NICENESS;

/// The first pause between two attempts; each is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Makes a sandbox's session yield to others. Where the kernel shares the processors out among sessions first
/// (`sched_autogroup_enabled`), the niceness of processes counts only within each, and that of a session is set apart.
pub(super) async fn yield_to_others(first: Pid) {
    let mut pause = FIRST_PAUSE;
    // The sandbox may not have its session yet, and the kernel takes such a wish from ordinary users ten times a second only.
    while !is_nice(first) {
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Tries it once; returns whether there is nothing left to be done.
fn is_nice(first: Pid) -> bool {
    let path = |process: &str| format!("/proc/{process}/autogroup");
    let theirs = path(&first.to_string());
    match (fs::read_to_string(path("self")), fs::read_to_string(&theirs)) {
        (Ok(own), Ok(group)) => name(&own) != name(&group) && fs::write(&theirs, NICENESS.to_string()).is_ok(),
        // This kernel has no such groups, or the sandbox has ended.
        _ => true,
    }
}

/// As in `/autogroup-17 nice 0`.
fn name(group: &str) -> Option<&str> {
    group.split_whitespace().next()
}
