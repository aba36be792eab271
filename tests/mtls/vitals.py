"""How a process is: what Linux tells of it."""

import os
from contextlib import suppress
from pathlib import Path

from local_stack import Service


def resident_mib(service: Service) -> float:
    """Return the memory that it has, in MiB."""
    pages = int(_proc(service, "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 2**20


def sockets(service: Service) -> int:
    """Return how many it has open. Files do not count: the database opens them as it needs them."""
    found = 0
    for descriptor in _proc(service, "fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found += str(descriptor.readlink()).startswith("socket:")
    return found


def _proc(service: Service, name: str) -> Path:
    return Path(f"/proc/{service.process.pid}/{name}")
