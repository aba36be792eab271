"""The limits that the kernel keeps for the process that decodes a video."""

import os
import resource
from typing import Final

from transcoder.sandbox.limits import Limits

# The first signal, SIGXCPU, can be ignored; SIGKILL, which follows after this, cannot.
_CPU_GRACE_SECONDS: Final = 5
_NICENESS: Final = 10  # the worker itself must be in time with its heartbeats


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
