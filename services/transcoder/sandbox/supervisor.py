"""Has one video converted by a process of its own, which may break down, hang or be taken over."""

import asyncio
import json
import os
import signal
import socket
import sys
import tempfile
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, BinaryIO, Final

import structlog

from runtime.errors import StartError
from transcoder.errors import (
    CannotStart,
    Crashed,
    Killed,
    NoRoom,
    Stalled,
    TooMuchMemory,
    TooMuchOutput,
    TooMuchWork,
    TranscoderError,
)
from transcoder.job import Job, Made, MediaFile
from transcoder.sandbox.landlock import landlock_version
from transcoder.sandbox.limits import Limits
from transcoder.sandbox.messages import MAX_LINE_BYTES, Failed, Finished, Progress, decode
from transcoder.sandbox.orphans import end_orphans
from transcoder.sandbox.seccomp import has_seccomp
from transcoder.scratch import remove_tree

_log = structlog.get_logger(__name__)

_PACKAGES: Final = str(Path(__file__).parents[2])
_LAST_WORDS_BYTES: Final = 4096
_ENDINGS: Final[Mapping[int, type[TranscoderError]]] = {
    -signal.SIGXCPU: TooMuchWork,
    -signal.SIGKILL: Killed,
}
_CLAIMS: Final = (NoRoom, TooMuchMemory, TooMuchOutput)  # what every job may say of itself


def check_sandbox(*, is_required: bool) -> None:
    """Say what this kernel confines the child with. Raises `StartError` if it is not enough."""
    landlock, seccomp = landlock_version(), has_seccomp()
    if landlock and seccomp:
        _log.info("sandbox.ready", landlock=landlock, seccomp=seccomp)
        return
    if is_required:
        raise StartError(
            "A hostile video could read the private key here, since the process that decodes it "
            f"cannot be confined (Landlock: {landlock or 'none'}, seccomp: "
            f"{'yes' if seccomp else 'none'}). Use Linux 5.13 or later with Landlock enabled, and "
            "Docker Engine 20.10.18 or later. To take the risk with videos that you trust, set "
            "TRANSCODER_LET_VIDEOS_READ_THE_KEY=yes."
        )
    _log.warning("sandbox.missing", landlock=landlock, seccomp=seccomp)


async def run_job(
    job: Job, source: Path, folder: Path, limits: Limits, on_progress: Callable[[int], None]
) -> tuple[MediaFile, ...]:
    """Make the outputs of `source` in `folder`, which must not exist yet; return them, open.

    Calls `on_progress` with the percentage that is done, 0 to 100, whenever it has grown.

    The outputs are created and opened here, before the child starts, and never opened by name
    again: so it cannot put another file in the place of one, whatever it does to the folder.

    Raises `MediaError` if this video has failed for good: its message is the reason for the person
    who uploaded it, its notes are for the log. Raises another `TranscoderError` if it is not the
    video's fault. After any exception, and when the task is cancelled, the process has ended and
    the folder is gone.
    """
    with _all_or_nothing(folder), ExitStack() as files:
        outputs = {
            it.name: files.enter_context(_create(folder / it.file_name)) for it in job.outputs
        }
        with source.open("rb") as video, _last_words(folder) as words:
            async with (
                _socket_pair() as (said, messages),
                _child(job, limits, folder, video=video, messages=messages, words=words) as process,
            ):
                made = await _listen(job, process, said, limits, on_progress)
        result = _checked(job, made, outputs)
        on_progress(100)
        files.pop_all()
        for name in outputs.keys() - {it.name for it in result}:
            outputs[name].close()
        return result


@contextmanager
def _all_or_nothing(folder: Path) -> Iterator[None]:
    folder.mkdir(mode=0o700)
    try:
        yield
    except BaseException:
        remove_tree(folder)
        raise


def _create(path: Path) -> BinaryIO:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o600), "rb")


@contextmanager
def _last_words(folder: Path) -> Iterator[IO[bytes]]:
    """Yield a file without a name for standard error; its end goes into an error, or the log."""
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            yield file
        except TranscoderError as error:
            for line in _end_of(file):
                error.add_note(line)
            raise
        if notes := _end_of(file):
            _log.info("job.notes", notes=notes)


def _end_of(file: IO[bytes]) -> list[str]:
    file.seek(-min(_LAST_WORDS_BYTES, file.seek(0, os.SEEK_END)), os.SEEK_END)
    lines = file.read(_LAST_WORDS_BYTES).decode(errors="replace").splitlines()
    # Without what a terminal would take for a command.
    return ["".join(filter(str.isprintable, line)) for line in lines]


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
    job: Job,
    limits: Limits,
    folder: Path,
    *,
    video: IO[bytes],
    messages: socket.socket,
    words: IO[bytes],
) -> AsyncIterator[Process]:
    """Run child.py, which inherits no file but these three, and no environment."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "transcoder.sandbox.child"),
        *(job.module, json.dumps(asdict(limits))),
        stdin=video,
        stdout=messages.fileno(),
        stderr=words,
        cwd=folder,
        env={"PYTHONPATH": _PACKAGES},
        start_new_session=True,  # so that it has a process group
    )
    messages.close()  # so that they end when the process does
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        end_orphans()


async def _listen(
    job: Job,
    process: Process,
    said: asyncio.StreamReader,
    limits: Limits,
    on_progress: Callable[[int], None],
) -> tuple[Made, ...]:
    """Read what the process says until the last message. Raises `TranscoderError`.

    Progress always grows, so that neither messages nor time can be spent without end.
    """
    possible: tuple[type[TranscoderError], ...] = (*_CLAIMS, *job.errors)
    errors = {it.__name__: it for it in possible}
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
            case Failed(name, text) if name in errors:
                raise errors[name](text)
            case _:
                raise Crashed


def _ending(exit_code: int, *, started: bool) -> TranscoderError:
    if not started:
        return CannotStart()
    return _ENDINGS.get(exit_code, Crashed)()


def _checked(
    job: Job, made: tuple[Made, ...], outputs: Mapping[str, BinaryIO]
) -> tuple[MediaFile, ...]:
    """Return the files that the process says it has made. Raises `Crashed` if that is not true."""
    by_name = {it.name: it for it in made}
    wanted = [it for it in job.outputs if it.is_required or it.name in by_name]
    if [it.name for it in wanted] != [it.name for it in made]:
        raise Crashed
    files = tuple(
        MediaFile(
            name=it.name,
            content=outputs[it.name],
            content_type=it.content_type,
            width=by_name[it.name].width,
            height=by_name[it.name].height,
            duration_seconds=by_name[it.name].duration_seconds,
            size_bytes=os.fstat(outputs[it.name].fileno()).st_size,
        )
        for it in wanted
    )
    if not all(file.size_bytes for file in files):
        raise Crashed
    return files
