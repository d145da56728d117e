//! A hostile model writes the program. Each row is an attack; all are contained, and nothing is left of them.

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::program::Program;
use crate::common::{TestServer, code};

/// What programs of the table may use, and say: the namespace that they are in first, then `held` for each thing that was refused
/// and `ESCAPED` for each that was not.
const PYTHON: &str = r#"
import ctypes, os, resource, signal, socket, struct, subprocess, sys, threading, time
print(os.readlink('/proc/self/ns/pid'))
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
def refused(attack, *arguments, **named):
    try:
        result = attack(*arguments, **named)
    except (OSError, MemoryError, ValueError, RuntimeError) as error:
        print('held', error)
    else:
        print('ESCAPED', result)
def leave():
    try:
        os.setsid()
    except OSError:
        os.setpgid(0, 0)
def claim(fine, what=''):
    print('held' if fine else 'ESCAPED', what)
"#;
const NODE: &str = "console.log(require('fs').readlinkSync('/proc/self/ns/pid'));\n";
const BASH: &str = "readlink /proc/self/ns/pid\n";

/// What comes of an attack.
enum Fate {
    /// The program ends by itself, and says of all it tried that it was held.
    Held,
    /// It is stopped: its time is up.
    Timeout,
    /// It ends badly, and the error says this.
    Failure(&'static str),
    /// It is stopped: its time is up, or before that what the error names.
    Stopped(&'static str),
}
use Fate::{Failure, Held, Stopped, Timeout};

/// Numbers of system calls, by name, for programs that go past the C library.
fn numbers() -> String {
    let calls = [
        ("MOUNT", libc::SYS_mount),
        ("PTRACE", libc::SYS_ptrace),
        ("READV", libc::SYS_process_vm_readv),
        ("UNSHARE", libc::SYS_unshare),
        ("SETNS", libc::SYS_setns),
        ("CLONE", libc::SYS_clone),
        ("CLONE3", libc::SYS_clone3),
        ("CHROOT", libc::SYS_chroot),
        ("PIVOT", libc::SYS_pivot_root),
        ("HANDLE", libc::SYS_open_by_handle_at),
        ("NAME", libc::SYS_name_to_handle_at),
        ("URING", libc::SYS_io_uring_setup),
        ("KEYCTL", libc::SYS_keyctl),
        ("ADD_KEY", libc::SYS_add_key),
        ("BPF", libc::SYS_bpf),
        ("PERF", libc::SYS_perf_event_open),
        ("PERSONALITY", libc::SYS_personality),
        ("MODULE", libc::SYS_init_module),
        ("FMODULE", libc::SYS_finit_module),
        ("KEXEC", libc::SYS_kexec_load),
        ("REBOOT", libc::SYS_reboot),
        ("SWAPON", libc::SYS_swapon),
        ("FAULT", libc::SYS_userfaultfd),
        ("ACCT", libc::SYS_acct),
        ("SYSLOG", libc::SYS_syslog),
        ("SETTIME", libc::SYS_clock_settime),
        ("MEMFD", libc::SYS_memfd_create),
        ("SHMGET", libc::SYS_shmget),
        ("GETFD", libc::SYS_pidfd_getfd),
        ("FSOPEN", libc::SYS_fsopen),
        ("GETPID", libc::SYS_getpid),
        ("VMSPLICE", libc::SYS_vmsplice),
        ("INOTIFY", libc::SYS_inotify_init1),
        ("EXIT", libc::SYS_exit),
        ("SPLICE", libc::SYS_splice),
        ("TEE", libc::SYS_tee),
    ];
    calls.iter().map(|(name, number)| format!("{name} = {number}\n")).collect()
}

/// Runs an attack and looks at what came of it and what is left.
async fn attack(language: &str, config: Value, program: &str, fate: Fate) {
    if !code::has(&["bwrap", "python3", "node"]) {
        return;
    }
    let server = code::server(config).await;
    contained(&server, language, program, fate).await;
}

async fn contained(server: &crate::common::Client, language: &str, program: &str, fate: Fate) -> Value {
    let preamble = match language {
        "python" => format!("{PYTHON}{}", numbers()),
        "javascript" => NODE.to_owned(),
        _ => BASH.to_owned(),
    };
    let done = code::run(server, language, &format!("{preamble}{program}")).await;
    let stdout = done["output"]["stdout"].as_str().unwrap_or_else(|| panic!("it was not run: {done}"));
    let (namespace, said) = stdout.split_once('\n').unwrap_or((stdout, ""));
    assert!(!said.contains("ESCAPED"), "{done}");
    match fate {
        Held => {
            assert_eq!(done["status"], "success", "{done}");
            assert!(said.starts_with("held") && said.lines().all(|line| line.starts_with("held")), "{done}");
        }
        Timeout => assert_eq!(done["status"], "timeout", "{done}"),
        Stopped(_) if done["status"] == "timeout" => {}
        Failure(error) | Stopped(error) => {
            assert_eq!(done["status"], "failure", "{done}");
            assert!(done["error"].as_str().unwrap().contains(error), "{done}");
        }
    }
    assert_eq!(done["metadata"]["sandboxed"], true, "{done}");
    code::nothing_left_in(namespace).await;
    assert_eq!(server.get("/livez").await.status, 200);
    done
}

macro_rules! attacks {
    ($($name:ident: $language:literal, $config:tt, $program:expr => $fate:expr;)*) => {
        $(#[tokio::test]
        async fn $name() {
            attack($language, json!($config), $program, $fate).await;
        })*
    };
}

mod bombs;
mod isolation;
mod privileges;

#[tokio::test]
async fn shares_no_namespace_with_the_server() {
    if !code::has(&["bwrap", "python3"]) {
        return;
    }
    let names = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];
    let program = format!("import os\nfor name in {}: print(os.readlink('/proc/self/ns/' + name))", json!(names));
    let server = code::server(json!({})).await;
    let done = code::run(&server, "python", &program).await;
    let theirs: Vec<_> = done["output"]["stdout"].as_str().unwrap().lines().collect();
    assert_eq!(theirs.len(), names.len(), "{done}");
    for (name, their) in names.iter().zip(theirs) {
        let own = fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
        assert_ne!(own.to_str(), Some(their));
    }
}

#[tokio::test]
async fn connects_to_the_server_and_its_neighbours() {
    if !code::has(&["bwrap", "python3"]) {
        return;
    }
    let server = code::server(json!({})).await;
    let own = server.url("").rsplit_once(':').unwrap().1.to_owned();
    let (listener, datagrams) = (TcpListener::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    listener.set_nonblocking(true).unwrap();
    datagrams.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let (tcp, udp) = (listener.local_addr().unwrap().port(), datagrams.local_addr().unwrap().port());
    let abstract_name = format!("sandbox-attack-{own}");
    let address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
    let local = UnixListener::bind_addr(&address).unwrap();
    local.set_nonblocking(true).unwrap();
    let program = format!(
        r"
for port in [{own}, {tcp}]:
    refused(socket.create_connection, ('127.0.0.1', port), 2)
    refused(socket.create_connection, ('localhost', port), 2)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.sendto(b'x', ('127.0.0.1', {udp}))
refused(socket.socket(socket.AF_UNIX).connect, '\0{abstract_name}')
"
    );
    contained(&server, "python", &program, Held).await;
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(local.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    assert!(datagrams.recv(&mut [0; 8]).is_err());
}

/// Even if the data folder lies in a folder that the interpreter needs.
#[tokio::test]
async fn reads_the_servers_data_folder() {
    if !code::has(&["bwrap", "python3"]) {
        return;
    }
    // Only root can put it there; for others the story of the virtual environment tells the same.
    let Ok(seen) = TempDir::new_in("/usr/lib") else { return };
    fs::set_permissions(seen.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(seen.path().join("secret.txt"), "the server's secret").unwrap();
    let folder = seen.path().display().to_string();
    let server = TestServer::with(&[("PATH", code::PATH), ("DATA_DIR", &folder)]).await;
    code::add(&server, json!({})).await;
    let program = format!(
        "claim(os.listdir('/usr/lib') != [] and os.listdir('{folder}') == [])\n\
         refused(open, '{folder}/secret.txt')\nrefused(open, '{folder}/new', 'w')"
    );
    contained(&server, "python", &program, Held).await;
}

#[tokio::test]
async fn a_huge_input_is_refused_before_anything_runs() {
    if !code::has(&["bwrap", "python3"]) {
        return;
    }
    let server = code::server(json!({})).await;
    let arguments = json!({"arguments": {"code": "print(1)", "stdin": "x".repeat(2_000_000)}});
    let refused = server.post("/api/tools/code/execute", &arguments).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    let program = "data = sys.stdin.read()\nclaim(len(data) == 800000, len(data))";
    let all = json!({"code": format!("{PYTHON}{program}"), "stdin": "x".repeat(800_000)});
    let done = code::execute(&server, all).await;
    assert!(done["output"]["stdout"].as_str().unwrap().contains("held 800000"), "{done}");
}

/// Who shares a user with another server's programs could signal them and use up the processes that they may have.
#[tokio::test]
async fn meets_the_programs_of_another_server() {
    if !code::has(&["bwrap", "python3"]) || !rustix::process::geteuid().is_root() {
        return;
    }
    let mut users = HashSet::new();
    // By chance two servers may begin at the same user, but not all.
    for _ in 0..3 {
        let folder = TempDir::new().unwrap();
        let server = Program::start("serve", folder.path(), &[("PATH", code::PATH)]).await;
        code::add(&server.client, json!({})).await;
        let done = code::run(&server.client, "python", "print(open('/proc/self/uid_map').read().split()[1])").await;
        assert_eq!(done["status"], "success", "{done}");
        users.insert(done["output"]["stdout"].as_str().unwrap().to_owned());
    }
    assert!(users.len() > 1, "all programs ran as {users:?}");
}

/// Whoever tests the tool learns that programs did run behind walls.
#[tokio::test]
async fn the_tools_own_test_tells_of_the_sandbox() {
    if !code::has(&["bwrap", "python3", "node"]) {
        return;
    }
    let server = code::server(json!({})).await;
    let tested = server.post("/api/tools/code/test", &json!({})).await.expect(200);
    let said = (&tested["success"], &tested["connectivity_tested"], &tested["connectivity_status"]);
    assert_eq!(said, (&json!(true), &json!(true), &json!("reachable")), "{tested}");
    assert_eq!(
        (&tested["sandboxed"], &tested["message"]),
        (&json!(true), &json!("Code can be run in a sandbox")),
        "{tested}"
    );
}
