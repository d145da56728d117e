use libc::{SECCOMP_RET_ALLOW as ALLOW, SECCOMP_RET_ERRNO as REFUSE, SECCOMP_RET_KILL_PROCESS as KILL};
use libc::{c_long, sock_filter};

/// Bits of `clone`'s flags that make namespaces.
const CLONE_NAMESPACE_FLAGS: u32 = 0x7e02_0000;
/// `MAP_SHARED | MAP_ANONYMOUS`: memory that outlives its mapping and is counted nowhere.
const SHARED_ANONYMOUS: u32 = 0x21;
/// The `ioctl`s that type into a terminal, `TIOCSTI` and `TIOCLINUX`.
const TERMINAL_INPUT_IOCTLS: [u32; 2] = [0x5412, 0x541c];
/// Options of sockets that enlarge their buffers: `SO_SNDBUF`, `SO_RCVBUF`, `SO_RCVLOWAT` and the first two with force.
const BUFFER_OPTIONS: [u32; 5] = [7, 8, 18, 32, 33];
/// `IPPROTO_UDP`, the last of those that are well known. What comes after it has queues that nobody looks at, such as MPTCP's.
const MAX_PROTOCOL: u32 = 17;
/// `AF_UNIX`, `AF_INET`, `AF_INET6`.
const ALLOWED_FAMILIES: [u32; 3] = [1, 2, 10];
/// The `fcntl` that enlarges a pipe, `F_SETPIPE_SZ`.
const F_SETPIPE_SZ: u32 = 1031;
/// From here on numbers are the same on all architectures; calls this new are refused unless they are known to be harmless.
const FIRST_UNKNOWN_SYSCALL: u32 = 424;
/// `pidfd_open`, `close_range`, `openat2`, `faccessat2`, `epoll_pwait2`, `futex_waitv`, `fchmodat2`.
const ALLOWED_NEW_SYSCALLS: [u32; 7] = [434, 436, 437, 439, 441, 449, 452];
/// On x86-64, numbers with this bit are calls of another ABI.
const X32_SYSCALL_BIT: u32 = 0x4000_0000;

/// The numbers of these system calls.
macro_rules! syscalls {
    ($($name:ident)*) => { [$(libc::$name),*] };
}

/// Calls that programs have no business with: they change the system, reach into other processes, enlarge the attack surface of
/// the kernel, or keep memory that no limit counts.
const DENIED_SYSCALLS: &[&[c_long]] = &[
    // Mounts and roots
    &syscalls!(SYS_mount SYS_umount2 SYS_pivot_root SYS_chroot SYS_swapon SYS_swapoff SYS_quotactl
        SYS_name_to_handle_at SYS_open_by_handle_at SYS_fanotify_init),
    // Namespaces and other processes. What `clone3` is told is in memory, where a filter can't see it; the C library falls
    // back to `clone`.
    &syscalls!(SYS_unshare SYS_setns SYS_ptrace SYS_process_vm_readv SYS_process_vm_writev SYS_kcmp SYS_personality
        SYS_clone3),
    // Keys, programs for the kernel, modules
    &syscalls!(SYS_keyctl SYS_add_key SYS_request_key SYS_bpf SYS_perf_event_open SYS_userfaultfd SYS_init_module
        SYS_finit_module SYS_delete_module SYS_kexec_load SYS_kexec_file_load),
    // The machine
    &syscalls!(SYS_reboot SYS_acct SYS_syslog SYS_vhangup SYS_settimeofday SYS_clock_settime SYS_clock_adjtime
        SYS_adjtimex SYS_sethostname SYS_setdomainname SYS_mbind SYS_migrate_pages SYS_move_pages SYS_set_mempolicy
        SYS_io_setup),
    // Memory that belongs to no process; pages in a pipe or a socket, or events that nobody reads, which stay when the process
    // has given its memory back
    &syscalls!(SYS_memfd_create SYS_shmget SYS_semget SYS_msgget SYS_mq_open SYS_vmsplice SYS_splice SYS_tee
        SYS_inotify_init1),
    #[cfg(target_arch = "x86_64")]
    &syscalls!(SYS_inotify_init SYS_iopl SYS_ioperm SYS_modify_ldt SYS_uselib SYS_ustat SYS_sysfs),
];

/// How the kernel names this architecture in the data that a filter sees; `None` if no filter is known for it.
const ARCHITECTURE: Option<u32> = if cfg!(target_arch = "x86_64") {
    Some(0xc000_003e)
} else if cfg!(target_arch = "aarch64") {
    Some(0xc000_00b7)
} else {
    None
};

// Instructions of the classic Berkeley packet filter.
const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const IF_EQUAL: u16 = 0x15;
const IF_AT_LEAST: u16 = 0x35;
const IF_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

// Where things are in the data; of an argument the lower half, all that the kernel looks at in those that are judged here.
const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
const ARGUMENTS_AT: u32 = 16;

