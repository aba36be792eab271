"""Handing PEM text to OpenSSL, which reads files only, without a file: the key touches no disk.

It also settles which file was meant. A path is read again at its own moment, when a renewal may
have replaced what we have checked; these are the bytes that we have checked.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread


@contextmanager
def readable(content: bytes) -> Iterator[str]:
    """Yield a path from which `content` can be read, once."""
    read_end, write_end = os.pipe()
    # A pipe may hold as little as a page (pipe(7), "Pipe capacity"): then the writer has to wait.
    writer = Thread(target=_write, args=(write_end, content), name="pem-pipe")
    writer.start()
    try:
        yield f"/dev/fd/{read_end}"
    finally:
        os.close(read_end)
        writer.join()


def _write(write_end: int, content: bytes) -> None:
    with suppress(BrokenPipeError), open(write_end, "wb") as pipe:
        pipe.write(content)
