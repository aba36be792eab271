"""Takes away every system call that decoding does not need, by Linux's seccomp: see seccomp(2).

Landlock guards files; this filter guards the rest: other processes, the network, the names and
modes of files. It allows what the table names, and denies the others, those of future kernels
included. It is a program for the kernel's BPF machine, in which jumps only lead forward.
"""

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Only:
    """Allow a call only if this argument, with this mask applied, is one of the values.

    A pointer has 64 bits. In others the upper half means nothing, and need not be zero.
    """

    argument: int
    values: Sequence[int]
    mask: int = 0xFFFF_FFFF
    is_pointer: bool = False


_CLONE_THREAD: Final = 0x1_0000
_MAP_SHARED: Final = 0x01
_MAP_ANONYMOUS: Final = 0x20
_F_DUPFD_CLOEXEC: Final = 1030
_TCGETS: Final = 0x5401
_PR_SET_NAME: Final = 15

# Name, number on x86-64, number on ARM64 (asm/unistd_64.h, asm-generic/unistd.h), condition.
# None stands for a call that the processor does not have.
CALLS: Final[Sequence[tuple[str, int | None, int | None, Only | None]]] = (
    # Files that are open, and files that Landlock lets it open.
    ("read", 0, 63, None),
    ("write", 1, 64, None),
    ("readv", 19, 65, None),
    ("writev", 20, 66, None),
    ("pread64", 17, 67, None),
    ("pwrite64", 18, 68, None),
    ("lseek", 8, 62, None),
    ("open", 2, None, None),
    ("openat", 257, 56, None),
    ("close", 3, 57, None),
    ("close_range", 436, 436, None),
    ("dup", 32, 23, None),
    ("dup2", 33, None, None),
    ("dup3", 292, 24, None),
    ("pipe", 22, None, None),
    ("pipe2", 293, 59, None),
    ("poll", 7, None, None),
    ("ppoll", 271, 73, None),
    ("select", 23, None, None),
    ("pselect6", 270, 72, None),
    ("eventfd2", 290, 19, None),
    ("ftruncate", 77, 46, None),
    ("fallocate", 285, 47, None),
    ("fsync", 74, 82, None),
    ("fdatasync", 75, 83, None),
    ("fadvise64", 221, 223, None),
    # Not F_SETOWN, which has the kernel send signals to others.
    ("fcntl", 72, 25, Only(1, (0, 1, 2, 3, 4, _F_DUPFD_CLOEXEC))),
    ("ioctl", 16, 29, Only(1, (_TCGETS,))),
    # What a file is like.
    ("stat", 4, None, None),
    ("lstat", 6, None, None),
    ("fstat", 5, 80, None),
    ("newfstatat", 262, 79, None),
    ("statx", 332, 291, None),
    ("fstatfs", 138, 44, None),
    ("access", 21, None, None),
    ("faccessat", 269, 48, None),
    ("faccessat2", 439, 439, None),
    ("readlink", 89, None, None),
    ("readlinkat", 267, 78, None),
    ("getcwd", 79, 17, None),
    ("getdents64", 217, 61, None),
    # Memory that the limits count: not what processes share.
    (
        *("mmap", 9, 222),
        Only(3, (0, _MAP_SHARED, _MAP_ANONYMOUS), mask=_MAP_SHARED | _MAP_ANONYMOUS),
    ),
    ("munmap", 11, 215, None),
    ("mprotect", 10, 226, None),
    ("mremap", 25, 216, None),
    ("madvise", 28, 233, None),
    ("brk", 12, 214, None),
    # Threads of its own: not processes.
    ("clone", 56, 220, Only(0, (_CLONE_THREAD,), mask=_CLONE_THREAD)),
    ("futex", 202, 98, None),
    ("futex_waitv", 449, 449, None),
    ("set_robust_list", 273, 99, None),
    ("rseq", 334, 293, None),
    ("set_tid_address", 218, 96, None),
    ("membarrier", 324, 283, None),
    ("prctl", 157, 167, Only(0, (_PR_SET_NAME,))),
    ("sched_yield", 24, 124, None),
    ("sched_getaffinity", 204, 123, None),
    ("sched_getparam", 143, 121, None),
    ("sched_getscheduler", 145, 120, None),
    ("sched_get_priority_max", 146, 125, None),
    ("sched_get_priority_min", 147, 126, None),
    ("getcpu", 309, 168, None),
    ("exit", 60, 93, None),
    ("exit_group", 231, 94, None),
    # Its own signals.
    ("rt_sigaction", 13, 134, None),
    ("rt_sigprocmask", 14, 135, None),
    ("rt_sigreturn", 15, 139, None),
    ("sigaltstack", 131, 132, None),
    ("restart_syscall", 219, 128, None),
    # Who and when.
    ("getpid", 39, 172, None),
    ("getppid", 110, 173, None),
    ("gettid", 186, 178, None),
    ("getuid", 102, 174, None),
    ("geteuid", 107, 175, None),
    ("getgid", 104, 176, None),
    ("getegid", 108, 177, None),
    ("prlimit64", 302, 261, Only(2, (0,), is_pointer=True)),  # to ask for a limit, not to set one
    ("getrlimit", 97, 163, None),
    ("getrusage", 98, 165, None),
    ("sysinfo", 99, 179, None),
    ("uname", 63, 160, None),
    ("times", 100, 153, None),
    ("time", 201, None, None),
    ("gettimeofday", 96, 169, None),
    ("clock_gettime", 228, 113, None),
    ("clock_getres", 229, 114, None),
    ("clock_nanosleep", 230, 115, None),
    ("nanosleep", 35, 101, None),
    ("getrandom", 318, 278, None),
)
_TGKILL: Final = (234, 131)  # how a process sends a signal to one of its own threads: abort(3)
# The C library asks for this one, whose flags a filter cannot see, and falls back to clone if the
# kernel does not have it.
_CLONE3: Final = 435

