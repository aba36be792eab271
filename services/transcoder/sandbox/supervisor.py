"""Has one video converted by a process of its own, which may break down, hang or be taken over."""

import asyncio
import json
import os
import shutil
import signal
import socket
import stat
import sys
import tempfile
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Final

from transcoder.errors import (
    CannotStart,
    Crashed,
    Killed,
    Stalled,
    TooMuchWork,
    TranscoderError,
)
from transcoder.media.renditions import RENDITIONS
from transcoder.outputs import CONTENT_TYPES, THUMBNAIL, MediaFile, file_name
from transcoder.sandbox.limits import Limits
from transcoder.sandbox.messages import MAX_LINE_BYTES, Failed, Finished, Made, Progress, decode

_PACKAGES: Final = Path(__file__).parents[2]
_LAST_WORDS_BYTES: Final = 4096
_ENDINGS: Final[Mapping[int, type[TranscoderError]]] = {
    -signal.SIGXCPU: TooMuchWork,
    -signal.SIGKILL: Killed,
}


async def transcode(
    source: Path, folder: Path, limits: Limits, on_progress: Callable[[int], None]
) -> tuple[MediaFile, ...]:
    """Make the renditions and the thumbnail of `source` in `folder`, which must not exist yet.

    Calls `on_progress` with the percentage that is done, 0 to 100, whenever it has grown.

    Raises `MediaError` if this video has failed for good: its message is the reason for the person
    who uploaded it, its notes are for the log. Raises another `TranscoderError` if it is not the
    video's fault. After any exception, and when the task is cancelled, the process has ended and
    the folder is gone.
    """
    with _all_or_nothing(folder), source.open("rb") as video, _last_words(folder) as words:
        async with (
            _socket_pair() as (said, messages),
            _child(limits, folder, video=video, messages=messages, words=words) as process,
        ):
            made = await _listen(process, said, limits, on_progress)
        files = _checked(folder, made)
        on_progress(100)
        return files


@contextmanager
def _all_or_nothing(folder: Path) -> Iterator[None]:
    folder.mkdir()
    try:
        yield
    except BaseException:
        shutil.rmtree(folder)
        raise


@contextmanager
def _last_words(folder: Path) -> Iterator[IO[bytes]]:
    """Yield a file without a name for standard error; add its end to an error as a note."""
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            yield file
        except TranscoderError as error:
            file.seek(-min(_LAST_WORDS_BYTES, file.seek(0, os.SEEK_END)), os.SEEK_END)
            lines = file.read().decode(errors="replace").splitlines()
            for line in lines:  # without what a terminal would take for a command
                error.add_note("".join(filter(str.isprintable, line)))
            raise


@asynccontextmanager
async def _socket_pair() -> AsyncIterator[tuple[asyncio.StreamReader, socket.socket]]:
    """Yield what the process says, and the socket that it says it to.

    With a pipe that asyncio makes itself (subprocess.PIPE), `Process.wait` does not return after
    the end of a process that has filled it. The file of a pipe of our own uvloop closes twice, and
    by then its number may be another's.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        reader, writer = await asyncio.open_connection(sock=ours, limit=MAX_LINE_BYTES)
        # The transport closes our end when the loop is done with it. uvloop aborts the worker if it
        # is closed before.
        with closing(writer):
            yield reader, theirs


@asynccontextmanager
async def _child(
    limits: Limits, folder: Path, *, video: IO[bytes], messages: socket.socket, words: IO[bytes]
) -> AsyncIterator[Process]:
    """Run child.py, which inherits no file but these three, and no environment."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "transcoder.sandbox.child", json.dumps(asdict(limits))),
        stdin=video,
        stdout=messages.fileno(),
        stderr=words,
        cwd=folder,
        env={"PYTHONPATH": str(_PACKAGES)},
        start_new_session=True,  # so that it has a process group
    )
    messages.close()  # so that they end when the process does
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _listen(
    process: Process,
    said: asyncio.StreamReader,
    limits: Limits,
    on_progress: Callable[[int], None],
) -> tuple[Made, ...]:
    """Read what the process says until the last message. Raises `TranscoderError`.

    Progress always grows, so that neither messages nor time can be spent without end.
    """
    done = -1
    while True:
        try:
            async with asyncio.timeout(limits.stall_seconds):
                line = await said.readline()
                if not line:
                    raise _ending(await process.wait(), started=done >= 0)
            message = decode(line)
        except TimeoutError as error:
            raise Stalled from error
        except ValueError as error:
            raise Crashed from error
        match message:
            case Progress(thousandths) if thousandths > done:
                if thousandths // 10 > done // 10:
                    on_progress(thousandths // 10)
                done = thousandths
            case Finished(files):
                return files
            case Failed(failure):
                raise failure
            case _:
                raise Crashed


def _ending(exit_code: int, *, started: bool) -> TranscoderError:
    if not started:
        return CannotStart()
    return _ENDINGS.get(exit_code, Crashed)()


def _checked(folder: Path, made: tuple[Made, ...]) -> tuple[MediaFile, ...]:
    """Return the files that the process says it has made. Raises `Crashed` if it lies."""
    names = [file.name for file in made]
    expected = [rendition.name for rendition in RENDITIONS if rendition.name in names]
    if names != [*expected, THUMBNAIL]:
        raise Crashed
    return tuple(_media_file(folder / file_name(file.name), file) for file in made)


def _media_file(path: Path, made: Made) -> MediaFile:
    try:
        facts = path.lstat()
    except OSError as error:
        raise Crashed from error
    if not stat.S_ISREG(facts.st_mode):  # a link could lead to any file of the worker
        raise Crashed
    return MediaFile(
        name=made.name,
        path=path,
        content_type=CONTENT_TYPES[path.suffix],
        width=made.width,
        height=made.height,
        duration_seconds=made.duration_seconds,
        size_bytes=facts.st_size,
    )
