//! MCP servers that are processes: which may be started, how many there are, and that none is left behind.

use futures_util::future::join_all;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::databases::variable;
use crate::common::mcp::{
    allowing, call, configure, configure_script, configure_stdio, functions, gone, is_alive, number_in, python, test,
    try_call,
};
use crate::common::sources::wait_for;
use crate::common::{Program, TestServer};

/// A shell command that becomes `server.py`.
fn become_server() -> String {
    let real = python(2);
    format!("exec {} {}", real.command, real.stdio[0])
}

async fn pid(server: &TestServer) -> i64 {
    call(server, "process", json!({})).await["output"]["result"].as_i64().unwrap()
}

#[tokio::test]
async fn only_what_the_operator_has_listed_can_be_configured() {
    let server = allowing(&["uvx", "/opt/mcp/run"], &[]).await;
    for command in ["sh", "uvx ", "/opt/mcp/run2", "../uvx", "/usr/bin/uvx"] {
        let tool = json!({"name": "mcp", "type": "mcp", "config": {"command": command, "args": []}});
        let refused = server.post("/api/tools", &tool).await.expect(422);
        assert_eq!(refused["errors"][0]["loc"], json!(["body", "config", "command"]), "{refused}");
        assert!(refused.to_string().contains("MCP_STDIO_COMMANDS"), "{refused}");
    }
    configure(&server, &json!({"command": "uvx", "args": ["some-server"]})).await;
    let other = json!({"name": "mcp", "type": "mcp", "config": {"command": "sh"}});
    let refused = server.put("/api/tools/mcp", &other).await.expect(422);
    assert_eq!(refused["errors"][0]["loc"], json!(["body", "config", "command"]), "{refused}");
    let bare = TestServer::bare().await;
    let tool = json!({"name": "mcp", "type": "mcp", "config": {"command": "uvx"}});
    bare.post("/api/tools", &tool).await.expect(422);
}

#[tokio::test]
async fn a_tool_cannot_make_another_program_of_an_allowed_command() {
    let server = allowing(&["uvx"], &[]).await;
    for name in ["PATH", "LD_PRELOAD", "LD_LIBRARY_PATH", "BASH_ENV", "ENV", "NODE_OPTIONS", "PYTHONPATH"] {
        let config = json!({"command": "uvx", "env": {"REGION": "eu", name: "/tmp/canary-place"}});
        let tool = json!({"name": "mcp", "type": "mcp", "config": config});
        let refused = server.post("/api/tools", &tool).await.expect(422);
        assert_eq!(refused["errors"][0]["loc"], json!(["body", "config", "env"]), "{refused}");
        assert!(refused["errors"][0]["msg"].as_str().unwrap().contains(name), "{refused}");
        assert!(!refused.to_string().contains("canary"), "{refused}");
    }
}

#[tokio::test]
async fn a_kept_credential_stays_with_the_program_it_was_given_to() {
    let server = allowing(&["uvx", "npx"], &[]).await;
    let env = json!({"GITHUB_PAT": "canary-pat", "DB_PASS": "canary-pass", "PROXY": "http://proxy.test"});
    let args = json!(["tickets", "--api-key", "canary-key", "--token=canary-token"]);
    configure(&server, &json!({"command": "uvx", "args": args, "env": env})).await;
    let shown = server.get("/api/tools/mcp").await.expect(200);
    assert_eq!(shown["config"]["args"], json!(["tickets", "--api-key", "********", "--token=********"]));
    assert!(!shown.to_string().contains("canary") && !shown.to_string().contains("proxy.test"), "{shown}");

    // What is sent back as it was read keeps everything, and so does a new credential beside the kept ones.
    let mut same = shown.clone();
    same["description"] = json!("Tickets");
    same["config"]["env"]["GITHUB_PAT"] = json!("canary-new");
    server.put("/api/tools/mcp", &same).await.expect(200);
    let stored = crate::common::resources::TOOLS.stored(server.folder());
    for kept in ["canary-new", "canary-pass", "http://proxy.test", "canary-key", "--token=canary-token"] {
        assert!(stored.contains(kept), "{stored}");
    }
    let moves: [fn(&mut Value); 5] = [
        |config| config["args"][0] = json!("other"),
        |config| config["args"] = json!(["-c", "echo $GITHUB_PAT"]),
        |config| config["command"] = json!("npx"),
        |config| config["env"]["PROXY"] = json!("http://elsewhere.test"),
        |config| config["env"]["MORE"] = json!("yes"),
    ];
    for change in moves {
        let mut moved = shown.clone();
        change(&mut moved["config"]);
        let refused = server.put("/api/tools/mcp", &moved).await.expect(422);
        assert!(refused["errors"][0]["msg"].as_str().unwrap().contains("another server"), "{refused}");
        assert!(!refused.to_string().contains("canary"), "{refused}");
    }
    // A mask that stands for nothing stored is no argument.
    let tool = json!({"name": "b", "type": "mcp", "config": {"command": "uvx", "args": ["--token=********"]}});
    let refused = server.post("/api/tools", &tool).await.expect(422);
    assert_eq!(refused["errors"][0]["loc"], json!(["body", "config", "args", 0]), "{refused}");
}

