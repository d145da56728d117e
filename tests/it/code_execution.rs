//! Programs that a model wrote are run, and told of so that it can mend them. What hostile ones do is in `sandbox_attacks`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::code::{self, PATH};
use crate::common::program::free_port;
use crate::common::{Client, TestServer};

fn stdout(done: &Value) -> &str {
    done["output"]["stdout"].as_str().unwrap_or_else(|| panic!("it was not run: {done}"))
}

fn error(done: &Value) -> &str {
    done["error"].as_str().unwrap_or_else(|| panic!("it did not fail: {done}"))
}

#[tokio::test]
async fn a_program_reads_its_input_and_its_output_comes_back() {
    if !code::has(&["bwrap", "python3", "node"]) {
        return;
    }
    let server = code::server(json!({})).await;
    for (language, program) in [
        ("python", "import sys\nprint(sys.stdin.read().upper(), end='')"),
        ("javascript", "process.stdout.write(require('fs').readFileSync(0, 'utf8').toUpperCase())"),
        ("bash", "read -r line; printf '%s' \"${line^^}\""),
    ] {
        let mut done =
            code::execute(&server, json!({"code": program, "language": language, "stdin": "grüße, 世界"})).await;
        for varying in ["duration_ms", "interpreter_version"] {
            assert!(done["metadata"].as_object_mut().unwrap().remove(varying).is_some());
        }
        let expected = json!({"success": true, "tool": "code", "status": "success",
            "output": {"stdout": "GRÜSSE, 世界", "stderr": "", "exit_code": 0}, "error": null,
            "metadata": {"language": language, "exit_code": 0, "sandboxed": true}});
        let expected = if language == "bash" {
            serde_json::from_str(&expected.to_string().replace("GRÜSSE", "GRÜßE")).unwrap()
        } else {
            expected
        };
        assert_eq!(done, expected);
    }
    let default = code::execute(&server, json!({"code": "print(sum(range(5)))"})).await;
    assert_eq!((stdout(&default), &default["metadata"]["language"]), ("10\n", &json!("python")));
}

#[tokio::test]
async fn what_goes_wrong_in_a_program_is_told_in_a_sentence() {
    if !code::has(&["bwrap", "python3", "node"]) {
        return;
    }
    let server = code::server(json!({"timeout": "5"})).await;
    for (language, program, exit_code, expected) in [
        ("python", "print(1/0)", json!(1), "exit code 1: ZeroDivisionError: division by zero"),
        ("python", "def f(:", json!(1), "SyntaxError"),
        ("python", "import sys; sys.exit(3)", json!(3), "The program ended with exit code 3"),
        ("python", "import requests_that_is_not_there", json!(1), "ModuleNotFoundError"),
        ("python", "import os, signal; os.kill(os.getpid(), signal.SIGTERM)", json!(143), "signal 15 (SIGTERM)"),
        ("javascript", "throw new TypeError('a is no number')", json!(1), "exit code 1"),
        ("bash", "no-such-command", json!(127), "no-such-command: command not found"),
    ] {
        let done = code::run(&server, language, program).await;
        assert_eq!((&done["status"], &done["output"]["exit_code"]), (&json!("failure"), &exit_code), "{done}");
        assert!(error(&done).contains(expected), "{done}");
    }
}

#[tokio::test]
async fn cpu_time_is_limited_too() {
    if !code::has(&["bwrap", "python3"]) {
        return;
    }
    let server = code::server(json!({"timeout": 30})).await;
    let limit = code::run(&server, "python", "import resource\nprint(resource.getrlimit(resource.RLIMIT_CPU))").await;
    assert_eq!(stdout(&limit), "(30, 31)\n");
    // How a program ends at it, without the wait: it lowers its own.
    let program = "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (1, 2))\nwhile True: pass";
    let done = code::run(&server, "python", program).await;
    assert_eq!((&done["status"], &done["output"]["exit_code"]), (&json!("failure"), &json!(152)), "{done}");
    assert!(error(&done).contains("CPU time"), "{done}");
}

