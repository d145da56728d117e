//! Programs that look around, write where they should not, or talk to others.

use serde_json::json;

use super::Fate::Held;
use super::attack;

attacks! {
    // Looking around
    reads_the_hosts_passwords: "python", {}, "refused(open, '/etc/shadow')\nrefused(open, '/etc/passwd')" => Held;
    reads_homes_and_data_of_the_host: "python", {},
        "for path in ['root', 'home', 'var', 'etc/ssl', 'srv', 'opt', 'run', 'boot', 'sys', 'usr/sbin', 'mnt']:\n    \
         refused(os.listdir, '/' + path)\nclaim(len(os.listdir('/usr/bin')) == 1)" => Held;
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
outside = os.path.join('/proc/1', 'root')
refused(os.listdir, outside)
refused(os.listdir, os.path.join(outside, 'root'))
refused(open, os.path.join(outside, 'etc', 'shadow'))
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
}