#[tokio::test]
async fn a_tool_of_a_file_whose_command_is_not_listed_is_never_started() {
    let folder = TempDir::new().unwrap();
    let trace = folder.path().join("started");
    let config = json!({"command": "touch", "args": [trace]});
    let file = folder.path().join("tools.json");
    std::fs::write(&file, json!({"tools": [{"name": "mcp", "type": "mcp", "config": config}]}).to_string()).unwrap();
    let server = allowing(&["sh"], &[("TOOLS_CONFIG_PATH", file.to_str().unwrap())]).await;

    let tested = test(&server).await;
    assert_eq!((&tested["success"], &tested["connectivity_tested"]), (&json!(false), &json!(false)), "{tested}");
    assert!(tested["message"].as_str().unwrap().contains("MCP_STDIO_COMMANDS"), "{tested}");
    let called = call(&server, "anything", json!({})).await;
    assert_eq!(called["status"], "error");
    assert!(called["error"].as_str().unwrap().contains("the command 'touch' is none of those"), "{called}");
    let (names, problems) = functions(&server).await;
    assert!(names.is_empty() && problems.contains("MCP_STDIO_COMMANDS"), "{problems}");
    assert!(!trace.exists());
}

#[tokio::test]
async fn callers_who_come_at_once_share_one_process() {
    let server = allowing(&["sh"], &[("TOOLS_MAX_CONCURRENT", "20")]).await;
    let folder = TempDir::new().unwrap();
    let starts = folder.path().join("starts");
    configure_script(&server, &format!("echo start >> {}; {}", starts.display(), become_server())).await;
    let pids = join_all((0..12).map(|_| pid(&server))).await;
    assert!(pids.iter().all(|other| *other == pids[0]), "{pids:?}");
    assert_eq!(std::fs::read_to_string(&starts).unwrap(), "start\n");
    // A test is of the server as it would start now, and leaves the shared process alone.
    assert_eq!(test(&server).await["success"], true);
    assert_eq!(pid(&server).await, pids[0]);
    assert_eq!(std::fs::read_to_string(&starts).unwrap(), "start\nstart\n");
}

#[tokio::test]
async fn a_first_caller_who_leaves_does_not_stop_the_start_for_the_others() {
    let server = allowing(&["sh"], &[]).await;
    let folder = TempDir::new().unwrap();
    let starts = folder.path().join("starts");
    configure_script(&server, &format!("echo start >> {}; sleep 1; {}", starts.display(), become_server())).await;
    tokio::select! {
        answer = try_call(&server, "process", json!({})) => panic!("{}", answer.json()),
        () = wait_for(async || starts.exists()) => {}
    }
    pid(&server).await;
    assert_eq!(std::fs::read_to_string(&starts).unwrap(), "start\n");
}

#[tokio::test]
async fn a_process_and_its_children_end_with_the_tool() {
    let server = allowing(&["sh"], &[]).await;
    let folder = TempDir::new().unwrap();
    let child = folder.path().join("child");
    // The child has left the pipes, and would live on.
    let script = format!("sleep 90 </dev/null >/dev/null 2>&1 & echo $! > {}; {}", child.display(), become_server());
    let config = json!({"command": "sh", "args": ["-c", script]});
    configure(&server, &config).await;
    let first = pid(&server).await;
    let childs = number_in(&child).await;
    assert!(is_alive(first) && is_alive(childs));

    let changed = json!({"name": "mcp", "type": "mcp", "config": config, "description": "Another one"});
    server.put("/api/tools/mcp", &changed).await.expect(200);
    gone(first).await;
    gone(childs).await;

    let second = pid(&server).await;
    assert_ne!(first, second);
    server.delete("/api/tools/mcp").await.expect(200);
    gone(second).await;
    gone(number_in(&child).await).await;
}

