"""Takes away the right to open files, by Linux's Landlock: see landlock(7).

Decoders have had holes, and a video that takes over its decoder would like to read the worker's
private key. Landlock needs neither root nor a setting, only Linux 5.13.
"""

import ctypes
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

# linux/landlock.h and linux/prctl.h; system calls have these numbers on x86-64 and on ARM64.
_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
_TELL_VERSION: Final = 1
_PATH_BENEATH: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38

# Bits, by the version of Landlock that brought them.
_FILE_RIGHTS: Final[Mapping[int, int]] = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
_TCP_RIGHTS: Final[Mapping[int, int]] = {4: 0b11}  # bind, connect
_SCOPES: Final[Mapping[int, int]] = {6: 0b11}  # abstract UNIX sockets, signals to others
_READ: Final = 1 << 2 | 1 << 3  # files, folders
_FILL: Final = 1 << 1 | 1 << 2 | 1 << 14  # write, read, truncate a file


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("file_rights", ctypes.c_uint64),
        ("tcp_rights", ctypes.c_uint64),
        ("scopes", ctypes.c_uint64),
    )


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_rights", ctypes.c_uint64), ("path", ctypes.c_int32))


def landlock_version() -> int:
    """Return the version of Landlock that this kernel has; 0 if it has none."""
    libc = ctypes.CDLL(None)
    return max(0, int(libc.syscall(_CREATE_RULESET, None, 0, _TELL_VERSION)))


def confine_files(*, writable: Iterable[Path], readable: Iterable[Path]) -> None:
    """Give up every right to files but to fill the writable ones and to read the readable folders.

    So no file can be made, renamed or removed. Landlock 4 and 6 also take away TCP, and signals to
    other processes. Files that are open stay open. Threads that are running keep their rights, so
    this comes before the first one is started. Raises OSError.
    """
    version = landlock_version()
    file_rights = _rights(_FILE_RIGHTS, version)
    ruleset = _Ruleset(file_rights, _rights(_TCP_RIGHTS, version), _rights(_SCOPES, version))
    # An older kernel takes the longer structure too, as long as what it does not know is zero.
    rules = _call("syscall", _CREATE_RULESET, ctypes.byref(ruleset), ctypes.sizeof(ruleset), 0)
    for file in writable:
        _allow(rules, file, _FILL & file_rights)
    for folder in readable:
        _allow(rules, folder, _READ)
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _call("syscall", _RESTRICT_SELF, rules, 0)
    os.close(rules)


def _allow(rules: int, path: Path, rights: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    beneath = _PathBeneath(rights, descriptor)
    _call("syscall", _ADD_RULE, rules, _PATH_BENEATH, ctypes.byref(beneath), 0)
    os.close(descriptor)


def _rights(by_version: Mapping[int, int], version: int) -> int:
    return sum(rights for since, rights in by_version.items() if since <= version)


def _call(function: str, *arguments: object) -> int:
    result = int(getattr(ctypes.CDLL(None, use_errno=True), function)(*arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
