//! The server, as a user starts it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::Connection;
use crate::common::program::free_port;

/// Longest start.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// A server on loopback with a folder of its own.
pub struct Server {
    child: Child,
    folder: TempDir,
    pub address: String,
    /// How long it took to become ready.
    pub start: Duration,
}

impl Server {
    /// Starts it with the LLM server at `llm` and further variables.
    pub async fn start(folder: TempDir, llm: &str, variables: &[(&str, &str)]) -> Self {
        let (port, log) = (free_port(), std::fs::File::create(folder.path().join("log.txt")).unwrap());
        let mut command = command("serve", folder.path(), variables);
        command.env("API_PORT", port.to_string()).env("LLM_BASE_URL", format!("http://{llm}"));
        command.envs([("LLM_DEFAULT_MODEL", "stand-in"), ("LLM_PROVIDER", "openai")]);
        let started = Instant::now();
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let mut server = Self { child, folder, address: format!("127.0.0.1:{port}"), start: Duration::ZERO };
        while !server.is_ready().await {
            let has_ended = server.child.try_wait().unwrap().is_some();
            assert!(!has_ended && started.elapsed() < START_TIMEOUT, "the server did not start: {}", server.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        server.start = started.elapsed();
        server
    }

    /// Lays out the database in a folder without starting a server.
    pub fn migrate(folder: &Path) {
        let migrated = command("migrate", folder, &[]).output().unwrap();
        assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log.txt")).unwrap()
    }

    async fn is_ready(&self) -> bool {
        let Ok(mut connection) = Connection::open(&self.address).await else { return false };
        connection.send("GET", "/readyz", "").await.is_ok_and(|reply| reply.status == 200)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The program that is measured: that of this build, unless `OVERHEAD_BINARY` names another one.
pub fn program() -> PathBuf {
    super::text("OVERHEAD_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_orchestrator-studio").to_owned()).into()
}

/// In an environment that holds nothing else.
fn command(command: &str, folder: &Path, variables: &[(&str, &str)]) -> Command {
    let program = std::fs::canonicalize(program()).unwrap();
    let mut server = Command::new(program);
    server.arg(command).current_dir(folder).env_clear().stdin(Stdio::null()).envs(variables.iter().copied());
    server
}
