use std::fs;
use std::time::Duration;

use rustix::process::Pid;
use tokio::time::sleep;

use super::limits::NICENESS;
use crate::kernel::Backoff;

/// Pauses between attempts.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(250));

/// Makes a sandbox's session yield to others: with `sched_autogroup_enabled`, niceness of processes counts within each only.
pub(super) async fn deprioritize(first: Pid) {
    let mut failures = 0;
    // The sandbox may not have its session yet, and the kernel takes such a wish from ordinary users ten times a second only.
    while !try_deprioritize(first) {
        failures += 1;
        sleep(BACKOFF.after(failures)).await;
    }
}

/// Tries it once; returns whether there is nothing left to be done.
fn try_deprioritize(first: Pid) -> bool {
    let path = |process: &str| format!("/proc/{process}/autogroup");
    let theirs = path(&first.to_string());
    match (fs::read_to_string(path("self")), fs::read_to_string(&theirs)) {
        (Ok(own), Ok(group)) => {
            group_name(&own) != group_name(&group) && fs::write(&theirs, NICENESS.to_string()).is_ok()
        }
        // This kernel has no such groups, or the sandbox has ended.
        _ => true,
    }
}

/// As in `/autogroup-17 nice 0`.
fn group_name(group: &str) -> Option<&str> {
    group.split_whitespace().next()
}
