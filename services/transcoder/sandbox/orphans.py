"""Adopts what a confined process leaves running, and ends it.

The second net: where seccomp works, a confined process can start no other. Adopting is a property
of the whole process, so an entry point decides on it.
"""

import ctypes
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

# linux/prctl.h
_SET_CHILD_SUBREAPER: Final = 36
_GET_CHILD_SUBREAPER: Final = 37


def adopt_orphans() -> None:
    """Become the parent of all descendants whose own parent ends. Changes the whole process."""
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_orphans() -> None:
    """End every child of this process and wait for it, if this process adopts orphans.

    A child's children are adopted when it has ended, so the last round finds none.
    """
    if not _adopts():
        return
    while children := children_of(os.getpid()):
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        for child in children:
            with suppress(ChildProcessError):
                os.waitpid(child, 0)


def _adopts() -> bool:
    answer = ctypes.c_int()
    ctypes.CDLL(None).prctl(_GET_CHILD_SUBREAPER, ctypes.byref(answer), 0, 0, 0)
    return bool(answer.value)


def children_of(process: int) -> list[int]:
    """Return the ids of a process's children; its threads may come and go meanwhile."""
    children: list[int] = []
    for path in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended
            children.extend(map(int, path.read_text().split()))
    return children