#[tokio::test]
async fn no_process_outlives_the_server() {
    let server = allowing(&["sh"], &[]).await;
    // It ignores that its input is closed, and signals that it may ignore.
    let script = format!("trap '' TERM HUP INT; {}", become_server().replace("exec ", ""));
    configure_script(&server, &format!("{script}; sleep 90")).await;
    let process = pid(&server).await;
    server.stop().await;
    assert!(!is_alive(process));
}

#[tokio::test]
async fn no_process_outlives_a_program_that_is_told_to_stop() {
    let folder = TempDir::new().unwrap();
    let path = variable("PATH");
    let levels = ("LOG_LEVEL", "debug,rmcp=off");
    let variables = [("MCP_STDIO_COMMANDS", "sh"), ("PATH", &path), levels, ("LOG_CONTENT", "true")];
    let program = Program::start("serve", folder.path(), &variables).await;
    let script = format!("echo \"hello, I got $MY_TOKEN\" >&2; {}", become_server());
    let env = json!({"MY_TOKEN": "canary-token-4711"});
    let tool = json!({"name": "mcp", "type": "mcp", "config": {"command": "sh", "args": ["-c", script], "env": env}});
    program.client.post("/api/tools", &tool).await.expect(201);
    let leak = json!({"arguments": {"name": "MY_TOKEN"}});
    program.client.post("/api/tools/mcp__variable/execute", &leak).await.expect(200);
    let told = program.client.post("/api/tools/mcp__process/execute", &json!({})).await.expect(200);
    let process = told["output"]["result"].as_i64().unwrap();
    assert!(is_alive(process));
    program.signal("TERM");
    let log = program.log.clone();
    assert_eq!(program.wait(), Some(0));
    gone(process).await;
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("hello, I got ********") && !log.contains("canary"), "{log}");
}

#[tokio::test]
async fn a_process_that_ends_at_once_leaves_its_last_words() {
    let server = allowing(&["sh", "no-such-program"], &[]).await;
    let script = "echo 'looking around' >&2; echo \"no database for $API_TOKEN\" >&2; exit 3";
    let env = json!({"API_TOKEN": "a-very-long-api-token"});
    configure(&server, &json!({"command": "sh", "args": ["-c", script], "env": env})).await;
    let tested = test(&server).await;
    let expected =
        "MCP server 'mcp' ended with exit status 3; its last words: looking around | no database for ********";
    assert_eq!((&tested["message"], &tested["success"]), (&json!(expected), &json!(false)), "{tested}");
    assert_eq!(call(&server, "any", json!({})).await["error"], expected);
    assert!(functions(&server).await.1.contains(expected));

    let missing = json!({"name": "mcp", "type": "mcp", "config": {"command": "no-such-program"}});
    server.put("/api/tools/mcp", &missing).await.expect(200);
    let tested = test(&server).await;
    let expected = "could not be started: 'no-such-program' is no program on this server's PATH";
    assert!(tested["message"].as_str().unwrap().contains(expected), "{tested}");
}

#[tokio::test]
async fn a_process_that_cannot_start_is_left_alone_for_a_while_unless_it_is_tested() {
    let server = allowing(&["sh"], &[]).await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("starts");
    configure_script(&server, &format!("echo start >> {}; exit 3", file.display())).await;
    let starts = || std::fs::read_to_string(&file).unwrap().lines().count();
    let first = functions(&server).await;
    let once = starts();
    for _ in 0..3 {
        assert_eq!(functions(&server).await, first);
    }
    assert_eq!(starts(), once);
    test(&server).await;
    let tested = starts();
    assert!(tested > once);
    functions(&server).await;
    assert!(starts() > tested);
}

#[tokio::test]
async fn a_process_that_dies_during_a_call_is_replaced_for_the_next() {
    let real = python(2);
    let server = allowing(&[&real.command], &[]).await;
    configure_stdio(&server, &real).await;
    let first = pid(&server).await;
    let folder = TempDir::new().unwrap();
    let began = folder.path().join("began");
    let (broken, ()) = tokio::join!(call(&server, "wait", json!({"folder": folder.path()})), async {
        wait_for(async || began.exists()).await;
        let killed = tokio::process::Command::new("kill").args(["-9", &first.to_string()]).status().await;
        assert!(killed.unwrap().success());
    });
    assert_eq!(broken["status"], "error", "{broken}");
    assert!(broken["error"].as_str().unwrap().contains("was ended by signal 9"), "{broken}");
    assert_ne!(pid(&server).await, first);
    gone(first).await;
}

