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

attacks! {
    // Looking around
    reads_the_hosts_passwords: "python", {}, "refused(open, '/etc/shadow')\nrefused(open, '/etc/passwd')" => Held;
    reads_homes_and_data_of_the_host: "python", {},
        "for path in ['/root', '/home', '/var', '/etc/ssl', '/srv', '/opt', '/run', '/boot', '/sys', '/usr/sbin', '/mnt']:\n    \
         refused(os.listdir, path)\nclaim(len(os.listdir('/usr/bin')) == 1)" => Held;
    looks_for_environments: "python", {}, r"
claim(set(os.environ) <= {'PATH', 'LANG', 'USER', 'HOME', 'TMPDIR', 'PWD', 'PYTHONUNBUFFERED', 'PYTHONDONTWRITEBYTECODE', 'LC_CTYPE'}, dict(os.environ))
for number in filter(str.isdigit, os.listdir('/proc')):
    try:
        text = open(f'/proc/{number}/environ').read()
        claim('CARGO' not in text and 'DATA_DIR' not in text and 'ORCHESTRATOR' not in text, text)
    except OSError as error:
        print('held', error)
" => Held;
    lists_the_hosts_processes: "python", {}, r"
numbers = {number for number in os.listdir('/proc') if number.isdigit()}
claim(numbers == {'1', str(os.getpid())}, numbers)
for name in ['cmdline', 'environ', 'mem', 'root', 'maps', 'task/1/mem']:
    refused(open, '/proc/1/' + name)
" => Held;
    looks_for_descriptors_that_were_left_open: "python", {}, r"
held = {number: os.readlink(f'/proc/self/fd/{number}') for number in os.listdir('/proc/self/fd') if os.path.exists(f'/proc/self/fd/{number}')}
claim(set(held) <= {'0', '1', '2'}, held)
" => Held;
    leaves_by_the_first_process: "python", {}, r"
refused(os.listdir, '/proc/1/root/root')
refused(open, '/proc/1/root/etc/shadow')
claim(all(name in {'0', '1', '2'} or 'eventfd' in os.readlink('/proc/1/fd/' + name) for name in os.listdir('/proc/1/fd')) if os.access('/proc/1/fd', os.R_OK) else True)
" => Held;
    reads_the_kernels_memory_and_log: "python", {}, r"
for path in ['/dev/mem', '/dev/kmem', '/dev/kmsg', '/proc/kcore', '/dev/vda', '/dev/sda', '/dev/tty', '/dev/ptmx']:
    refused(open, path, 'rb', 0)
refused(call, SYSLOG, 3, ctypes.create_string_buffer(100), 100)
" => Held;

    // The network
    sends_datagrams_over_the_network: "python", {}, r"
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
refused(s.sendto, b'x', ('192.0.2.1', 53))
refused(socket.create_connection, ('192.0.2.1', 80), 2)
refused(socket.getaddrinfo, 'localhost.invalid', 80)
" => Held;
    opens_raw_and_strange_sockets: "python", {}, r"
refused(socket.socket, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
refused(socket.socket, socket.AF_PACKET, socket.SOCK_RAW)
for family in [socket.AF_NETLINK, socket.AF_VSOCK, socket.AF_ALG, socket.AF_BLUETOOTH, socket.AF_TIPC, 2**32 + 16]:
    refused(call, 41 if os.uname().machine == 'x86_64' else 198, family, 3, 0)
" => Held;
    sees_only_its_own_loopback: "bash", {}, r"
interfaces=$(grep -c : /proc/net/dev)
if ((interfaces == 1)); then echo held; else echo ESCAPED; cat /proc/net/dev; fi
" => Held;

    // Bombs
    a_fork_bomb: "bash", {"timeout": 3}, ":(){ :|:& };: 2>/dev/null\nwhile true; do :; done" => Timeout;
    a_fork_bomb_in_python: "python", {"timeout": 3}, r"
while True:
    try:
        os.fork()
    except OSError:
        pass
" => Timeout;
    counts_the_processes_it_may_have: "python", {}, r"
children = []
try:
    for _ in range(500):
        children.append(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']))
except OSError as error:
    print('held', error)
claim(len(children) < 70, len(children))
" => Held;
    a_bomb_of_threads: "python", {}, r"
def sleep():
    time.sleep(30)
threads = []
try:
    for _ in range(5000):
        threads.append(threading.Thread(target=sleep, daemon=True)); threads[-1].start()
except RuntimeError as error:
    print('held', error)
claim(len(threads) < 70, len(threads))
sys.stdout.flush()
os._exit(0)
" => Held;
    a_bomb_of_memory: "python", {"max_memory": 128}, "x = []\nwhile True: x.append(bytearray(1 << 20))" => Failure("emory");
    a_bomb_of_memory_in_javascript: "javascript", {"max_memory": 128}, "const x = []; for (;;) x.push(new Array(1e5).fill(Math.random()))"
        => Failure("more than 128 MB of memory");
    a_bomb_of_buffers_in_javascript: "javascript", {"max_memory": 128, "timeout": 20},
        "const x = []; try { for (;;) x.push(Buffer.alloc(1 << 20, 1)) } catch (error) { throw error }" => Failure("The program");
    many_processes_each_below_the_limit: "python", {"max_memory": 128, "timeout": 20}, r"
for _ in range(20):
    if os.fork() == 0:
        x = bytearray(os.urandom(1 << 20)) * 40
        time.sleep(60)
time.sleep(60)
" => Failure("more than 128 MB of memory");
    files_in_memory_count: "python", {"max_memory": 128, "timeout": 20}, r"
refused(lambda: [open(f'/tmp/{n}', 'wb').write(bytes(1 << 20)) for n in range(1000)])
x = bytearray(os.urandom(1 << 20)) * 80
time.sleep(60)
" => Failure("more than 128 MB of memory");
    hoards_memory_in_buffers_of_sockets: "python", {"max_memory": 64, "timeout": 30}, r"
told, tell = os.pipe()
def hoard():
    ends = []
    for _ in range(100):
        ends += socket.socketpair()
        for end in ends[-2:]:
            end.setblocking(False)
            for option in [socket.SO_SNDBUF, socket.SO_RCVBUF, 32, 33]:
                try:
                    end.setsockopt(socket.SOL_SOCKET, option, 1 << 22)
                except OSError:
                    pass
            if end.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) > 1 << 20:
                print('ESCAPED a larger buffer', flush=True)
            sent = 0
            try:
                while True: sent += end.send(bytes(1 << 16))
            except BlockingIOError:
                os.write(tell, struct.pack('q', sent))
    time.sleep(30)
for _ in range(6):
    if os.fork() == 0:
        hoard()
sum = 0
while sum < 600 << 20:
    sum += struct.unpack('q', os.read(told, 8))[0]
print('ESCAPED', sum, flush=True)
os.kill(-1, signal.SIGKILL)
" => Failure("more than 64 MB of memory");
    lends_its_memory_to_pipes: "python", {}, r"
import fcntl, mmap
end, start = os.pipe()
refused(fcntl.fcntl, start, 1031, 1 << 20)
claim(fcntl.fcntl(start, 1032) <= 1 << 16)
lent = bytes(mmap.PAGESIZE)
refused(call, VMSPLICE, start, ctypes.byref((ctypes.c_size_t * 2)(id(lent) + 32, 4096)), 1, 0)
refused(call, INOTIFY, 0)
" => Held;
    shares_memory_through_devices: "python", {"max_memory": 64}, r"
import mmap, stat
for name in os.listdir('/dev'):
    path = '/dev/' + name
    if stat.S_ISCHR(os.stat(path).st_mode):
        refused(lambda: mmap.mmap(os.open(path, os.O_RDWR), 1 << 20, mmap.MAP_SHARED))
claim(os.read(os.open('/dev/zero', os.O_RDONLY), 5) == bytes(5))
" => Held;
    hides_memory_in_connections: "python", {"max_memory": 128, "timeout": 20}, r"
listener = socket.create_server(('127.0.0.1', 0))
kept = []
for _ in range(60):
    end = socket.create_connection(listener.getsockname())
    end.setblocking(False)
    kept += [end, listener.accept()[0]]
    try:
        while end.send(bytes(1 << 16)): pass
    except BlockingIOError:
        pass
time.sleep(60)
" => Failure("more than 128 MB of memory");
    hides_memory_in_tables_of_pages: "python", {"max_memory": 128, "timeout": 20}, r"
import mmap
empty = mmap.mmap(-1, 1 << 38, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000, mmap.PROT_READ)
for at in range(0, 1 << 38, 1 << 21):
    empty[at]
time.sleep(60)
" => Failure("more than 128 MB of memory");
    memory_that_belongs_to_no_process: "python", {}, r"
import mmap
refused(mmap.mmap, -1, 1 << 30)
refused(call, MEMFD, b'x', 0)
refused(call, SHMGET, 0, 1 << 30, 0o1777)
" => Held;
    fills_the_disk: "python", {}, r"
refused(lambda: [open(f'/tmp/{n}', 'wb').write(bytes(1 << 22)) for n in range(1000)])
" => Held;
    makes_a_giant_sparse_file: "python", {}, "refused(os.truncate, '/tmp/main.py', 1 << 40)\nrefused(lambda: os.posix_fallocate(os.open('/tmp/x', os.O_RDWR | os.O_CREAT), 0, 1 << 40))" => Held;
    fills_the_table_of_files: "python", {"max_memory": 64, "timeout": 60}, "n = 0\nwhile True:\n    n += 1\n    os.close(os.open(f'/tmp/{n}', os.O_CREAT))"
        => Failure("more than 64 MB of memory");
    fills_other_folders: "python", {}, r"
for path in ['/', '/dev', '/dev/x', '/usr', '/usr/lib', '/etc', '/proc', '/lib64']:
    refused(open, os.path.join(path, 'x'), 'w')
" => Held;
    opens_too_many_files: "python", {}, "refused(lambda: [os.open('/dev/null', 0) for _ in range(5000)])" => Held;

    // Not stopping
    an_endless_loop: "python", {"timeout": 2}, "while True: pass" => Timeout;
    an_endless_loop_in_javascript: "javascript", {"timeout": 2}, "for (;;);" => Timeout;
    ignores_all_signals: "python", {"timeout": 2}, r"
for number in set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP}:
    try:
        signal.signal(number, signal.SIG_IGN)
    except OSError:
        pass
time.sleep(100)
" => Timeout;
    outlives_its_time_as_a_daemon: "python", {"timeout": 2}, r"
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True: time.sleep(1)
time.sleep(100)
" => Timeout;
    outlives_its_end_as_a_daemon: "python", {}, r"
print('held', flush=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in range(3): os.close(number)
        while True: time.sleep(1)
    os._exit(0)
" => Held;
    a_daemon_holds_the_output_open: "python", {}, r"
print('held', flush=True)
if os.fork() == 0:
    os.setsid()
    time.sleep(100)
" => Held;
    stops_its_own_keeper: "python", {"timeout": 2}, "os.kill(0, signal.SIGSTOP)\ntime.sleep(100)" => Timeout;
    a_sum_of_cpu_time_in_threads: "javascript", {"timeout": 4}, r"
const {Worker} = require('worker_threads');
for (let n = 0; n < 4; n++) new Worker('for(;;);', {eval: true});
" => Stopped("CPU time");
    endless_output: "python", {"timeout": 30}, "while True: sys.stdout.write('held ' * 10000)" => Failure("MB of output");
    endless_errors: "python", {"timeout": 30}, "while True: sys.stderr.write('x' * 100000)" => Failure("MB of output");

    // Writing
    writes_to_the_interpreter_and_the_system: "python", {}, r"
for path in [sys.executable, os.__file__, '/usr/lib/os-release', '/proc/sys/kernel/hostname', '/proc/sys/kernel/core_pattern', '/proc/sysrq-trigger', '/proc/sys/vm/overcommit_memory']:
    refused(open, path, 'r+')
" => Held;
    links_out_of_its_folder: "python", {}, r"
os.symlink('/etc/shadow', '/tmp/shadow'); refused(open, '/tmp/shadow')
os.symlink('/usr/lib/x', '/tmp/x'); refused(open, '/tmp/x', 'w')
refused(os.link, sys.executable, '/tmp/python')
refused(open, '/tmp/' + '../' * 20 + 'etc/shadow')
" => Held;
    deletes_everything: "bash", {}, "rm -rf --no-preserve-root / /tmp/* 2>/dev/null\nif [[ -x /usr/bin/bash ]]; then echo held; else echo ESCAPED; fi" => Held;

    // Other processes
    kills_everything: "python", {}, r"
pid = os.fork()
if pid == 0:
    time.sleep(100)
print('held', flush=True)
os.kill(-1, signal.SIGKILL)
os.kill(1, signal.SIGKILL)
" => Held;
    kills_by_number: "python", {}, r"
refused(lambda: [os.kill(number, 0) for number in range(3, 40000) if number != os.getpid()])
refused(os.kill, 4000000, 9)
claim(os.getppid() in (0, 1), os.getppid())
" => Held;
    traces_and_reads_other_processes: "python", {}, r"
refused(call, PTRACE, 16, 1, 0, 0)
buffer = ctypes.create_string_buffer(16)
refused(call, READV, 1, ctypes.byref((ctypes.c_size_t * 2)(ctypes.addressof(buffer), 16)), 1, ctypes.byref((ctypes.c_size_t * 2)(4096, 16)), 1, 0)
refused(open, '/proc/1/mem', 'r+b')
refused(call, GETFD, 3, 0, 0)
" => Held;

    // Privileges
    mounts: "python", {}, "refused(call, MOUNT, b'tmpfs', b'/tmp', b'tmpfs', 0, None)\nrefused(call, FSOPEN, b'tmpfs', 0)\nrefused(call, PIVOT, b'/tmp', b'/tmp')" => Held;
    makes_namespaces: "python", {}, r"
for flag in [0x10000000, 0x00020000, 0x20000000, 0x40000000, 0x08000000, 0x04000000, 0x02000000]:
    refused(call, UNSHARE, flag)
    refused(call, CLONE, flag | 17, 0, 0, 0, 0)
refused(call, CLONE3, ctypes.create_string_buffer(88), 88)
" => Held;
    enters_namespaces: "python", {}, "refused(lambda: call(SETNS, os.open('/proc/1/ns/mnt', 0), 0))\nrefused(lambda: call(SETNS, os.open('/proc/self/ns/user', 0), 0))" => Held;
    changes_its_root: "python", {}, "refused(os.chroot, '/tmp')\nrefused(call, CHROOT, b'/tmp')" => Held;
    becomes_root: "python", {}, r"
claim(open('/proc/self/uid_map').read().split()[1] != '0' and open('/proc/self/gid_map').read().split()[1] != '0')
refused(os.setuid, 0)
refused(os.setgid, 0)
refused(os.setgroups, [0])
claim(os.getuid() == 1000 and os.geteuid() == 1000 and os.getgroups() in ([], [1000], [65534]), os.getgroups())
status = open('/proc/self/status').read()
claim('CapEff:\t0000000000000000' in status and 'CapPrm:\t0000000000000000' in status and 'NoNewPrivs:\t1' in status and 'Seccomp:\t2' in status)
" => Held;
    runs_setuid_programs: "bash", {}, r"
for program in su mount passwd newgrp; do
    if /usr/bin/$program --help >/dev/null 2>&1; [[ -u /usr/bin/$program ]]; then
        id=$(echo | timeout 2 /usr/bin/su -c 'id -u' 2>/dev/null); if [[ $id == 0 ]]; then echo ESCAPED; fi
    fi
done
cp /usr/bin/id /tmp/id && chmod u+s /tmp/id; if [[ $(/tmp/id -u) == 1000 ]]; then echo held; else echo ESCAPED; fi
if grep ' /tmp ' /proc/mounts | grep -q nosuid && grep ' /usr/bin ' /proc/mounts | grep -q nosuid; then echo held; else echo ESCAPED; fi
" => Held;
    makes_devices: "python", {}, "import stat\nrefused(os.mknod, '/tmp/disk', 0o600 | stat.S_IFBLK, os.makedev(254, 0))\nrefused(os.mknod, '/tmp/mem', 0o600 | stat.S_IFCHR, os.makedev(1, 1))" => Held;
    opens_files_by_handle: "python", {}, "refused(call, NAME, -100, b'/tmp', ctypes.create_string_buffer(128), ctypes.create_string_buffer(4), 0)\nrefused(call, HANDLE, 3, ctypes.create_string_buffer(128), 0)" => Held;
    loads_modules: "python", {}, "refused(call, MODULE, b'x', 1, b'')\nrefused(call, FMODULE, 0, b'', 0)\nrefused(call, KEXEC, 0, 0, 0, 0)" => Held;
    reaches_for_rare_calls: "python", {}, r"
buffer = ctypes.create_string_buffer(256)
refused(call, URING, 8, buffer)
refused(call, KEYCTL, 0, -3, 0)
refused(call, ADD_KEY, b'user', b'x', b'y', 1, -3)
refused(call, BPF, 0, buffer, 64)
refused(call, PERF, buffer, 0, -1, -1, 0)
refused(call, FAULT, 1)
refused(call, PERSONALITY, 0x0040000)
refused(call, SWAPON, b'/tmp/x', 0)
refused(call, ACCT, b'/tmp/x')
refused(call, SETTIME, 0, buffer)
refused(call, 999)
" => Held;
    restarts_the_machine: "python", {}, "refused(call, REBOOT, 0xfee1dead, 672274793, 0x1234567, 0)" => Held;
    types_into_the_terminal: "python", {}, "import fcntl\nrefused(fcntl.ioctl, 0, 0x5412, b'x')\nrefused(call, 16 if os.uname().machine == 'x86_64' else 29, 0, 0x541c, b'x')\nclaim(os.getsid(0) != 0)\nrefused(open, '/dev/tty')" => Held;
    raises_its_limits: "python", {}, r"
for limit in [resource.RLIMIT_NPROC, resource.RLIMIT_DATA, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE, resource.RLIMIT_CPU, resource.RLIMIT_CORE]:
    refused(resource.setrlimit, limit, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
refused(os.nice, -30)
" => Held;
    dumps_core: "python", {}, "print('held', flush=True)\nclaim(resource.getrlimit(resource.RLIMIT_CORE) == (0, 0))\nos.abort()" => Failure("SIGABRT");
    hides_from_the_count_of_memory: "python", {"max_memory": 128, "timeout": 20}, r"
for _ in range(20):
    if os.fork() == 0:
        libc.prctl(4, 0, 0, 0, 0)
        x = bytearray(os.urandom(1 << 20)) * 40
        time.sleep(60)
time.sleep(60)
" => Failure("more than 128 MB of memory");
}

/// Programs of another architecture's ABI go past a filter that only knows the numbers of its own.
#[cfg(target_arch = "x86_64")]
#[tokio::test]
async fn calls_of_another_abi() {
    let program = "refused(call, 0x40000000 + GETPID)\nprint('ESCAPED')";
    attack("python", json!({}), program, Failure("SIGSYS")).await;
}

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
