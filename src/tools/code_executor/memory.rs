use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use rustix::fs::statvfs;
use rustix::param::page_size;
use rustix::process::Pid;

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(25);
/// Memory of the kernel that an empty file takes.
const BYTES_PER_FILE: u64 = 1024;
/// Memory of the kernel that a socket may keep for what nobody has read yet, unless it is enlarged, which the filter prevents.
const BYTES_PER_SOCKET: u64 = 256 * 1024;

/// Watches a process and its descendants; ends when together they use more than `limit` bytes. Limits of the kernel hold
/// for each process alone, unless there is a control group, which only the administrator of the machine can give.
pub(super) async fn exceeded(root: Pid, limit: u64, is_sandboxed: bool) {
    loop {
        tokio::time::sleep(PAUSE).await;
        let look = tokio::task::spawn_blocking(move || exceeds(root, limit, is_sandboxed));
        if look.await.unwrap_or(false) {
            return;
        }
    }
}

fn exceeds(root: Pid, limit: u64, is_sandboxed: bool) -> bool {
    let processes = family(root);
    let besides = if is_sandboxed { files_of(root) + sockets_of(root) } else { 0 };
    let sum = |measure: fn(i32) -> u64| processes.iter().map(|pid| measure(*pid)).sum::<u64>() + besides;
    // Shared pages count for each process at first, which is quick to find out, and then by the share of each.
    sum(resident) > limit && sum(share) > limit
}

/// A process and its descendants. In a sandbox orphans become children of its first process, so that none is missed.
fn family(root: Pid) -> HashSet<i32> {
    let mut found = HashSet::new();
    let mut open = vec![root.as_raw_nonzero().get()];
    while let Some(pid) = open.pop() {
        if found.insert(pid) {
            let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
            for thread in threads {
                let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
                open.extend(children.split_whitespace().filter_map(|child| child.parse::<i32>().ok()));
            }
        }
    }
    found
}

fn resident(pid: i32) -> u64 {
    let pages = fs::read_to_string(format!("/proc/{pid}/statm")).ok();
    let pages = pages.and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * page_size() as u64 + tables(pid)
}

/// A program can hide its share from an ordinary user; then all that is resident counts.
fn share(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let kilobytes = text.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB"));
    let kilobytes = kilobytes.and_then(|number| number.trim().parse::<u64>().ok());
    kilobytes.map_or_else(|| resident(pid), |number| (number << 10) + tables(pid))
}

/// What the kernel takes to note where the pages of a process are, be they empty.
fn tables(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kilobytes = text.lines().find_map(|line| line.strip_prefix("VmPTE:")?.trim().strip_suffix(" kB"));
    kilobytes.and_then(|number| number.trim().parse::<u64>().ok()).unwrap_or(0) << 10
}

/// What the files in a sandbox's `/tmp` take: they are in memory. While bubblewrap still builds, its root is that of the server.
fn files_of(first: Pid) -> u64 {
    let root = format!("/proc/{first}/root");
    let device = |path: &str| fs::metadata(path).map(|found| found.dev()).ok();
    if device(&root) == device("/") {
        return 0;
    }
    statvfs(format!("{root}/tmp")).map_or(0, |found| {
        let bytes = found.f_blocks.saturating_sub(found.f_bfree) * found.f_frsize;
        bytes + found.f_files.saturating_sub(found.f_ffree) * BYTES_PER_FILE
    })
}

/// What the sockets of a sandbox may take, and what its connections do take, which grow by themselves.
fn sockets_of(first: Pid) -> u64 {
    let net = |name| fs::read_to_string(format!("/proc/{first}/net/{name}")).unwrap_or_default();
    let used = net("sockstat").lines().find_map(|line| line.strip_prefix("sockets: used ")?.parse::<u64>().ok());
    let queued: u64 = ["tcp", "tcp6"].iter().map(|name| net(name).lines().filter_map(queues).sum::<u64>()).sum();
    used.unwrap_or(0) * BYTES_PER_SOCKET + queued
}

/// The bytes that a connection has to send and to be read, the fifth column.
fn queues(line: &str) -> Option<u64> {
    let (to_send, to_read) = line.split_whitespace().nth(4)?.split_once(':')?;
    Some(u64::from_str_radix(to_send, 16).ok()? + u64::from_str_radix(to_read, 16).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_own_files_are_nobodys_memory() {
        assert_eq!(files_of(rustix::process::getpid()), 0);
    }

    #[test]
    fn a_process_counts_with_its_children_and_by_its_share() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let own = rustix::process::getpid();
        assert!(family(own).contains(&i32::try_from(child.id()).unwrap()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(exceeds(own, 1 << 20, false) && !exceeds(own, 1 << 40, false));
    }
}