#[tokio::test]
async fn chatter_on_the_output_is_passed_over() {
    let server = allowing(&["sh"], &[]).await;
    let chatter = "echo 'Starting...'; echo '{\"not\": \"a message\"}'; echo; echo '[]'";
    configure_script(&server, &format!("{chatter}; {}", become_server())).await;
    assert!(pid(&server).await > 0);
}

#[tokio::test]
async fn an_endless_line_ends_the_connection() {
    let server = allowing(&["sh"], &[]).await;
    configure_script(&server, "while :; do printf 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx%9999s' ''; done")
        .await;
    let tested = test(&server).await;
    assert!(tested["message"].as_str().unwrap().contains("wrote a line of more than 4000000 bytes"), "{tested}");
}

#[tokio::test]
async fn a_line_of_very_many_values_ends_the_connection() {
    let server = allowing(&["sh"], &[("MAX_REPLY_VALUES", "1000")]).await;
    configure_script(&server, "printf '%0999d\n' 0; printf '%01100d\n' 0 | tr 0 '['; sleep 60").await;
    let tested = test(&server).await;
    let expected = "wrote a line of more than 1000 values (MAX_REPLY_VALUES)";
    assert!(tested["message"].as_str().unwrap().contains(expected), "{tested}");
}

#[tokio::test]
async fn a_process_that_says_nothing_is_not_waited_for_for_ever() {
    let server = allowing(&["sh"], &[]).await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("pid");
    let script = format!("trap '' TERM; echo $$ > {}; while :; do sleep 1; done", file.display());
    configure(&server, &json!({"command": "sh", "args": ["-c", script], "timeout": 2})).await;
    let called = call(&server, "any", json!({})).await;
    assert_eq!(
        (&called["status"], &called["error"]),
        (&json!("error"), &json!("MCP server 'mcp' did not answer in time"))
    );
    let process = number_in(&file).await;
    server.delete("/api/tools/mcp").await.expect(200);
    gone(process).await;
}

#[tokio::test]
async fn a_server_of_neither_kind_is_incomplete() {
    let server = TestServer::bare().await;
    configure(&server, &json!({"url": "", "command": ""})).await;
    let tested = test(&server).await;
    assert_eq!(
        (&tested["success"], &tested["error"]),
        (&json!(false), &json!("Incomplete tool configuration")),
        "{tested}"
    );
    assert!(tested["message"].as_str().unwrap().contains("'url'"), "{tested}");
    for (config, key) in [
        (json!({"url": "http://127.0.0.1:1/mcp", "command": "sh"}), "command"),
        (json!({"url": "file:///etc/passwd"}), "url"),
        (json!({"url": "http://127.0.0.1:1", "headers": {"Mcp-Session-Id": "mine"}}), "headers"),
        (json!({"url": "http://127.0.0.1:1", "auth_token": "t", "headers": {"authorization": "Basic x"}}), "headers"),
        (json!({"command": "sh", "args": [1]}), "args"),
        (json!({"command": "sh", "env": {"A=B": "c"}}), "env"),
        (json!({"args": ["-y", "some-server"]}), "command"),
    ] {
        let refused: Value =
            server.post("/api/tools", &json!({"name": "other", "type": "mcp", "config": config})).await.expect(422);
        assert_eq!(refused["errors"][0]["loc"], json!(["body", "config", key]), "{refused}");
    }
}

#[tokio::test]
async fn an_older_server_that_ends_when_it_is_greeted_in_the_new_way_is_greeted_in_the_old_one() {
    let server = allowing(&["sh"], &[]).await;
    let real = python(1);
    let greeted = "read -r first; case $first in *server/discover*) exit 1;; esac";
    let script = format!("{greeted}; {{ echo \"$first\"; cat; }} | {} {}", real.command, real.stdio[0]);
    configure_script(&server, &script).await;
    assert_eq!(test(&server).await["protocol_version"], "2025-11-25");
    assert!(is_alive(pid(&server).await));
}
