use std::ffi::OsStr;
use std::fs;
use std::io::{Seek, Write, pipe};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use command_fds::{CommandFdExt, FdMapping};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::Pid;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe::{Receiver, Sender};

use super::invocation::Invocation;
use super::limits::deprioritize;
use super::process_tree::{Isolation, ProcessTree, RunningProgram};
use super::seccomp;
use crate::kernel::JsonReader;
use crate::tools::program_path::on_path;

/// Namespaces that a sandbox has of its own, and how it ends.
const ISOLATION_ARGS: &str = "--unshare-user --unshare-ipc --unshare-pid --unshare-net --unshare-uts --unshare-cgroup \
    --hostname sandbox --uid 1000 --gid 1000 --die-with-parent --new-session --proc /proc";
/// Devices that hold nothing and can't be mapped, and the names by which programs know their streams. What is read from
/// `/dev/full` is zeros too; the real `/dev/zero` would hand out memory that is counted nowhere.
const DEVICE_ARGS: &str = "--dev-bind-try /dev/null /dev/null --dev-bind-try /dev/full /dev/full \
    --dev-bind-try /dev/urandom /dev/urandom --symlink /dev/full /dev/zero --symlink /dev/urandom /dev/random \
    --symlink /tmp /dev/shm --symlink /proc/self/fd /dev/fd --symlink /proc/self/fd/0 /dev/stdin \
    --symlink /proc/self/fd/1 /dev/stdout --symlink /proc/self/fd/2 /dev/stderr";
/// Parts of the system that interpreters need: libraries, the cache and the links by which they are found, time zones.
const SYSTEM_PATHS: [&str; 5] =
    ["/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/etc/alternatives", "/usr/share/zoneinfo"];
/// These are links into `/usr` on most systems.
const SYSTEM_LINKS: [&str; 3] = ["/lib", "/lib64", "/bin"];

// Numbers under which bubblewrap finds what it is handed.
const FILTER_FD: i32 = 3;
const CODE_FD: i32 = 4;
const STATUS_FD: i32 = 5;
const LISTENER_FD: i32 = 6;

/// Runs programs behind walls that the kernel builds, put up by bubblewrap.
#[derive(Clone, Debug)]
pub(super) struct Sandbox {
    bubblewrap: PathBuf,
    filter: Vec<u8>,
}

/// What bubblewrap reports first.
#[derive(Deserialize)]
struct BwrapStatus {
    #[serde(rename = "child-pid")]
    first: i32,
}

impl Sandbox {
    /// The error says what is missing.
    pub(super) fn find(search: &str) -> Result<Self, String> {
        let bubblewrap = on_path("bwrap", search).next().ok_or(
            "Code can't be run in isolation: the program bwrap is not on the server's PATH; install the package \
             bubblewrap",
        )?;
        let filter = seccomp::filter()
            .ok_or("Code can't be run in isolation: no filter of system calls is known for this processor")?;
        Ok(Self { bubblewrap, filter })
    }

    /// Starts a program. The error says why there is no sandbox.
    pub(super) async fn start(
        &self,
        invocation: &Invocation<'_>,
        hidden: &[PathBuf],
    ) -> Result<RunningProgram, String> {
        let fault = |error: std::io::Error| format!("The sandbox could not be put up: {error}");
        let (status, reports) = pipe().map_err(fault)?;
        let (code, writer) = pipe().map_err(fault)?;
        // Bubblewrap listens to its own reports too: without anybody, should the server be killed, it would leave half a sandbox.
        let listener = status.try_clone().map_err(fault)?;
        let mut command = self.command(invocation, hidden);
        let filter = memory_file(&self.filter).map_err(fault)?;
        let handed: [(i32, OwnedFd); 4] =
            [(FILTER_FD, filter), (CODE_FD, code.into()), (STATUS_FD, reports.into()), (LISTENER_FD, listener.into())];
        let handed = handed.map(|(child_fd, parent_fd)| FdMapping { parent_fd, child_fd }).into();
        command.fd_mappings(handed).map_err(|error| error.to_string())?;
        let mut processes = ProcessTree::start(command.into()).map_err(fault)?;
        processes.chown_streams(invocation.uid);
        let mut status = BufReader::new(Receiver::from_owned_fd(status.into()).map_err(fault)?);
        let mut line = String::new();
        (&mut status).take(1000).read_line(&mut line).await.map_err(fault)?;
        let built = JsonReader::embedded().read::<BwrapStatus>(line.as_bytes());
        let Some(first) = built.ok().and_then(|built| Pid::from_raw(built.first)) else {
            return Err(failure(&mut processes).await);
        };
        // The sandbox waits for the code, which it gets when its limits are set; without the server there is none to run.
        processes.set_first(first).map_err(fault)?;
        invocation.uid.as_owner(|| invocation.limits.apply_limits(first, true)).map_err(fault)?;
        deprioritize(first);
        // A sandbox that could not be built reads none; it will say why.
        drop(Sender::from_owned_fd(writer.into()).map_err(fault)?.write_all(invocation.code.as_bytes()).await);
        Ok(RunningProgram { processes, first, isolation: Isolation::Sandbox(status) })
    }

