"""The process that decodes one video: `python -m transcoder.sandbox.child LIMITS`.

The video is its standard input, the output folder its current one, LIMITS a JSON object, and its
standard output takes the messages.
"""

import errno
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from av.error import ExternalError

from transcoder.errors import MediaError, NoRoom, TooMuchMemory, TooMuchOutput, TranscoderError
from transcoder.media.convert import convert
from transcoder.sandbox.landlock import confine_files
from transcoder.sandbox.limits import Limits, limit_resources
from transcoder.sandbox.messages import THOUSANDTHS, Failed, Finished, Message, Progress, encode

_ERRORS: Final[Mapping[int | None, type[TranscoderError]]] = {
    errno.EFBIG: TooMuchOutput,
    errno.ENOSPC: NoRoom,
    errno.EDQUOT: NoRoom,
}


def main() -> None:
    """Convert the video and say how it went. Whatever is not foreseen ends in a traceback."""
    limits = Limits(**json.loads(sys.argv[1]))
    folder = Path.cwd()
    limit_resources(limits)
    # PyAV imports some of its modules only when it needs them.
    confine_files(writable=folder, readable=filter(Path.is_dir, map(Path, sys.path)))
    reporter = Reporter()
    reporter.report(0)
    try:
        _say(Finished(convert(sys.stdin.fileno(), folder, limits, reporter.report)))
    except MediaError as error:
        _say(Failed(error))
    # Without memory for it, x264 fails in general, and no thread can be started (EAGAIN).
    except (MemoryError, BlockingIOError, ExternalError):
        _say(Failed(TooMuchMemory()))
    except OSError as error:
        if error.errno not in _ERRORS:
            raise
        _say(Failed(_ERRORS[error.errno]()))


class Reporter:
    """Says how far the work is, each thousandth once."""

    def __init__(self) -> None:
        self._said = -1

    def report(self, share: float) -> None:
        """Say it unless it was said. When the worker is no more, this ends the process."""
        thousandths = min(THOUSANDTHS - 1, int(share * THOUSANDTHS))
        if thousandths > self._said:
            self._said = thousandths
            _say(Progress(thousandths))


def _say(message: Message) -> None:
    sys.stdout.buffer.write(encode(message))
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
