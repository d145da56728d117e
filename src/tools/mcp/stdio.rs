use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rmcp::RoleClient;
use rmcp::transport::async_rw::AsyncRwTransport;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process_group, waitid};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::error::{McpError, TransportFault};
use super::message_lines::{MAX_LINE_BYTES, MessageLines};
use super::process_log::ProcessLog;
use super::target::McpTarget;
use crate::kernel::Secret;
use crate::tools::program_path::{on_path, search_path};

/// What a process gets to end by itself once its input is closed.
const EXIT_GRACE: Duration = Duration::from_millis(1000);
/// What a process gets to end after it has closed its output, and then its log to arrive.
const EXIT_TIMEOUT: Duration = Duration::from_millis(300);
/// Variables that a program needs to find its way. It sees no others but those of the tool's `env`: ours hold credentials.
const INHERITED_VARIABLES: [&str; 9] = ["PATH", "HOME", "USER", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR", "TERM"];

/// The messages of a process.
pub(super) type StdioTransport = AsyncRwTransport<RoleClient, MessageLines<ChildStdout>, ChildStdin>;

/// An MCP server that runs as a process in a group of its own. Dropping it kills the group.
#[derive(Debug)]
pub(super) struct ServerProcess {
    child: Child,
    log: ProcessLog,
    reading_log: JoinHandle<()>,
}

impl ServerProcess {
    pub(super) fn start(
        target: &McpTarget,
        command: &str,
        args: &[String],
        env: &[(String, Secret)],
        fault: TransportFault,
    ) -> Result<(Self, StdioTransport), McpError> {
        let environment = &target.environment;
        let passed_on = INHERITED_VARIABLES.iter().filter_map(|name| Some((*name, environment.get(name)?)));
        // Found by our own PATH: what a tool sets has no say in which program it is that the operator has allowed.
        let program = find(command, search_path(environment)).ok_or_else(|| {
            McpError::Other(format!("could not be started: '{command}' is no program on this server's PATH"))
        })?;
        let mut child = Command::new(program)
            .args(args)
            .env_clear()
            .envs(passed_on)
            .envs(env.iter().map(|(name, value)| (name, value.expose())))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| McpError::Other(format!("could not be started: '{command}': {error}")))?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(McpError::Other("could not be started: it has no pipes".to_owned()));
        };
        let log = ProcessLog::default();
        let reading_log = tokio::spawn(log.clone().read(stderr, target.redaction.clone()));
        // A line that is too long is refused before; repairs may make one a little longer.
        let lines = MessageLines::new(stdout, target.http.reader(), fault);
        let messages = AsyncRwTransport::new_client(lines, stdin).with_max_line_length(2 * MAX_LINE_BYTES);
        Ok((Self { child, log, reading_log }, messages))
    }

    /// How a process that has closed the connection ended, if it has, and its last words.
    pub(super) async fn exit_report(&mut self) -> Option<(String, String)> {
        let status = self.wait_exit(EXIT_TIMEOUT).await?;
        // Its log ends with it, unless it left children.
        drop(timeout(EXIT_TIMEOUT, &mut self.reading_log).await);
        let how = match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => format!("ended with exit status {code}"),
            (None, Some(signal)) => format!("was ended by signal {signal}"),
            (None, None) => "ended".to_owned(),
        };
        Some((how, self.log.last_lines()))
    }

    /// Waits a moment for its end, now that its input is closed, then kills what is left of it and its children.
    pub(super) async fn end(mut self) {
        self.wait_exit(EXIT_GRACE).await;
        self.kill();
        if let Err(error) = self.child.wait().await {
            tracing::warn!(%error, "a process of an MCP server could not be waited for");
        }
    }

    /// How it ended, if it does. It stays a zombie, so that the number of its group can't become that of another.
    async fn wait_exit(&self, limit: Duration) -> Option<WaitIdStatus> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        let until = Instant::now() + limit;
        loop {
            let ended = waitid(WaitId::Pid(self.group()?), options).ok().flatten();
            if ended.is_some() || Instant::now() >= until {
                return ended;
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    fn group(&self) -> Option<Pid> {
        // `None` once it has been waited for.
        Pid::from_raw(i32::try_from(self.child.id()?).ok()?)
    }

    fn kill(&self) {
        if let Some(group) = self.group()
            && let Err(error) = kill_process_group(group, Signal::KILL)
        {
            tracing::debug!(%error, "the processes of an MCP server could not be killed");
        }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.kill();
        self.reading_log.abort();
    }
}

/// The file of a command: the first of its name on `path`, unless it is a path itself.
fn find(command: &str, path: &str) -> Option<PathBuf> {
    if command.contains('/') {
        return Some(PathBuf::from(command));
    }
    let is_program = |file: &PathBuf| file.metadata().is_ok_and(|file| file.permissions().mode() & 0o111 != 0);
    on_path(command, path).find(is_program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_the_first_program_of_its_name_on_the_path() {
        let folder = tempfile::TempDir::new().unwrap();
        let at = |place: &str| folder.path().join(place);
        for place in ["a", "b", "c"] {
            std::fs::create_dir(at(place)).unwrap();
            std::fs::write(at(place).join("run"), "").unwrap();
            let mode = if place == "a" { 0o644 } else { 0o755 };
            std::fs::set_permissions(at(place).join("run"), PermissionsExt::from_mode(mode)).unwrap();
        }
        let path = format!(".:{}:{}:{}", at("a").display(), at("b").display(), at("c").display());
        assert_eq!(find("run", &path), Some(at("b").join("run")));
        assert_eq!((find("walk", &path), find("run", "tests")), (None, None));
        assert_eq!(find("/bin/run", &path), Some(PathBuf::from("/bin/run")));
    }
}