#[tokio::test]
async fn a_program_that_is_stopped_has_said_something_before() {
    if !code::has(&["bwrap", "python3", "node"]) {
        return;
    }
    let server = code::server(json!({"timeout": 1})).await;
    for (language, program) in [
        ("python", "print('so far')\nwhile True: pass"),
        ("javascript", "console.log('so far'); for (;;);"),
        ("bash", "echo so far; while true; do :; done"),
    ] {
        let done = code::run(&server, language, program).await;
        let expected = json!({"stdout": "so far\n", "stderr": "", "exit_code": null});
        assert_eq!((&done["status"], &done["output"]), (&json!("timeout"), &expected), "{done}");
        assert!(error(&done).contains("did not end within 1.0 seconds"), "{done}");
    }
}

#[tokio::test]
async fn long_output_is_cut_and_marked_and_the_end_of_errors_is_kept() {
    if !code::has(&["bwrap", "python3"]) {
        return;
    }
    let server = code::server(json!({})).await;
    let program = "import sys\nprint('first', 'ä' * 200000)\nprint('x' * 200000, 'last', file=sys.stderr)";
    let done = code::run(&server, "python", program).await;
    assert_eq!((&done["status"], &done["metadata"]["truncated"]), (&json!("success"), &json!(true)));
    let (out, err) = (stdout(&done), done["output"]["stderr"].as_str().unwrap());
    assert!(out.starts_with("first ää") && (60_000..=65_536).contains(&out.len()), "{}", out.len());
    assert!(err.ends_with("x last\n") && (60_000..=65_536).contains(&err.len()), "{}", err.len());

    let done = code::run(&server, "python", "import os\nos.write(1, b'a\\xff\\x00b')").await;
    assert_eq!((stdout(&done), &done["metadata"]["invalid_utf8_replaced"]), ("a\u{fffd}\0b", &json!(true)));
    assert_eq!(done["metadata"].get("truncated"), None);
}

#[tokio::test]
async fn programs_have_a_folder_of_their_own_that_is_gone_afterwards() {
    if !code::has(&["bwrap", "python3", "node"]) {
        return;
    }
    let server = code::server(json!({})).await;
    let writes = "open('helper.py', 'w').write('answer = 42')\nimport helper, os, tempfile\n\
                  tempfile.NamedTemporaryFile()\nprint(helper.answer, os.getcwd(), os.environ['HOME'])";
    assert_eq!(stdout(&code::run(&server, "python", writes).await), "42 /tmp /tmp\n");
    let looks = "import os\nprint(os.listdir('.'))";
    assert_eq!(stdout(&code::run(&server, "python", looks).await), "['main.py']\n");
    // What programs use that look harmless: threads, child processes, event loops, shared memory, databases.
    let uses = "import asyncio, concurrent.futures as f, multiprocessing as m, sqlite3, ssl, subprocess, sys, zoneinfo\n\
                async def main(): return await asyncio.to_thread(lambda: 1)\n\
                print(asyncio.run(main()), m.get_context('fork').Pool(2).map(abs, [-1, -2]), sqlite3.sqlite_version > '3')\n\
                print(subprocess.run([sys.executable, '-c', 'print(5)'], capture_output=True, text=True).stdout)";
    let done = code::run(&server, "python", uses).await;
    assert_eq!(stdout(&done), "1 [1, 2] True\n5\n\n", "{done}");
    let uses = "const {Worker} = require('worker_threads'); new Worker('require(\"worker_threads\").parentPort.postMessage(7)', \
                {eval: true}).on('message', (m) => console.log(m, require('crypto').randomBytes(4).length));";
    assert_eq!(stdout(&code::run(&server, "javascript", uses).await), "7 4\n");
    let module =
        "import {readFileSync} from 'fs';\nconst n = await Promise.resolve(3);\nconsole.log(n, typeof readFileSync);";
    let done = code::run(&server, "javascript", module).await;
    assert_eq!(stdout(&done), "3 function\n", "{done}");
}

