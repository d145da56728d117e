use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files kept for what is no client's connection: databases, upstreams, programs.
const RESERVED_FILES: usize = 1_000;

/// How many connections the limit on open files leaves room for, once the soft limit is raised as far as that takes.
pub(super) fn room_for_connections(wanted: usize) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let needed = (wanted + RESERVED_FILES) as u64;
    let reachable = maximum.map_or(needed, |maximum| needed.min(maximum));
    let raised = Rlimit { current: Some(reachable), maximum };
    let has = match current {
        Some(current) if current < reachable && setrlimit(Resource::Nofile, raised).is_ok() => Some(reachable),
        current => current,
    };
    let room = room(wanted, has);
    if room < wanted {
        tracing::warn!(
            open_files = has,
            connections = room,
            "the limit on open files (ulimit -n) does not allow MAX_CONNECTIONS"
        );
    }
    room
}

/// Where files are few, half of them are for connections.
fn room(wanted: usize, files: Option<u64>) -> usize {
    let Some(files) = files.and_then(|files| usize::try_from(files).ok()) else { return wanted };
    wanted.min(files.saturating_sub(RESERVED_FILES).max(files / 2)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_everything_else() {
        assert_eq!([room(10_000, None), room(10_000, Some(11_000)), room(10_000, Some(20_000))], [10_000; 3]);
        assert_eq!([room(10_000, Some(4_096)), room(10_000, Some(1_024)), room(100, Some(1_024))], [3_096, 512, 100]);
    }
}
