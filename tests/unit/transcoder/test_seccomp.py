"""Which system calls the decoding process may no longer make. Each claim has a process."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from transcoder.sandbox.seccomp import CALLS, has_seccomp

BEGIN = """
import ctypes, fcntl, mmap, os, resource, signal, socket, sys, threading, time
from pathlib import Path
from transcoder.sandbox.seccomp import confine_calls
libc = ctypes.CDLL(None, use_errno=True)
def call(function, *arguments):
    if getattr(libc, function)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
parent = os.getppid()
os.chdir(sys.argv[1])
file = open("file", "r+")
limit = resource.getrlimit(resource.RLIMIT_NOFILE)
high = 1 << 32
libc.mmap.restype = ctypes.c_void_p
libc.mmap(ctypes.c_void_p(high), 4096, 3, 0x22 | 0x10_0000, -1, 0)
(ctypes.c_uint64 * 2).from_address(high)[:] = limit
"""
CONFINE = "confine_calls()\n"
HEADERS = (
    Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    Path("/usr/include/asm-generic/unistd.h"),
)

pytestmark = pytest.mark.skipif(not has_seccomp(), reason="this kernel does not filter calls")


def run(folder: Path, program: str) -> str:
    """Run the program; return its last line of text, or nothing if it did what it wanted."""
    folder.mkdir()
    (folder / "file").write_text("content")
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + program, folder],
        env={"PYTHONPATH": "services"},
        stderr=subprocess.PIPE,
        timeout=30,
        check=False,
    )
    return done.stderr.decode().strip().rpartition("\n")[2]


@pytest.mark.parametrize(
    "deed",
    [
        # Other processes: to make them, to leave their group, to harm them.
        "os.fork() or os._exit(0)",
        "os.posix_spawn('/bin/true', ['true'], {})",
        "os.execv('/bin/true', ['true'])",
        "os.setsid()",
        "os.setpgid(0, 0)",
        "call('unshare', 0x200)",
        "os.kill(parent, signal.SIGCONT)",
        "os.kill(-1, 0)",
        "os.killpg(0, signal.SIGCONT)",
        "signal.pidfd_send_signal(os.pidfd_open(parent), signal.SIGCONT)",
        "call('tgkill', parent, parent, signal.SIGCONT)",
        "call('ptrace', 0, 0, 0, 0)",
        "fcntl.fcntl(file, fcntl.F_SETOWN, parent)",
        "resource.prlimit(parent, resource.RLIMIT_NOFILE, limit)",
        "resource.prlimit(0, resource.RLIMIT_NOFILE, limit)",
        "call('prlimit', 0, 7, ctypes.c_void_p(high), None)",  # to the lower half it is zero
        "os.setpriority(os.PRIO_PROCESS, parent, os.getpriority(os.PRIO_PROCESS, parent))",
        "os.sched_setaffinity(parent, os.sched_getaffinity(parent))",
        "call('prctl', 1, 0, 0, 0, 0)",  # to outlive the worker
        # The network, and what processes share.
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
        "socket.socket(socket.AF_INET, socket.SOCK_STREAM)",
        "socket.socket(socket.AF_UNIX)",
        "socket.socketpair()",
        "os.memfd_create('memory')",
        "mmap.mmap(-1, 4096)",
        "call('shmget', 0, 4096, 0o1600)",
        "fcntl.flock(file, fcntl.LOCK_EX)",
        # Names and modes of files, which Landlock does not guard or guards in part.
        "os.chmod('file', 0)",
        "os.fchmod(file.fileno(), 0)",
        "os.chown('file', -1, -1)",
        "os.utime('file')",
        "os.truncate('file', 0)",
        "os.unlink('file')",
        "os.rename('file', 'other')",
        "os.link('file', 'other')",
        "os.symlink('/etc/passwd', 'other')",
        "os.mkdir('other')",
        "os.mkfifo('other')",
    ],
)
def test_what_was_allowed_is_denied(tmp_path: Path, deed: str) -> None:
    allowed = run(tmp_path / "free", deed)
    if "unshare" in deed and allowed.startswith("PermissionError"):
        pytest.skip("Docker's own filter denies it, to all that runs in this container")
    assert allowed == ""
    assert run(tmp_path / "confined", CONFINE + deed).startswith("PermissionError")


@pytest.mark.parametrize(
    "deed",
    [
        "open('file').read()",
        "open('file', 'w').write('other content')",
        "file.truncate(3)",
        "os.stat('file'), os.listdir('.'), os.getcwd()",
        "it = threading.Thread(target=time.sleep, args=(0.001,)); it.start(); it.join()",
        "bytearray(50_000_000)",
        "os.urandom(8), time.time(), time.monotonic(), os.getpid()",
        "resource.getrlimit(resource.RLIMIT_DATA)",
        "mmap.mmap(file.fileno(), 0)",
    ],
)
def test_what_the_work_needs_is_still_allowed(tmp_path: Path, deed: str) -> None:
    assert run(tmp_path / "confined", CONFINE + deed) == ""


def test_a_process_may_end_itself_with_a_signal(tmp_path: Path) -> None:
    """As assertions of decoders do: then the video fails as one that crashed."""
    (tmp_path / "file").touch()
    done = subprocess.run(
        [sys.executable, "-c", f"{BEGIN}{CONFINE}os.abort()", tmp_path],
        env={"PYTHONPATH": "services"},
        check=False,
    )
    assert done.returncode == -6


def test_no_thread_is_left_out(tmp_path: Path) -> None:
    """A thread that is started later is confined too."""
    deed = (
        "results = []\n"
        "def attack():\n"
        "    try: socket.socket()\n"
        "    except PermissionError: results.append('denied')\n"
        "thread = threading.Thread(target=attack); thread.start(); thread.join()\n"
        "assert results == ['denied'], results"
    )
    assert run(tmp_path / "confined", CONFINE + deed) == ""


@pytest.mark.parametrize("column", [0, 1], ids=["x86-64", "ARM64"])
def test_the_numbers_are_those_of_linux(column: int) -> None:
    """ARM64 has the numbers of asm-generic; there newfstatat is called fstatat in part."""
    if not HEADERS[column].exists():
        pytest.skip(f"{HEADERS[column]} is not installed")
    defined = {
        name.replace("3264_", ""): int(number)
        for name, number in re.findall(
            r"#define __NR_?(3264_\w+|\w+)\s+(\d+)$", HEADERS[column].read_text(), re.MULTILINE
        )
    }
    defined.setdefault("newfstatat", defined.get("fstatat", -1))
    numbers = {name: row[column] for name, *row, _ in CALLS}
    assert numbers == {name: defined.get(name) for name in numbers}
