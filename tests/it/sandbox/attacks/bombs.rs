//! Programs that want all memory, files or processes, or all the time.

use serde_json::json;

use super::Fate::{Failure, Held, Stopped, Timeout};
use super::attack;

attacks! {
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
refused(call, SPLICE, os.open('/tmp/main.py', os.O_RDONLY), 0, os.pipe()[1], 0, 1, 0)
refused(call, TEE, os.pipe()[0], os.pipe()[1], 1, 0)
refused(os.sendfile, os.pipe()[1], os.open('/tmp/main.py', os.O_RDONLY), 0, 1)
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
    hides_memory_in_rare_protocols: "python", {}, r"
for protocol in [132, 136, 262]:
    for kind in [socket.SOCK_STREAM, socket.SOCK_DGRAM]:
        refused(socket.socket, socket.AF_INET, kind, protocol)
        refused(socket.socket, socket.AF_INET6, kind, protocol)
receiver = socket.socket()
receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1 << 22)
claim(receiver.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) < 1 << 20)
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
    hides_memory_behind_a_first_thread_that_has_ended: "python", {"max_memory": 128, "timeout": 20}, r"
def hold():
    x = bytearray(os.urandom(1 << 20)) * 40
    time.sleep(60)
for _ in range(6):
    if os.fork() == 0:
        threading.Thread(target=hold).start()
        libc.syscall(EXIT, 0)
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
    leave()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True: time.sleep(1)
time.sleep(100)
" => Timeout;
    outlives_its_end_as_a_daemon: "python", {}, r"
print('held', flush=True)
if os.fork() == 0:
    leave()
    if os.fork() == 0:
        for number in range(3): os.close(number)
        while True: time.sleep(1)
    os._exit(0)
" => Held;
    a_daemon_holds_the_output_open: "python", {}, r"
print('held', flush=True)
if os.fork() == 0:
    leave()
    time.sleep(100)
" => Held;
    stops_its_own_keeper: "python", {"timeout": 2}, "os.kill(0, signal.SIGSTOP)\ntime.sleep(100)" => Timeout;
    a_sum_of_cpu_time_in_threads: "javascript", {"timeout": 4}, r"
const {Worker} = require('worker_threads');
for (let n = 0; n < 4; n++) new Worker('for(;;);', {eval: true});
" => Stopped("CPU time");
    endless_output: "python", {"timeout": 30}, "while True: sys.stdout.write('held ' * 10000)" => Failure("MB of output");
    endless_errors: "python", {"timeout": 30}, "while True: sys.stderr.write('x' * 100000)" => Failure("MB of output");
}
