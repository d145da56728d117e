//! Tools that run code, and what their programs leave behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::program::free_port;
use super::{Client, TestServer, programs_are_required};

/// Where the programs are that the tests themselves find.
pub const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Whether these programs are there; where they are required, a missing one fails the test.
pub fn has(programs: &[&str]) -> bool {
    let found = |name: &&&str| PATH.split(':').any(|folder| Path::new(folder).join(name).is_file());
    let missing: Vec<_> = programs.iter().filter(|name| !found(name)).collect();
    assert!(missing.is_empty() || !programs_are_required(), "not installed: {missing:?}");
    missing.is_empty()
}

/// Adds a tool named `code` that runs all languages, with these options besides.
pub async fn add(client: &Client, options: Value) {
    let mut config = json!({"allowed_languages": "python,javascript,bash"});
    config.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    let tool = json!({"name": "code", "type": "code_executor", "config": config});
    client.post("/api/tools", &tool).await.expect(201);
}

/// A server with such a tool.
pub async fn server(options: Value) -> TestServer {
    let server = TestServer::with(&[("PATH", PATH)]).await;
    add(&server, options).await;
    server
}

/// Runs the tool `code`.
pub async fn execute(client: &Client, arguments: Value) -> Value {
    client.post("/api/tools/code/execute", &json!({"arguments": arguments})).await.expect(200)
}

/// Runs a program with the tool `code`.
pub async fn run(client: &Client, language: &str, code: &str) -> Value {
    execute(client, json!({"code": code, "language": language})).await
}

/// The processes of this machine that are in a namespace of process numbers, as `/proc/self/ns/pid` names it.
fn processes_in(namespace: &str) -> Vec<String> {
    let all = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let inside = |path: &std::path::PathBuf| {
        std::fs::read_link(path.join("ns/pid")).is_ok_and(|link| link == Path::new(namespace))
    };
    let name = |path: std::path::PathBuf| std::fs::read_to_string(path.join("cmdline")).unwrap_or_default();
    all.filter(inside).map(|path| format!("{}: {}", path.display(), name(path.clone()))).collect()
}

/// Waits until nothing runs in a namespace any longer. Numbers of namespaces are used again, hence the patience.
pub async fn nothing_left_in(namespace: &str) {
    assert!(namespace.starts_with("pid:["), "{namespace} is no namespace");
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let left = processes_in(namespace);
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < until, "left behind: {left:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What a program wrote.
pub fn stdout(done: &Value) -> &str {
    done["output"]["stdout"].as_str().unwrap_or_else(|| panic!("it was not run: {done}"))
}

/// What is said of a program that failed.
pub fn error(done: &Value) -> &str {
    done["error"].as_str().unwrap_or_else(|| panic!("it did not fail: {done}"))
}

/// Waits until something is so.
pub async fn wait_until(holds: impl Fn() -> bool, problem: &str) {
    let until = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < until, "{problem}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The processes of this machine that have a text in their command line.
pub fn with_argument(text: &str) -> usize {
    let all = fs::read_dir("/proc").unwrap().flatten();
    all.filter(|entry| fs::read_to_string(entry.path().join("cmdline")).is_ok_and(|line| line.contains(text))).count()
}

/// A folder's own `bwrap`, which does this with the real one; a `PATH` with it.
pub fn stand_in(folder: &Path, script: &str) -> String {
    let real = PATH.split(':').map(|folder| Path::new(folder).join("bwrap")).find(|file| file.exists()).unwrap();
    let file = folder.join("bwrap");
    fs::write(&file, format!("#!/bin/bash\n{}\n", script.replace("REAL", real.to_str().unwrap()))).unwrap();
    for path in [&file, folder] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    format!("{}:{PATH}", folder.display())
}

/// The binary as an ordinary user starts it, with a file open that it knows nothing of.
pub struct UnprivilegedServer {
    pub child: std::process::Child,
    pub client: Client,
    pub folder: TempDir,
}

impl UnprivilegedServer {
    pub async fn start(timeout: u32) -> Self {
        Self::start_in(TempDir::new().unwrap(), PATH, timeout).await
    }

    pub async fn start_in(folder: TempDir, path: &str, timeout: u32) -> Self {
        let port = free_port().to_string();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let binary = folder.path().join("server");
        // The build's folder may be closed to others.
        fs::copy(env!("CARGO_BIN_EXE_orchestrator-studio"), &binary).unwrap();
        fs::write(folder.path().join("open.txt"), "inherited").unwrap();
        let mut command = Command::new("bash");
        command.args(["-c", "exec 9<open.txt; exec \"$@\"", "bash"]);
        if rustix::process::geteuid().is_root() {
            command.args(["setpriv", "--reuid=61150", "--regid=61150", "--clear-groups", "--inh-caps=-all"]);
        }
        command.arg(binary).env_clear().envs([("PATH", path), ("API_PORT", &port), ("SECRET_OF_THE_SERVER", "canary")]);
        let child = command.current_dir(folder.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let server = Self { child, client: Client::new(format!("http://127.0.0.1:{port}")), folder };
        let until = Instant::now() + Duration::from_secs(30);
        while server.client.request("GET", "/readyz").send().await.is_err() {
            assert!(Instant::now() < until, "the server did not start");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        add(&server.client, json!({"timeout": timeout, "max_memory": 128})).await;
        server
    }
}

impl Drop for UnprivilegedServer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