# linux/audit.h, by the name that uname gives; the number is the column in the table.
_PROCESSORS: Final[Mapping[str, tuple[int, int]]] = {
    "x86_64": (0xC000_003E, 0),
    "aarch64": (0xC000_00B7, 1),
}

# linux/bpf_common.h, linux/filter.h, linux/seccomp.h, linux/prctl.h.
_LOAD: Final = 0x20
_AND: Final = 0x54
_IF_EQUAL: Final = 0x15
_RETURN: Final = 0x06
_ALLOW: Final = 0x7FFF_0000
_DENY: Final = 0x0005_0000 | errno.EPERM
_MISSING: Final = 0x0005_0000 | errno.ENOSYS
_KILL: Final = 0x8000_0000
_AT_NUMBER: Final = 0  # of struct seccomp_data
_AT_PROCESSOR: Final = 4
_AT_ARGUMENTS: Final = 16
_PR_GET_SECCOMP: Final = 21
_PR_SET_SECCOMP: Final = 22
_PR_SET_NO_NEW_PRIVS: Final = 38
_MODE_FILTER: Final = 2


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def has_seccomp() -> bool:
    """Return whether this kernel filters system calls, and the table knows this processor."""
    if platform.machine() not in _PROCESSORS:
        return False
    return int(ctypes.CDLL(None).prctl(_PR_GET_SECCOMP, 0, 0, 0, 0)) >= 0


def confine_calls() -> None:
    """Give up every system call but those in the table, for good.

    Threads that are running keep their rights, so this comes before the first one is started.
    Raises OSError.
    """
    code = b"".join(_program(*_PROCESSORS[platform.machine()], process=os.getpid()))
    program = _Program(len(code) // 8, code)
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in (
        (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0),
    ):
        if libc.prctl(*arguments) < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _program(processor: int, column: int, process: int) -> Iterator[bytes]:
    """Yield the instructions of 8 bytes each."""
    yield _instruction(_LOAD, _AT_PROCESSOR)
    yield _instruction(_IF_EQUAL, processor, skip_if_true=1)
    yield _instruction(_RETURN, _KILL)
    yield _instruction(_LOAD, _AT_NUMBER)
    rules = [(numbers[column], condition) for _, *numbers, condition in CALLS]
    for number, condition in (*rules, (_TGKILL[column], Only(0, (process,)))):
        if number is None:
            continue
        body = list(_if_allowed(condition)) if condition else [_instruction(_RETURN, _ALLOW)]
        yield _instruction(_IF_EQUAL, number, skip_if_false=len(body))
        yield from body
    yield _instruction(_IF_EQUAL, _CLONE3, skip_if_false=1)
    yield _instruction(_RETURN, _MISSING)
    yield _instruction(_RETURN, _DENY)


def _if_allowed(condition: Only) -> Iterator[bytes]:
    lower_half = _AT_ARGUMENTS + 8 * condition.argument  # both processors are little-endian
    if condition.is_pointer:
        yield _instruction(_LOAD, lower_half + 4)
        yield _instruction(_IF_EQUAL, 0, skip_if_true=1)
        yield _instruction(_RETURN, _DENY)
    yield _instruction(_LOAD, lower_half)
    yield _instruction(_AND, condition.mask)
    for value in condition.values:
        yield _instruction(_IF_EQUAL, value, skip_if_false=1)
        yield _instruction(_RETURN, _ALLOW)
    yield _instruction(_RETURN, _DENY)


def _instruction(code: int, value: int, *, skip_if_true: int = 0, skip_if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, skip_if_true, skip_if_false, value)
