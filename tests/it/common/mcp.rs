//! MCP servers: the real ones that `tests/mcp-servers/install` brings, and stand-ins down to the bytes.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::databases::variable;
use super::program::free_port;
use super::upstream::json_reply;
use super::{Act, Answer, Seen, TestServer, Upstream};

/// A real server's program, with what it takes to start it.
#[derive(Clone, Debug)]
pub struct RealServer {
    pub command: String,
    pub stdio: Vec<String>,
    http: Vec<String>,
}

fn beside(file: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mcp-servers").join(file).display().to_string()
}

/// The reference server of the protocol's authors, on their TypeScript SDK.
pub fn everything() -> RealServer {
    let script = variable("TEST_MCP_EVERYTHING");
    let node = |mode: &str| vec!["--require".to_owned(), beside("web-crypto.cjs"), script.clone(), mode.to_owned()];
    RealServer { command: "node".to_owned(), stdio: node("stdio"), http: node("streamableHttp") }
}

/// `server.py` on the Python SDK: of generation 2, which speaks the newest revision, or 1, which knows only those before.
pub fn python(generation: u8) -> RealServer {
    let command = variable(&format!("TEST_MCP_PYTHON_{generation}"));
    RealServer { command, stdio: vec![beside("server.py")], http: vec![beside("server.py"), "http".to_owned()] }
}

/// A real server that listens.
pub struct Listening {
    child: Child,
    port: u16,
    server: RealServer,
}

impl Listening {
    /// Starts it on a free port, and waits until it answers.
    pub async fn start(server: &RealServer) -> Self {
        let port = free_port();
        let listening = Self { child: launch(server, port), port, server: server.clone() };
        listening.answers().await;
        listening
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/mcp", self.port)
    }

    /// Kills it and starts it again on the same port; it remembers nothing.
    pub async fn restart(&mut self) {
        self.child.kill().await.unwrap();
        self.child = launch(&self.server, self.port);
        self.answers().await;
    }

    async fn answers(&self) {
        let until = Instant::now() + Duration::from_secs(60);
        while tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
            assert!(Instant::now() < until, "the server does not start: {:?}", self.server);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn launch(server: &RealServer, port: u16) -> Child {
    let mut command = Command::new(&server.command);
    command.args(&server.http).arg(port.to_string()).env("PORT", port.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap()
}

/// An orchestrator that may start these commands, and finds them on our PATH.
pub async fn allowing(commands: &[&str], more: &[(&str, &str)]) -> TestServer {
    let (path, commands) = (variable("PATH"), commands.join(","));
    let mut variables = vec![("PATH", path.as_str()), ("MCP_STDIO_COMMANDS", commands.as_str())];
    variables.extend_from_slice(more);
    TestServer::with(&variables).await
}

/// Configures an MCP server under the name `tools::mcp_servers`.
pub async fn configure(server: &TestServer, config: &Value) {
    let tool = json!({"name": "mcp", "type": "mcp", "config": config});
    server.post("/api/tools", &tool).await.expect(201);
}

/// Configures an MCP server that is started as a process.
pub async fn configure_stdio(server: &TestServer, real: &RealServer) {
    configure(server, &json!({"command": real.command, "args": real.stdio})).await;
}

/// A shell script as an MCP server.
pub async fn configure_script(server: &TestServer, script: &str) {
    configure(server, &json!({"command": "sh", "args": ["-c", script]})).await;
}

pub async fn call(server: &TestServer, tool: &str, arguments: Value) -> Value {
    try_call(server, tool, arguments).await.expect(200)
}

pub async fn try_call(server: &TestServer, tool: &str, arguments: Value) -> Answer {
    server.post("/api/tools/mcp/execute", &json!({"tool": tool, "arguments": arguments})).await
}

pub async fn test(server: &TestServer) -> Value {
    server.post("/api/tools/mcp/test", &json!({})).await.expect(200)
}

/// The names of all functions, and the problems.
pub async fn functions(server: &TestServer) -> (Vec<String>, String) {
    let answer = server.get("/api/tools/registry/schemas").await.expect(200);
    let names = answer["schemas"].as_array().unwrap().iter().map(|schema| schema["name"].as_str().unwrap().to_owned());
    (names.collect(), answer["problems"].to_string())
}

/// The function of this name, as the registry shows it.
pub async fn function(server: &TestServer, name: &str) -> Option<Value> {
    let answer = server.get("/api/tools/registry/schemas").await.expect(200);
    answer["schemas"].as_array().unwrap().iter().find(|schema| schema["name"] == name).cloned()
}

/// A tool as a server lists it.
pub fn listed(name: &str, description: &str) -> Value {
    json!({"name": name, "description": description, "inputSchema": {"type": "object"}})
}

/// A stand-in that speaks the newest revision. `script` answers what it wants to; the rest is answered as a harmless server
/// with the tool `echo` would.
pub async fn modern(script: impl Fn(&Seen) -> Option<Vec<Act>> + Send + Sync + 'static) -> Upstream {
    Upstream::start(move |seen, _| script(seen).unwrap_or_else(|| harmless(seen))).await
}

pub fn harmless(seen: &Seen) -> Vec<Act> {
    let result = match seen.body["method"].as_str() {
        Some("server/discover") => json!({
            "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "resultType": "complete",
            "ttlMs": 1000, "cacheScope": "private",
            "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "stand-in", "version": "7"}},
        }),
        Some("tools/list") => return tools(seen, &[listed("echo", "Says it again")]),
        Some("tools/call") => json!({
            "resultType": "complete", "content": [{"type": "text", "text": seen.body["params"]["arguments"].to_string()}],
        }),
        _ => return json_reply("202 Accepted", &Value::Null),
    };
    result_reply(seen, &result)
}

/// A list of these tools.
pub fn tools(seen: &Seen, tools: &[Value]) -> Vec<Act> {
    let result = json!({"tools": tools, "resultType": "complete", "ttlMs": 60_000, "cacheScope": "private"});
    result_reply(seen, &result)
}

pub fn result_reply(seen: &Seen, result: &Value) -> Vec<Act> {
    json_reply("200 OK", &json!({"jsonrpc": "2.0", "id": seen.body["id"], "result": result}))
}

pub fn is(seen: &Seen, method: &str) -> bool {
    seen.body["method"] == method
}

/// How many of the requests had this method.
pub fn count(upstream: &Upstream, method: &str) -> usize {
    upstream.seen().iter().filter(|seen| is(seen, method)).count()
}

/// Waits until this process has ended. One that nobody has waited for yet may still be listed.
pub async fn gone(pid: i64) {
    super::sources::wait_for(async || !is_alive(pid)).await;
}

pub fn is_alive(pid: i64) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// The number of a process that a script has written to a file.
pub async fn number_in(file: &Path) -> i64 {
    let read = || std::fs::read_to_string(file).ok()?.trim().parse().ok();
    super::sources::wait_for(async || read().is_some()).await;
    read().unwrap()
}

/// The config of `scripted.py` with this plan; the command is `python3`.
pub fn scripted(plan: &Value) -> Value {
    json!({"command": "python3", "args": [beside("scripted.py"), plan.to_string()]})
}

/// What `scripted.py` has noted in this file.
pub fn notes(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// The numbers of the processes that have noted their start in this file.
pub fn starts(file: &Path) -> Vec<i64> {
    notes(file).iter().filter_map(|line| line.strip_prefix("start ")?.parse().ok()).collect()
}
