//! The binary as a user starts it, in a folder of its own.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::Client;

pub struct Program {
    child: Child,
    pub client: Client,
    pub port: u16,
    pub log: std::path::PathBuf,
}

impl Program {
    /// Starts a sub-command in `folder` with these variables and waits until it answers.
    pub async fn start(command: &str, folder: &Path, variables: &[(&str, &str)]) -> Self {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(folder.join("log.txt")).unwrap();
        Self::start_logging_to(file.into(), command, folder, variables).await
    }

    /// [`Program::start`] with standard error going elsewhere.
    pub async fn start_logging_to(stderr: Stdio, command: &str, folder: &Path, variables: &[(&str, &str)]) -> Self {
        Self::start_with(bare(command, folder, variables), stderr, folder).await
    }

    /// Starts it through another program, which gets its path and the sub-command as its last arguments.
    pub async fn start_through(through: &[&str], command: &str, folder: &Path, variables: &[(&str, &str)]) -> Self {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(folder.join("log.txt")).unwrap();
        let mut program = Command::new(through[0]);
        program.args(&through[1..]).arg(PROGRAM);
        Self::start_with(in_bare_environment(program, command, folder, variables), file.into(), folder).await
    }

    async fn start_with(mut command: Command, stderr: Stdio, folder: &Path) -> Self {
        let (port, log) = (free_port(), folder.join("log.txt"));
        command.env("API_PORT", port.to_string()).stderr(stderr).stdout(Stdio::null());
        let client = Client::new(format!("http://127.0.0.1:{port}"));
        let program = Self { child: command.spawn().unwrap(), client, port, log };
        let until = Instant::now() + Duration::from_secs(30);
        while program.client.request("GET", "/readyz").send().await.is_err() {
            assert!(Instant::now() < until, "the server did not start; its log: {:?}", std::fs::read(&program.log));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        program
    }

    /// Its figures, once it has looked at how its parts are; a scrape does not wait for that.
    pub async fn metrics(&self) -> String {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let text = self.client.get("/metrics").await.text;
            if text.contains("\norchestrator_degraded") {
                return text;
            }
            assert!(Instant::now() < until, "nobody found out how the parts are");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Runs a sub-command to its end.
    pub fn run(command: &str, folder: &Path, variables: &[(&str, &str)]) -> Output {
        bare(command, folder, variables).output().unwrap()
    }

    /// Runs a sub-command with arguments to its end.
    pub fn run_with(arguments: &[&str], folder: &Path, variables: &[(&str, &str)]) -> Output {
        bare(arguments[0], folder, variables).args(&arguments[1..]).output().unwrap()
    }

    /// The log, once all that was logged by now has been written, which is done by a thread of its own.
    pub fn log(&self) -> String {
        let mut log = String::new();
        for _ in 0..100 {
            std::thread::sleep(Duration::from_millis(50));
            let more = std::fs::read_to_string(&self.log).unwrap();
            if more.len() == log.len() && !log.is_empty() {
                return more;
            }
            log = more;
        }
        log
    }

    /// Its standard error, if that is a pipe.
    pub fn stderr(&mut self) -> ChildStderr {
        self.child.stderr.take().unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal by name, such as TERM.
    pub fn signal(&self, name: &str) {
        let done = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status().unwrap();
        assert!(done.success());
    }

    /// Waits for the end and gives the exit code.
    pub fn wait(mut self) -> Option<i32> {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < until, "the server did not stop");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Already dead after `kill` and `wait`.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_orchestrator-studio");

/// The program in an environment that holds nothing but what the test gives.
fn bare(command: &str, folder: &Path, variables: &[(&str, &str)]) -> Command {
    in_bare_environment(Command::new(PROGRAM), command, folder, variables)
}

fn in_bare_environment(mut program: Command, command: &str, folder: &Path, variables: &[(&str, &str)]) -> Command {
    program.arg(command).current_dir(folder).env_clear().stdin(Stdio::null());
    // As in process, what is asked of upstreams in the background is left to the stories about it, and to the demo.
    if command != "demo" {
        program.env("GROUNDING_REFRESH_SECONDS", "0").env("CONTEXT_TOKENS", "2000");
    }
    program.envs(variables.iter().copied());
    program
}

/// A port for a server of the test's own, below the range from which the system hands ports to everybody else.
pub fn free_port() -> u16 {
    loop {
        let port = fastrand::u16(10_000..20_000);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
