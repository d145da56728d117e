use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use rustix::fs::fchown;
use rustix::process::{Gid, Uid, geteuid};
use rustix::thread::{set_thread_res_gid, set_thread_res_uid};

/// User ids that no distribution gives to anybody, and how many of them there are.
const FIRST_UID: u32 = 60_600;
const UID_COUNT: u32 = 500;

/// Whom a sandboxed program runs as, seen from outside: never root, for which the kernel counts no processes.
#[derive(Clone, Copy, Debug)]
pub(super) struct SandboxUid(Option<u32>);

impl SandboxUid {
    /// The server's own user; if that is root, one that is nobody else's.
    pub(super) fn unprivileged() -> Self {
        // Servers that begin anywhere do not meet, not even those that have the same number in containers of their own.
        static NEXT: LazyLock<AtomicU32> = LazyLock::new(|| AtomicU32::new(random_offset()));
        let next = || FIRST_UID + NEXT.fetch_add(1, Ordering::Relaxed) % UID_COUNT;
        Self(geteuid().is_root().then(next))
    }

    /// The server's own user.
    pub(super) fn own() -> Self {
        Self(None)
    }

    /// Does something as the owner of this user's processes, in a thread of its own: root in a container may not limit others'.
    pub(super) fn as_owner(self, act: impl FnOnce() -> io::Result<()> + Send) -> io::Result<()> {
        let Some(id) = self.0 else { return act() };
        let acting = || {
            set_thread_res_gid(Gid::from_raw(id), None::<Gid>, None::<Gid>)?;
            set_thread_res_uid(Uid::from_raw(id), None::<Uid>, None::<Uid>)?;
            act()
        };
        thread::scope(|scope| scope.spawn(acting).join()).unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
    }

    /// Makes a command run as this user, who is in no group but its own.
    pub(super) fn apply(self, command: &mut Command) {
        if let Some(id) = self.0 {
            command.uid(id).gid(id);
        }
    }

    /// Makes a pipe this user's, so that it can be opened by name (`/dev/stderr`). Where root may not do that, only this is lost.
    pub(super) fn chown_pipe(self, pipe: BorrowedFd<'_>) {
        if let Some(id) = self.0 {
            fchown(pipe, Some(Uid::from_raw(id)), Some(Gid::from_raw(id))).ok();
        }
    }

    pub(super) fn description(self) -> String {
        match self.0 {
            Some(_) => "the unprivileged user that code runs as, because the server runs as root".to_owned(),
            None => "the server's user".to_owned(),
        }
    }
}

/// A number below [`UID_COUNT`] that differs from run to run.
fn random_offset() -> u32 {
    u32::try_from(RandomState::new().hash_one(UID_COUNT) % u64::from(UID_COUNT)).unwrap_or(0)
}