    fn command(&self, invocation: &Invocation<'_>, hidden: &[PathBuf]) -> Command {
        let mut command = Command::new(&self.bubblewrap);
        let size = invocation.limits.files.to_string();
        command.args(ISOLATION_ARGS.split(' ')).args(["--size", &size, "--tmpfs", "/tmp"]);
        bind_paths(&mut command, invocation, hidden);
        command.args(DEVICE_ARGS.split(' '));
        let file = invocation.file_name();
        command.args(["--file", &CODE_FD.to_string(), &format!("/tmp/{file}"), "--chdir", "/tmp"]);
        // A process's entry in `/proc` has switches, one of which would take back how nice its session is.
        command.args(["--remount-ro", "/proc", "--remount-ro", "/"]);
        for (option, number) in [("--seccomp", FILTER_FD), ("--json-status-fd", STATUS_FD), ("--sync-fd", LISTENER_FD)]
        {
            command.arg(option).arg(number.to_string());
        }
        command.arg("--").arg(&invocation.interpreter.program).args(invocation.arguments(OsStr::new("/tmp")));
        command.env_clear().envs(invocation.variables("/tmp")).current_dir("/");
        invocation.uid.apply(&mut command);
        command
    }
}

/// What a program sees of the machine, to be read only.
fn bind_paths(command: &mut Command, invocation: &Invocation<'_>, hidden: &[PathBuf]) {
    let own = invocation.interpreter.visible_paths.iter().map(PathBuf::as_path);
    let visible_paths: Vec<_> = SYSTEM_PATHS.iter().map(Path::new).chain(own).collect();
    for path in outermost(&visible_paths) {
        command.arg("--ro-bind-try").args([path, path]);
    }
    for link in SYSTEM_LINKS.map(Path::new) {
        match fs::read_link(link) {
            Ok(target) => command.arg("--symlink").arg(target).arg(link),
            Err(_) => command.arg("--ro-bind-try").args([link, link]),
        };
    }
    // The first process is bubblewrap's own; through its memory a program could undo what keeps it from outliving the server.
    let keeper = PathBuf::from("/proc/1");
    let is_seen = |folder: &&PathBuf| visible_paths.iter().any(|path| folder.starts_with(path));
    for folder in hidden.iter().filter(is_seen).chain([&keeper]) {
        command.arg("--tmpfs").arg(folder).arg("--remount-ro").arg(folder);
    }
}

/// The paths that lie in none of the others. Each view takes bubblewrap as long as many system calls.
fn outermost<'a>(paths: &[&'a Path]) -> Vec<&'a Path> {
    let mut kept: Vec<&Path> = Vec::new();
    for path in paths {
        if !kept.iter().any(|other| path.starts_with(other)) {
            kept.retain(|other| !other.starts_with(path));
            kept.push(path);
        }
    }
    kept
}

/// A file that is nowhere but in memory.
fn memory_file(content: &[u8]) -> std::io::Result<OwnedFd> {
    let mut file = fs::File::from(memfd_create("code", MemfdFlags::CLOEXEC)?);
    file.write_all(content)?;
    file.rewind()?;
    Ok(file.into())
}

/// Why there is no sandbox.
async fn failure(processes: &mut ProcessTree) -> String {
    let mut said = Vec::new();
    if let Some(stderr) = processes.child.stderr.take() {
        // What can't be read is not told.
        drop(stderr.take(2000).read_to_end(&mut said).await);
    }
    explain(&String::from_utf8_lossy(&said))
}

/// A sentence about why bubblewrap could not put up a sandbox.
pub(super) fn explain(said: &str) -> String {
    let said = said.trim().trim_start_matches("bwrap: ").trim_end_matches('.');
    let lower = said.to_ascii_lowercase();
    let remedy = if lower.contains("namespace") || lower.contains("uid map") || lower.contains("loopback") {
        "; the kernel must allow unprivileged user namespaces: see the sysctls kernel.unprivileged_userns_clone (1), \
         user.max_user_namespaces (above 0) and kernel.apparmor_restrict_unprivileged_userns (0, or a profile for bwrap), \
         and, in a container, its seccomp profile"
    } else if lower.contains("/proc") || lower.contains("mount") {
        "; in a container, it must let processes mount file systems such as proc in namespaces of their own"
    } else {
        ""
    };
    format!("Code can't be run in isolation: bwrap said: {said}{remedy}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_another_view_is_seen_with_it() {
        let paths =
            ["/usr/lib/python3", "/opt/a", "/usr/lib", "/usr/lib/x", "/usr/lib64", "/opt/a", "/opt"].map(Path::new);
        assert_eq!(outermost(&paths), ["/usr/lib", "/usr/lib64", "/opt"].map(Path::new));
    }
}