/// Answers success and does nothing.
const IGNORE: u32 = REFUSE;

/// A filter of system calls in the kernel's binary form. Calls that are not there answer `ENOSYS`, as on a kernel without
/// them, so that programs take the other way that they know; calls of another ABI end the process.
pub(super) fn filter() -> Option<Vec<u8>> {
    let mut program = BpfProgram(Vec::new());
    program.push(LOAD, ARCHITECTURE_AT);
    program.return_unless(IF_EQUAL, ARCHITECTURE?, KILL);
    program.push(LOAD, NUMBER_AT);
    program.return_if(IF_AT_LEAST, X32_SYSCALL_BIT, KILL);
    program.return_if_one_of(ALLOWED_NEW_SYSCALLS, ALLOW);
    let missing = REFUSE | number(libc::ENOSYS.into());
    program.return_if(IF_AT_LEAST, FIRST_UNKNOWN_SYSCALL + 1, missing);
    program.return_if_one_of(DENIED_SYSCALLS.concat().into_iter().map(number), missing);
    // The kernel may share the processors out among sessions: many would crowd out the server.
    program.return_if(IF_EQUAL, number(libc::SYS_setsid), REFUSE | number(libc::EPERM.into()));
    // Between files it may fail like this anyway; then programs read and write instead.
    program.return_if(IF_EQUAL, number(libc::SYS_sendfile), REFUSE | number(libc::EINVAL.into()));
    program.for_call(libc::SYS_fcntl, 1, |program| program.return_if(IF_EQUAL, F_SETPIPE_SZ, missing));
    program.for_call(libc::SYS_clone, 0, |program| program.return_if(IF_ANY_BIT, CLONE_NAMESPACE_FLAGS, missing));
    program.for_call(libc::SYS_ioctl, 1, |program| program.return_if_one_of(TERMINAL_INPUT_IOCTLS, missing));
    program.for_call(libc::SYS_setsockopt, 2, |program| program.return_if_one_of(BUFFER_OPTIONS, IGNORE));
    program.for_call(libc::SYS_mmap, 3, |program| {
        program.push(AND, SHARED_ANONYMOUS);
        program.return_if(IF_EQUAL, SHARED_ANONYMOUS, missing);
    });
    program.for_call(libc::SYS_socket, 2, |program| {
        program.return_if(IF_AT_LEAST, MAX_PROTOCOL + 1, REFUSE | number(libc::EPROTONOSUPPORT.into()));
    });
    for call in [libc::SYS_socket, libc::SYS_socketpair] {
        program.for_call(call, 0, |program| {
            program.return_if_one_of(ALLOWED_FAMILIES, ALLOW);
            program.push(RETURN, REFUSE | number(libc::EAFNOSUPPORT.into()));
        });
    }
    program.push(RETURN, ALLOW);
    Some(program.0.iter().flat_map(bytes).collect())
}

/// System calls and error codes are small and not negative.
fn number(of: c_long) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}

/// An instruction in the kernel's binary form.
fn bytes(instruction: &sock_filter) -> [u8; 8] {
    let [a, b] = instruction.code.to_ne_bytes();
    let [e, f, g, h] = instruction.k.to_ne_bytes();
    [a, b, instruction.jt, instruction.jf, e, f, g, h]
}

struct BpfProgram(Vec<sock_filter>);

impl BpfProgram {
    fn push(&mut self, code: u16, operand: u32) {
        self.0.push(sock_filter { code, jt: 0, jf: 0, k: operand });
    }

    /// Ends with `action` if the condition holds.
    fn return_if(&mut self, condition: u16, operand: u32, action: u32) {
        self.0.push(sock_filter { code: condition, jt: 0, jf: 1, k: operand });
        self.push(RETURN, action);
    }

    /// Ends with `action` if it is one of these numbers.
    fn return_if_one_of(&mut self, numbers: impl IntoIterator<Item = u32>, action: u32) {
        numbers.into_iter().for_each(|number| self.return_if(IF_EQUAL, number, action));
    }

    /// Ends with `action` unless the condition holds.
    fn return_unless(&mut self, condition: u16, operand: u32, action: u32) {
        self.0.push(sock_filter { code: condition, jt: 1, jf: 0, k: operand });
        self.push(RETURN, action);
    }

    /// Instructions that judge an argument of one system call.
    fn for_call(&mut self, call: c_long, argument: u32, judge: impl FnOnce(&mut Self)) {
        let mut block = Self(Vec::new());
        block.push(LOAD, ARGUMENTS_AT + 8 * argument);
        judge(&mut block);
        block.push(LOAD, NUMBER_AT);
        let jf = u8::try_from(block.0.len()).unwrap_or(u8::MAX);
        self.0.push(sock_filter { code: IF_EQUAL, jt: 0, jf, k: number(call) });
        self.0.append(&mut block.0);
    }
}
