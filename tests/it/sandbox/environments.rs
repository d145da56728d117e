//! Code on machines that lack something, and under servers that are set up in one way or another.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::TestServer;
use crate::common::code::{self, PATH, UnprivilegedServer, error, stand_in, stdout, wait_until};

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

#[tokio::test]
async fn an_ordinary_user_has_the_same_walls() {
    if !code::has(&["bwrap", "python3", "setpriv"]) {
        return;
    }
    let server = UnprivilegedServer::start(10).await;
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
async fn what_was_found_is_used_until_it_fails_and_then_looked_for_again() {
    if !code::has(&["bwrap", "python3"]) {
        return;
    }
    let (first, second) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    fs::set_permissions(first.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", first.path().display(), stand_in(second.path(), "exec REAL \"$@\""));
    let server = TestServer::with(&[("PATH", &path)]).await;
    code::add(&server, json!({})).await;
    assert_eq!(stdout(&code::run(&server, "python", "print(1)").await), "1\n");
    // A broken one that comes before it on the way is of no concern.
    stand_in(first.path(), "exit 1");
    assert_eq!(stdout(&code::run(&server, "python", "print(2)").await), "2\n");
    fs::remove_file(second.path().join("bwrap")).unwrap();
    assert_eq!(code::run(&server, "python", "print(3)").await["status"], "error");
    stand_in(first.path(), "exec REAL \"$@\"");
    assert_eq!(stdout(&code::run(&server, "python", "print(4)").await), "4\n");
}
