//! A Redis of the test's own, to be stopped, killed and started again.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::program::free_port;

const PASSWORD: &str = "canary-redis-password";

pub struct RedisServer {
    child: Child,
    port: u16,
    folder: TempDir,
    persistent: bool,
}

impl RedisServer {
    /// One that forgets everything when it is killed.
    pub fn start() -> Self {
        Self::launch(free_port(), TempDir::new().unwrap(), false)
    }

    /// One that also speaks TLS, at the port that is returned, with this certificate and key.
    pub fn with_tls(certificate: &Path, key: &Path) -> (Self, u16) {
        let (redis, port) = (Self::start(), free_port());
        let (certificate, key) = (certificate.display().to_string(), key.display().to_string());
        let set = ["tls-cert-file", &certificate, "tls-key-file", &key, "tls-auth-clients", "no", "tls-port"];
        redis.cli(&[&["CONFIG", "SET"][..], &set, &[&port.to_string()]].concat());
        (redis, port)
    }

    /// One that keeps every write.
    pub fn persistent() -> Self {
        Self::launch(free_port(), TempDir::new().unwrap(), true)
    }

    /// One at a given port.
    pub fn at(port: u16) -> Self {
        Self::launch(port, TempDir::new().unwrap(), false)
    }

    fn launch(port: u16, folder: TempDir, persistent: bool) -> Self {
        let append = if persistent { "yes" } else { "no" };
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--requirepass", PASSWORD])
            .args(["--save", "", "--appendonly", append, "--appendfsync", "always", "--dir"])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("redis-server (Debian's package of that name): {error}"));
        let until = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "redis-server did not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { child, port, folder, persistent }
    }

    pub fn url(&self) -> String {
        Self::url_at(self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url_at(port: u16) -> String {
        format!("redis://:{PASSWORD}@127.0.0.1:{port}/0")
    }

    /// What `redis-cli` prints for a command.
    pub fn cli(&self, command: &[&str]) -> String {
        let port = self.port.to_string();
        let run = Command::new("redis-cli").env("REDISCLI_AUTH", PASSWORD).args(["-p", &port]).args(command).output();
        let output = run.unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Sends a signal by name, such as STOP.
    pub fn signal(&self, name: &str) {
        let done = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(done.success());
    }

    /// kill -9; gives what is needed to start it again.
    pub fn kill(mut self) -> Killed {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let folder = std::mem::replace(&mut self.folder, TempDir::new().unwrap());
        Killed { port: self.port, folder, persistent: self.persistent }
    }
}

/// A Redis that was killed.
pub struct Killed {
    port: u16,
    folder: TempDir,
    persistent: bool,
}

impl Killed {
    /// Starts it again, at the same port.
    pub fn start(self) -> RedisServer {
        RedisServer::launch(self.port, self.folder, self.persistent)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // Already dead after `kill`.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
