"""What is done with a video: the seam between the frame of this service and its own work.

The frame knows a `Job` by its description. What does the work is a module that only the confined
child imports (sandbox/child.py), by the name that the description holds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from transcoder.errors import MediaError
from transcoder.sandbox.limits import Limits


@dataclass(frozen=True, slots=True)
class Output:
    """A file that a job may make."""

    name: str
    file_name: str
    content_type: str
    is_required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A description of the work."""

    # The module that does it: it has a function `convert`, as `Convert` says.
    module: str
    # In the order in which they are published.
    outputs: Sequence[Output]
    # The reasons for which it may refuse a video.
    errors: Sequence[type[MediaError]] = ()


@dataclass(frozen=True, slots=True)
class Made:
    """An output that is complete. A picture lasts 0 seconds."""

    name: str
    width: int
    height: int
    duration_seconds: float


class Convert(Protocol):
    """What the module of a job has: a function that runs in the confined child.

    It reads the source from a file descriptor, writes outputs to `folder`, where each of them
    exists and is empty, and calls `report` with the share of the work that is done, 0 to 1. It can
    make no other file. Raises `MediaError` if the video can never be converted, MemoryError or
    OSError if a limit or the machine is at fault.
    """

    def __call__(  # noqa: D102
        self, source: int, folder: Path, limits: Limits, report: Callable[[float], None]
    ) -> tuple[Made, ...]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaFile:
    """An output, open for reading, with what is known of it. Its receiver closes `content`."""

    name: str
    content: BinaryIO
    content_type: str
    width: int
    height: int
    duration_seconds: float
    size_bytes: int
