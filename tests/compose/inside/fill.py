"""Writes a file until so many MiB of its disk are free: fill.py PATH FREE_MIB."""

import os
import sys
from contextlib import suppress
from pathlib import Path

path, free_bytes = Path(sys.argv[1]), int(sys.argv[2]) * 1024 * 1024
# Unbuffered: what does not fit any more must not be tried again when the file is closed.
with path.open("wb", buffering=0) as file:
    disk = os.fstatvfs(file.fileno())
    too_many = disk.f_bfree * disk.f_frsize - free_bytes
    with suppress(OSError):  # the disk is full
        while too_many > 0:
            too_many -= file.write(bytes(min(too_many, 64 * 1024)))
