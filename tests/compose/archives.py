"""Tar archives in memory: how files get into a container and out of it."""

import io
import tarfile
from collections.abc import Iterable, Mapping


def pack(files: Mapping[str, bytes]) -> bytes:
    """Return an archive of files by path, each readable by its owner alone."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, content in files.items():
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(content), 0o600
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def unpack(chunks: Iterable[bytes]) -> dict[str, bytes]:
    """Return the content of the files in an archived folder, by their paths below it."""
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
        files = {m.name.partition("/")[2]: archive.extractfile(m) for m in archive if m.isfile()}
        return {path: file.read() for path, file in files.items() if file}