#[tokio::test]
async fn only_languages_that_are_allowed_are_offered_and_run() {
    let server = TestServer::with(&[("PATH", PATH)]).await;
    let tool = json!({"name": "code", "type": "code_executor", "config": {"max_memory": "256MB"}});
    server.post("/api/tools", &tool).await.expect(201);
    let schemas = server.get("/api/tools/registry/schemas").await.expect(200);
    let schema = &schemas["schemas"][0];
    assert!(schema["description"].as_str().unwrap().starts_with("Execute code in a sandboxed environment"));
    assert!(schema["description"].as_str().unwrap().contains("256 MB"));
    let parameters = &schema["parameters"];
    assert_eq!(parameters["properties"]["language"]["enum"], json!(["python", "javascript"]));
    assert_eq!(parameters["properties"]["language"]["default"], "python");
    assert_eq!((&parameters["required"], &parameters["additionalProperties"]), (&json!(["code"]), &json!(false)));
    for arguments in [
        json!({"code": "echo", "language": "bash"}),
        json!({"code": "x".repeat(200_001)}),
        json!({"code": ""}),
        json!({"language": "python"}),
        json!({"code": "1", "timeout": 5}),
        json!({"code": 1}),
    ] {
        let refused = server.post("/api/tools/code/execute", &json!({"arguments": arguments})).await;
        assert_eq!(refused.status, 422, "{}", refused.text);
    }
}

#[tokio::test]
async fn a_test_of_the_tool_runs_a_line_in_each_language() {
    if !code::has(&["bwrap", "python3", "node"]) {
        return;
    }
    let server = code::server(json!({})).await;
    let tested = server.post("/api/tools/code/test", &json!({})).await.expect(200);
    assert_eq!(
        (&tested["success"], &tested["message"]),
        (&json!(true), &json!("Code can be run in a sandbox")),
        "{tested}"
    );
    for language in ["python", "javascript", "bash"] {
        let found = &tested["languages"][language];
        assert_eq!((&found["available"], &found["error"]), (&json!(true), &Value::Null), "{tested}");
        assert!(found["version"].as_str().unwrap().contains('.'), "{tested}");
    }
}

