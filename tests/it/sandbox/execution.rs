//! Programs that a model wrote are run, and told of so that it can mend them. What hostile ones do is in `sandbox::attacks`.

use std::fs;

use serde_json::{Value, json};

use crate::common::TestServer;
use crate::common::code::{self, PATH, UnprivilegedServer, error, stdout};

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

/// The server stays responsive while programs are busy, and if memory runs short, the kernel ends them first.
#[tokio::test]
async fn programs_yield_to_the_server() {
    if !code::has(&["bwrap", "python3", "setpriv"]) {
        return;
    }
    let server = code::server(json!({})).await;
    assert_eq!(stdout(&code::run(&server, "python", YIELDS).await), "19 1000\n");
    let ordinary = UnprivilegedServer::start(10).await;
    assert_eq!(stdout(&code::run(&ordinary.client, "python", YIELDS).await), "19 1000\n");
    let plain = TestServer::with(&[("PATH", PATH), ("ALLOW_UNSANDBOXED_CODE", "true")]).await;
    code::add(&plain, json!({"sandbox_enabled": false})).await;
    assert_eq!(stdout(&code::run(&plain, "python", YIELDS).await), "19 1000\n");
}

/// The kernel may share the processors out among sessions first; then niceness counts only within one.
#[tokio::test]
async fn the_session_of_a_program_yields_to_that_of_the_server() {
    if !code::has(&["bwrap", "python3", "setpriv"]) || fs::metadata("/proc/self/autogroup").is_err() {
        return;
    }
    let program = "import time
group, until = (lambda: open('/proc/self/autogroup').read().split()[1:]), time.time() + 5
while group() != ['nice', '19'] and time.time() < until: time.sleep(0.01)
print(*group())";
    let own = fs::read_to_string("/proc/self/autogroup").unwrap();
    let (server, ordinary) = (code::server(json!({})).await, UnprivilegedServer::start(10).await);
    for client in [&server, &ordinary.client] {
        assert_eq!(stdout(&code::run(client, "python", program).await), "nice 19\n");
    }
    assert_eq!(fs::read_to_string("/proc/self/autogroup").unwrap(), own, "that of the server is as it was");
}

#[tokio::test]
async fn streams_can_be_opened_by_name() {
    if !code::has(&["bwrap", "python3"]) {
        return;
    }
    let server = code::server(json!({})).await;
    let program = "echo out > /dev/stdout; echo err > /dev/stderr; cat /dev/stdin";
    let done = code::execute(&server, json!({"code": program, "language": "bash", "stdin": "in"})).await;
    let said = (&done["output"]["stdout"], &done["output"]["stderr"]);
    assert_eq!(said, (&json!("out\nin"), &json!("err\n")), "{done}");
}

/// Python starts programs with `vfork`: for a moment they share its memory, and both seem to have it.
#[tokio::test]
async fn memory_that_is_lent_to_a_child_counts_once() {
    if !code::has(&["bwrap", "python3"]) {
        return;
    }
    let server = code::server(json!({"max_memory": 64, "timeout": 30})).await;
    let program = "import os, subprocess, time
kept, until = bytearray(os.urandom(1 << 20)) * 33, time.time() + 3
while time.time() < until:
    try: subprocess.run(['/no/such/program'])
    except OSError: pass
print('done')";
    assert_eq!(stdout(&code::run(&server, "python", program).await), "done\n");
}

/// Tells how modest it is. Without a sandbox a program may have begun before it is made so.
const YIELDS: &str = "import os, time
mine, until = (lambda: open('/proc/self/oom_score_adj').read().strip()), time.time() + 5
while mine() != '1000' and time.time() < until: time.sleep(0.01)
print(os.getpriority(os.PRIO_PROCESS, 0), mine())";
