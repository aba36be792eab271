"""What the domain needs: interfaces, without a database and without files. storage/ has both."""

import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

from video_queue.domain.renditions import Rendition
from video_queue.domain.videos import Claim, Lease, Report, Video

_Result = TypeVar("_Result")

Record = Callable[[int, bytes], Awaitable[_Result]]
"""Writes the row of a file, given the file's size in bytes and its SHA-256."""


class Stored(Protocol):
    """What a file belongs to: a video, or a rendition."""

    @property
    def id(self) -> str:
        """The name of the file."""

    @property
    def size_bytes(self) -> int:
        """The length of the file."""


class Files(Protocol):
    """Files of one kind, each named by the ID of what it belongs to."""

    async def receive(
        self,
        file_id: str,
        chunks: AsyncIterator[bytes],
        max_bytes: int,
        record: Record[_Result],
        *,
        owner: str | None = None,
    ) -> _Result:
        """Store the chunks as a file of `owner`, then `record` it: all of it, or nothing.

        Raises `InvalidRequest` if there are no bytes, `TooLarge`, `StoreFull`, `OwnerFull`,
        `FilesUnavailable`, and what `chunks` and `record` raise.
        """

    def open(
        self, file_id: str, positions: range
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Yield the bytes of a file at `positions`. Raises `BytesLost` or `FilesUnavailable`."""

    async def remove(self, gone: Iterable[Stored], *, owner: str | None = None) -> None:
        """Delete the files of what is no longer in the catalog, and was `owner`'s."""


class Catalog(Protocol):
    """The rows of videos and renditions. Every method may raise `CatalogUnavailable`."""

    async def check_pending(self, owner: str, max_pending: int) -> None:
        """Raise `TooManyPending` if the owner has so many pending videos."""

    async def add(self, video: Video, key: str, max_pending: int) -> None:
        """Add a new video, and its idempotency key, which may be empty.

        Raises `StoreFull`, `KeyInUse`, or `TooManyPending` as `check_pending` does.
        """

    async def uploaded_with(self, key: str, owner: str, now: dt.datetime) -> Video | None:
        """Return what the owner uploaded with this key. Raises `KeyUsed` if it was deleted."""

    async def get(self, video_id: str) -> Video:
        """Return one video. Raises `VideoNotFound`."""

    async def rendition(self, video_id: str, name: str) -> Rendition:
        """Return a rendition of a completed video. Raises `RenditionNotFound`."""

    async def page(self, size: int, before: int | None) -> tuple[list[Video], int | None]:
        """Return a page, newest first, and the position after which the next one begins."""

    async def remove(self, video_id: str, owner: str) -> tuple[Video, list[Rendition]]:
        """Remove a video and its renditions. Raises `VideoNotFound` or `NotTheOwner`."""


class Leases(Protocol):
    """The leases of videos, each step in one transaction. May raise `CatalogUnavailable`."""

    async def claim(self, now: dt.datetime) -> Claim | None:
        """Lease out the next pending video, if there is one: the owners take turns."""

    async def video_under(self, lease: Lease, now: dt.datetime) -> Video:
        """Return the video of a lease that is valid. Raises `LeaseLost`."""

    async def check_publish(
        self, lease: Lease, name: str, max_number: int, now: dt.datetime
    ) -> None:
        """Return if a rendition of that name may be published. Raises as `publish` does."""

    async def publish(
        self, lease: Lease, rendition: Rendition, max_number: int, now: dt.datetime
    ) -> list[Rendition]:
        """Add a rendition; return what it replaces. Raises `LeaseLost`, `TooManyRenditions`."""

    async def report(
        self, lease: Lease, report: Report, now: dt.datetime
    ) -> tuple[Video, list[Rendition]]:
        """Store a report; return the video, and the renditions that it drops.

        Raises `LeaseLost`, or `InvalidRequest` for COMPLETED when nothing was published.
        """

    async def release_lost(self, now: dt.datetime) -> tuple[list[Video], list[Rendition]]:
        """End every lease whose time is over; return the videos, and the renditions dropped."""
