"""Prints every private key in a file below ROOT, as JSON: [path, SHA-256 of its public key]."""

import hashlib
import json
import mmap
import os
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

KEY = re.compile(rb"-----BEGIN ([A-Z ]*)PRIVATE KEY-----\s[\w+/=\s]+-----END \1PRIVATE KEY-----")
NOT_FILES = ("proc", "sys")  # the kernel's own


def files(root: str) -> Iterator[Path]:
    """Yield all that has content, whatever it is called and wherever it is mounted."""
    for folder, subfolders, names in os.walk(root, onerror=give_up):
        if folder == root:
            subfolders[:] = [name for name in subfolders if name not in NOT_FILES]
        for path in (Path(folder, name) for name in names):
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and status.st_size:
                yield path


def give_up(error: OSError) -> None:
    """Fail: what cannot be looked into may hold anything."""
    raise error


def keys(path: Path) -> Iterator[str]:
    """Yield the fingerprint of each key in the file."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for match in KEY.finditer(content):
            try:
                key = serialization.load_pem_private_key(match[0], password=None)
            except (ValueError, UnsupportedAlgorithm):  # then it is none that we have made
                yield hashlib.sha256(match[0]).hexdigest()
                continue
            yield hashlib.sha256(
                key.public_key().public_bytes(
                    serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
                )
            ).hexdigest()


print(json.dumps([[str(path), key] for path in files(sys.argv[1]) for key in keys(path)]))
