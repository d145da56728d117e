//! Programs that reach for other processes, and for what only the kernel or root may do.

use serde_json::json;

use super::Fate::{Failure, Held};
use super::attack;

attacks! {
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
    types_into_the_terminal: "python", {}, "import fcntl\nrefused(fcntl.ioctl, 0, 0x5412, b'x')\nrefused(call, 16 if os.uname().machine == 'x86_64' else 29, 0, 0x541c, b'x')\nclaim(os.getsid(0) != 0)\nrefused(open, '/dev/tty')\nrefused(os.ttyname, 0)" => Held;
    raises_its_limits: "python", {}, r"
for limit in [resource.RLIMIT_NPROC, resource.RLIMIT_DATA, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE, resource.RLIMIT_CPU, resource.RLIMIT_CORE]:
    refused(resource.setrlimit, limit, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
refused(os.nice, -30)
refused(os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(1))
refused(os.sched_setscheduler, 0, os.SCHED_RR, os.sched_param(1))
" => Held;
    takes_more_of_the_processors: "python", {}, r"
refused(os.setsid)
for name in ['autogroup', 'oom_score_adj', 'timerslack_ns', 'sched', 'clear_refs']:
    refused(open, '/proc/self/' + name, 'w')
" => Held;
    kills_its_group: "python", {}, "print('held', flush=True)\nos.kill(0, signal.SIGKILL)" => Failure("signal 9");
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
