"""What one video may cost, and the limits that the kernel keeps."""

import os
import resource
from dataclasses import dataclass
from typing import Final

# The first signal, SIGXCPU, can be ignored; SIGKILL, which follows after this, cannot.
_CPU_GRACE_SECONDS: Final = 5
_NICENESS: Final = 10  # the worker itself must be in time with its heartbeats


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds for one video. `memory_bytes` has to grow with `max_pixels` and `threads`."""

    # Of one picture as it is stored: up to 4K in either of its two meanings, so no 8K.
    max_pixels: int = 4096 * 2304
    max_seconds: float = 4 * 3600
    # Of all threads together.
    cpu_seconds: int = 12 * 3600
    # Of the heap and all stacks (RLIMIT_DATA).
    memory_bytes: int = 2 * 1024**3
    # Of each file that is made: as much as the queue takes. Otherwise the work would be in vain.
    output_bytes: int = 4 * 1024**3
    open_files: int = 64
    # Between two steps of progress, of which there are a thousand.
    stall_seconds: float = 300
    # Of the decoder and of each encoder: every one of them holds some pictures in memory, so that
    # a machine with many cores must not take as many as it could.
    threads: int = min(4, os.cpu_count() or 1)


def limit_resources(limits: Limits) -> None:
    """Lower the limits of this process, soft and hard, so that it cannot raise them again."""
    for kind, soft, hard in (
        (resource.RLIMIT_CPU, limits.cpu_seconds, limits.cpu_seconds + _CPU_GRACE_SECONDS),
        # Not RLIMIT_AS: for every thread glibc reserves 64 MiB of addresses, and uses few of them.
        (resource.RLIMIT_DATA, limits.memory_bytes, limits.memory_bytes),
        (resource.RLIMIT_FSIZE, limits.output_bytes, limits.output_bytes),
        (resource.RLIMIT_NOFILE, limits.open_files, limits.open_files),
        (resource.RLIMIT_CORE, 0, 0),
    ):
        resource.setrlimit(kind, (soft, hard))
    os.nice(_NICENESS)
