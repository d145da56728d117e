//! Programs end with whoever called them, and with the server that runs them.

use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::common::TestServer;
use crate::common::code::{self, UnprivilegedServer, stand_in, wait_until, with_argument};
use crate::common::program::free_port;

#[tokio::test]
async fn when_the_caller_leaves_nothing_keeps_running() {
    if !code::has(&["bwrap", "python3"]) {
        return;
    }
    let server = code::server(json!({"timeout": 60})).await;
    let marker = format!("left-behind-{}", free_port());
    let program = format!(
        "import os, subprocess, sys\nos.setpgid(0, 0) if os.fork() == 0 else None\n\
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

#[tokio::test]
async fn programs_end_with_a_server_that_is_killed() {
    if !code::has(&["bwrap", "python3", "setpriv"]) {
        return;
    }
    let mut server = UnprivilegedServer::start(60).await;
    let marker = format!("orphan-{}", free_port());
    let program = format!(
        "import os, subprocess, sys\nos.setpgid(0, 0) if os.fork() == 0 else None\n\
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
    let mut server = UnprivilegedServer::start_in(folder, &path, 60).await;
    let body = json!({"arguments": {"code": "while True: pass"}}).to_string();
    let request = server.client.request("POST", "/api/tools/code/execute").header("content-type", "application/json");
    assert!(request.body(body).send().await.is_err(), "the server was not killed");
    server.child.wait().unwrap();
    let own = server.folder.path().join("bwrap");
    wait_until(|| with_argument(own.to_str().unwrap()) == 0, "a sandbox outlived the server").await;
}
