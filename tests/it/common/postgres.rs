//! A Postgres of the test's own, to be killed and started again.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::program::free_port;

const PASSWORD: &str = "canary-postgres-password";

pub struct PostgresServer {
    child: Child,
    stopped: Option<Stopped>,
}

/// A Postgres that does not run, or not any more.
pub struct Stopped {
    port: u16,
    folder: TempDir,
}

impl Stopped {
    /// One that has never run and has nothing in it.
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let password = folder.path().join("password");
        std::fs::write(&password, PASSWORD).unwrap();
        if rustix::process::geteuid().is_root() {
            let given = Command::new("chown").args(["-R", "postgres:"]).arg(folder.path()).status().unwrap();
            assert!(given.success(), "the account postgres comes with Debian's package postgresql");
        }
        let made = program("initdb", folder.path())
            .args(["--pgdata=data", "--username=admin", "--pwfile=password", "--auth=scram-sha-256"])
            .args(["--encoding=UTF8", "--no-locale", "--no-sync"])
            .status()
            .unwrap_or_else(|error| panic!("initdb (Debian's package postgresql): {error}"));
        assert!(made.success(), "initdb failed in {}", folder.path().display());
        Self { port: free_port(), folder }
    }

    /// Where it will be.
    pub fn url(&self) -> String {
        format!("postgres://admin:{PASSWORD}@127.0.0.1:{}/postgres", self.port)
    }

    /// Starts it at its port.
    pub fn start(self) -> PostgresServer {
        let until = Instant::now() + Duration::from_secs(30);
        let mut child = self.launch();
        while !self.answers() {
            assert!(Instant::now() < until, "Postgres did not start");
            // Parts of one that was killed may still be about to notice; until then the next one refuses to start.
            if child.try_wait().unwrap().is_some() {
                child = self.launch();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        PostgresServer { child, stopped: Some(self) }
    }

    /// What is acknowledged is with the operating system, which outlives a kill; the disk need not have it.
    fn launch(&self) -> Child {
        program("postgres", self.folder.path())
            .args(["-D", "data", "-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "shared_buffers=32MB"])
            .spawn()
            .unwrap()
    }

    fn answers(&self) -> bool {
        let port = self.port.to_string();
        let asked = program("pg_isready", self.folder.path()).args(["-h", "127.0.0.1", "-p", &port]).status();
        asked.unwrap().success()
    }
}

impl PostgresServer {
    /// One with nothing in it.
    pub fn start() -> Self {
        Stopped::new().start()
    }

    pub fn url(&self) -> String {
        self.stopped.as_ref().unwrap().url()
    }

    /// kill -9; gives what is needed to start it again.
    pub fn kill(mut self) -> Stopped {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.stopped.take().unwrap()
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // Already dead after `kill`. An immediate shutdown leaves no shared memory behind.
        drop(Command::new("kill").args(["-QUIT", &self.child.id().to_string()]).stderr(Stdio::null()).status());
        drop(self.child.wait());
    }
}

/// One of Postgres' programs, run in `folder` by an account that it accepts: it refuses to be root.
fn program(name: &str, folder: &Path) -> Command {
    let path = programs().map_or_else(|| PathBuf::from(name), |programs| programs.join(name));
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]).arg(path);
        command
    } else {
        Command::new(path)
    };
    // In a group of its own, so that Ctrl-C does not reach it.
    command.process_group(0).current_dir(folder).env("LC_ALL", "C").env("TZ", "UTC");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// The folder of the newest version that Debian has installed.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let found = versions.filter_map(|entry| entry.unwrap().file_name().into_string().ok()?.parse::<u32>().ok());
    Some(PathBuf::from(format!("/usr/lib/postgresql/{}/bin", found.max()?)))
}