/// A folder with links to these programs and nothing else.
fn path_with(programs: &[&str]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for name in programs {
        let target = PATH.split(':').map(|folder| Path::new(folder).join(name)).find(|file| file.exists()).unwrap();
        symlink(target, folder.path().join(name)).unwrap();
    }
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

#[tokio::test]
async fn a_missing_interpreter_is_named_and_the_others_work() {
    if !code::has(&["bwrap", "python3"]) {
        return;
    }
    let folder = path_with(&["bwrap", "python3"]);
    let server = TestServer::with(&[("PATH", folder.path().to_str().unwrap())]).await;
    code::add(&server, json!({"allowed_languages": ["python", "javascript"]})).await;
    let done = code::run(&server, "javascript", "1").await;
    assert_eq!(done["status"], "error", "{done}");
    assert!(error(&done).contains("No javascript interpreter") && error(&done).contains("nodejs"), "{done}");
    assert_eq!(stdout(&code::run(&server, "python", "print(1)").await), "1\n");
    let tested = server.post("/api/tools/code/test", &json!({})).await.expect(200);
    assert_eq!((&tested["success"], &tested["connectivity_status"]), (&json!(false), &json!("failed")), "{tested}");
    assert_eq!(tested["languages"]["python"]["available"], true, "{tested}");
    assert!(tested["languages"]["javascript"]["error"].as_str().unwrap().contains("nodejs"), "{tested}");
}

/// Its modules are there, and so is all that the interpreter needs, though the server keeps its data among it.
#[tokio::test]
async fn a_virtual_environment_is_used_without_what_the_server_keeps_there() {
    if !code::has(&["bwrap", "python3"]) {
        return;
    }
    let folder = TempDir::new().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut venv = Command::new("/usr/bin/python3");
    let made = venv.args(["-m", "venv", "--without-pip", "."]).current_dir(folder.path()).status();
    assert!(made.unwrap().success());
    let version = fs::read_dir(folder.path().join("lib")).unwrap().next().unwrap().unwrap();
    let data = version.path().join("site-packages/data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(data.join("secret.txt"), "secret").unwrap();
    let path = format!("{}/bin:{PATH}", folder.path().display());
    let server = TestServer::with(&[("PATH", &path), ("DATA_DIR", data.to_str().unwrap())]).await;
    code::add(&server, json!({})).await;
    let program = "import site, os, sys\ndata = os.path.join(site.getsitepackages()[0], 'data')\n\
                   print(sys.prefix, os.listdir(data))\nopen(os.path.join(data, 'x'), 'w')";
    let done = code::run(&server, "python", program).await;
    assert_eq!(stdout(&done), format!("{} []\n", folder.path().display()), "{done}");
    assert!(error(&done).contains("Read-only file system"), "{done}");
}

#[tokio::test]
async fn without_bubblewrap_nothing_is_run_and_the_error_says_what_to_install() {
    if !code::has(&["python3"]) {
        return;
    }
    let folder = path_with(&["python3"]);
    let path = folder.path().to_str().unwrap();
    let server = TestServer::with(&[("PATH", path)]).await;
    // `sandbox_enabled` is the tool's wish, which the operator has not granted.
    code::add(&server, json!({"sandbox_enabled": false, "allowed_languages": "python"})).await;
    let done = code::run(&server, "python", "print(1)").await;
    assert_eq!((&done["status"], &done["output"]), (&json!("error"), &Value::Null), "{done}");
    assert!(error(&done).contains("install the package bubblewrap"), "{done}");
    let tested = server.post("/api/tools/code/test", &json!({})).await.expect(200);
    assert!(tested["message"].as_str().unwrap().contains("bubblewrap"), "{tested}");
}

/// A stand-in for bubblewrap on a machine whose kernel forbids what it does.
#[tokio::test]
async fn a_machine_that_allows_no_namespaces_is_told_of() {
    if !code::has(&["python3"]) {
        return;
    }
    let folder = path_with(&["python3"]);
    let stand_in = folder.path().join("bwrap");
    fs::write(
        &stand_in,
        "#!/bin/sh\necho 'bwrap: No permissions to create a new namespace, likely because.' >&2\nexit 1\n",
    )
    .unwrap();
    fs::set_permissions(&stand_in, fs::Permissions::from_mode(0o755)).unwrap();
    let server = TestServer::with(&[("PATH", folder.path().to_str().unwrap())]).await;
    code::add(&server, json!({})).await;
    let done = code::run(&server, "python", "print(1)").await;
    assert_eq!(done["status"], "error", "{done}");
    assert!(error(&done).contains("No permissions") && error(&done).contains("unprivileged_userns_clone"), "{done}");
}

#[tokio::test]
async fn without_a_sandbox_only_if_the_operator_allows_it() {
    if !code::has(&["bwrap", "python3"]) {
        return;
    }
    let allowed = TestServer::with(&[("PATH", PATH), ("ALLOW_UNSANDBOXED_CODE", "true")]).await;
    code::add(&allowed, json!({"sandbox_enabled": false, "timeout": 5})).await;
    let looks = "import os, sys\nprint(os.path.exists('/etc/passwd'), 'CARGO_MANIFEST_DIR' in os.environ, os.getcwd())";
    let done = code::run(&allowed, "python", looks).await;
    let folder = stdout(&done).strip_prefix("True False ").unwrap_or_else(|| panic!("{done}")).trim();
    assert_eq!(done["metadata"]["sandboxed"], false, "{done}");
    wait_until(|| !Path::new(folder).exists(), "its folder is left behind").await;
    let leaves = "import os, time\npid = os.fork()\nif pid == 0:\n    time.sleep(100)\nprint(pid, flush=True)";
    let done = code::run(&allowed, "python", leaves).await;
    let child = Path::new("/proc").join(stdout(&done).trim());
    wait_until(|| !child.join("exe").exists(), "a child was left running").await;
    let tested = allowed.post("/api/tools/code/test", &json!({})).await.expect(200);
    assert_eq!(
        (&tested["sandboxed"], &tested["message"]),
        (&json!(false), &json!("Code can be run without a sandbox"))
    );

    let refused = code::server(json!({"sandbox_enabled": false})).await;
    let done = code::run(&refused, "python", looks).await;
    assert!(stdout(&done).starts_with("False"), "{done}");
    assert_eq!(done["metadata"]["sandboxed"], true, "{done}");
}

async fn wait_until(holds: impl Fn() -> bool, problem: &str) {
    let until = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < until, "{problem}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The processes of this machine that have a text in their command line.
fn with_argument(text: &str) -> usize {
    let all = fs::read_dir("/proc").unwrap().flatten();
    all.filter(|entry| fs::read_to_string(entry.path().join("cmdline")).is_ok_and(|line| line.contains(text))).count()
}

#[tokio::test]
async fn when_the_caller_leaves_nothing_keeps_running() {
    if !code::has(&["bwrap", "python3"]) {
        return;
    }
    let server = code::server(json!({"timeout": 60})).await;
    let marker = format!("left-behind-{}", free_port());
    let program = format!(
        "import os, subprocess, sys\nos.setsid() if os.fork() == 0 else None\n\
         subprocess.run([sys.executable, '-c', 'while True: pass', '{marker}'])"
    );
    let body = json!({"arguments": {"code": program}}).to_string();
    let request =
        server.request("POST", "/api/tools/code/execute").header("content-type", "application/json").body(body);
    let call = tokio::spawn(request.send());
    wait_until(|| with_argument(&marker) == 2, "the program did not start").await;
    call.abort();
    wait_until(|| with_argument(&marker) == 0, "the program outlived its caller").await;
    // At whatever moment the caller leaves: the sandbox is not even built, or just then.
    let folder = TempDir::new().unwrap();
    let path = stand_in(folder.path(), "exec -a \"$0\" REAL \"$@\"");
    let server = TestServer::with(&[("PATH", &path)]).await;
    code::add(&server, json!({"timeout": 60})).await;
    for milliseconds in 0..40 {
        let (client, code) = (server.clone(), format!("import time\ntime.sleep(50)  # {milliseconds}"));
        let call = tokio::spawn(async move { code::run(&client, "python", &code).await });
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        call.abort();
    }
    let own = folder.path().to_str().unwrap();
    wait_until(|| with_argument(own) == 0, "a sandbox outlived its caller").await;
}

/// A folder's own `bwrap`, which does this with the real one; a `PATH` with it.
fn stand_in(folder: &Path, script: &str) -> String {
    let real = PATH.split(':').map(|folder| Path::new(folder).join("bwrap")).find(|file| file.exists()).unwrap();
    let file = folder.join("bwrap");
    fs::write(&file, format!("#!/bin/bash\n{}\n", script.replace("REAL", real.to_str().unwrap()))).unwrap();
    for path in [&file, folder] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    format!("{}:{PATH}", folder.display())
}

/// Bubblewrap's own promise that its processes end with it is not all that is relied on.
#[tokio::test]
async fn when_the_caller_leaves_all_processes_are_killed_one_way_or_another() {
    if !code::has(&["bwrap", "python3"]) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let path = stand_in(folder.path(), "exec REAL \"${@/--die-with-parent/--unshare-uts}\"");
    let server = TestServer::with(&[("PATH", &path)]).await;
    code::add(&server, json!({"timeout": 60})).await;
    let marker = format!("clinging-{}", free_port());
    let program =
        format!("import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'while True: pass', '{marker}'])");
    let client = server.clone();
    let call = tokio::spawn(async move { code::run(&client, "python", &program).await });
    wait_until(|| with_argument(&marker) == 1, "the program did not start").await;
    call.abort();
    wait_until(|| with_argument(&marker) == 0, "the program outlived its caller").await;
}

/// The binary as an ordinary user starts it, with a file open that it knows nothing of.
struct Ordinary {
    child: std::process::Child,
    client: Client,
    folder: TempDir,
}

impl Ordinary {
    async fn start(timeout: u32) -> Self {
        Self::start_in(TempDir::new().unwrap(), PATH, timeout).await
    }

    async fn start_in(folder: TempDir, path: &str, timeout: u32) -> Self {
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
        code::add(&server.client, json!({"timeout": timeout, "max_memory": 128})).await;
        server
    }
}

impl Drop for Ordinary {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test]
async fn an_ordinary_user_has_the_same_walls() {
    if !code::has(&["bwrap", "python3", "setpriv"]) {
        return;
    }
    let server = Ordinary::start(10).await;
    let folder = server.folder.path().display();
    let looks = format!(
        "import os, resource\nprint(sorted(n for n in os.listdir('/proc/self/fd') if os.path.exists('/proc/self/fd/' + n)))\n\
         print(os.path.exists('{folder}'), os.path.exists('/etc/passwd'), os.getuid(), resource.getrlimit(resource.RLIMIT_NPROC))\n\
         print('canary' in str(os.environ), len([n for n in os.listdir('/proc') if n.isdigit()]))"
    );
    let done = code::run(&server.client, "python", &looks).await;
    assert_eq!(stdout(&done), "['0', '1', '2']\nFalse False 1000 (64, 64)\nFalse 2\n", "{done}");
    let eats = "import os, time\nfor _ in range(20):\n    if os.fork() == 0:\n        x = bytearray(os.urandom(1 << 20)) * 40\n\
                time.sleep(60)";
    let done = code::run(&server.client, "python", eats).await;
    assert!(error(&done).contains("more than 128 MB of memory"), "{done}");
    let fills = "import os, time\nfor n in range(60): open(str(n), 'wb').write(bytes(1 << 20))\n\
                 x = bytearray(os.urandom(1 << 20)) * 90\ntime.sleep(60)";
    let done = code::run(&server.client, "python", fills).await;
    assert!(error(&done).contains("more than 128 MB of memory"), "{done}");
}

#[tokio::test]
async fn programs_end_with_a_server_that_is_killed() {
    if !code::has(&["bwrap", "python3", "setpriv"]) {
        return;
    }
    let mut server = Ordinary::start(60).await;
    let marker = format!("orphan-{}", free_port());
    let program = format!(
        "import os, subprocess, sys\nos.setsid() if os.fork() == 0 else None\n\
         subprocess.run([sys.executable, '-c', 'while True: pass', '{marker}'])"
    );
    let client = server.client.clone();
    let call = tokio::spawn(async move {
        let body = json!({"arguments": {"code": program}}).to_string();
        let request = client.request("POST", "/api/tools/code/execute").header("content-type", "application/json");
        request.body(body).send().await.is_ok()
    });
    wait_until(|| with_argument(&marker) == 2, "the program did not start").await;
    server.child.kill().unwrap();
    wait_until(|| with_argument(&marker) == 0, "the program outlived the server").await;
    assert!(!call.await.unwrap());
}

/// Killed at the worst moment: the sandbox is just being built, and nobody is there any longer to limit or stop it.
#[tokio::test]
async fn nothing_is_run_for_a_server_that_is_killed_first() {
    if !code::has(&["bwrap", "python3", "setpriv"]) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let path = stand_in(folder.path(), "kill -KILL $PPID\nexec -a \"$0\" REAL \"$@\"");
    let mut server = Ordinary::start_in(folder, &path, 60).await;
    let body = json!({"arguments": {"code": "while True: pass"}}).to_string();
    let request = server.client.request("POST", "/api/tools/code/execute").header("content-type", "application/json");
    assert!(request.body(body).send().await.is_err(), "the server was not killed");
    server.child.wait().unwrap();
    let own = server.folder.path().join("bwrap");
    wait_until(|| with_argument(own.to_str().unwrap()) == 0, "a sandbox outlived the server").await;
}
