"""The process that works on one video: `python -m transcoder.sandbox.child MODULE LIMITS`.

The video is its standard input. The outputs are in its current folder, each of them made already
and empty. Its standard output takes the messages. MODULE is that of a `Job`, LIMITS a JSON object.
"""

import ctypes
import errno
import json
import signal
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Final

from transcoder.errors import MediaError, NoRoom, TooMuchMemory, TooMuchOutput, TranscoderError
from transcoder.job import Convert
from transcoder.sandbox.landlock import confine_files, landlock_version
from transcoder.sandbox.limits import Limits, limit_resources
from transcoder.sandbox.messages import THOUSANDTHS, Failed, Finished, Message, Progress, encode
from transcoder.sandbox.seccomp import confine_calls, has_seccomp

_PR_SET_PDEATHSIG: Final = 1
_ERRORS: Final[Mapping[int | None, type[TranscoderError]]] = {
    errno.EFBIG: TooMuchOutput,
    errno.ENOSPC: NoRoom,
    errno.EDQUOT: NoRoom,
}


def main() -> None:
    """Convert the video and say how it went. Whatever is not foreseen ends in a traceback."""
    convert: Convert = import_module(sys.argv[1]).convert
    limits = Limits(**json.loads(sys.argv[2]))
    folder = Path.cwd()
    confine(folder, limits)
    reporter = Reporter()
    reporter.report(0)
    try:
        _say(Finished(convert(sys.stdin.fileno(), folder, limits, reporter.report)))
    except MediaError as error:
        _say(Failed(type(error).__name__, str(error)))
    except (MemoryError, BlockingIOError):  # without memory no thread can be started (EAGAIN)
        _say_failed(TooMuchMemory)
    except OSError as error:
        if error.errno not in _ERRORS:
            raise
        _say_failed(_ERRORS[error.errno])


def confine(folder: Path, limits: Limits) -> None:
    """Give up what the work does not need, before the first byte of the video is read."""
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        raise RuntimeError("A thread is running, which would keep its rights.")
    # When memory ends, the kernel ends this process, and not the worker or another container.
    Path("/proc/self/oom_score_adj").write_text("1000")
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # ends with the worker
    limit_resources(limits)
    if landlock_version():
        # PyAV imports some of its modules only when it needs them.
        confine_files(writable=folder.iterdir(), readable=filter(Path.is_dir, map(Path, sys.path)))
    if has_seccomp():
        confine_calls()


class Reporter:
    """Says how far the work is, each thousandth once."""

    def __init__(self) -> None:
        self._said = -1

    def report(self, share: float) -> None:
        """Say it unless it was said. When the worker has ended, this ends the process."""
        thousandths = min(THOUSANDTHS - 1, int(share * THOUSANDTHS))
        if thousandths > self._said:
            self._said = thousandths
            _say(Progress(thousandths))


def _say_failed(error: type[TranscoderError]) -> None:
    _say(Failed(error.__name__, str(error())))


def _say(message: Message) -> None:
    sys.stdout.buffer.write(encode(message))
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
