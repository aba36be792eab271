"""The rows of the videos and what they show: adding, finding, listing and removing them."""

import dataclasses
import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, Table, delete, func, insert, select

from video_queue.domain.errors import (
    KeyUsed,
    NotTheOwner,
    RenditionNotFound,
    TooManyPending,
    VideoNotFound,
)
from video_queue.domain.notifier import Notifier
from video_queue.domain.renditions import Rendition
from video_queue.domain.videos import Video, VideoStatus
from video_queue.storage import key_rows, rendition_rows, usage_rows
from video_queue.storage.database import Database
from video_queue.storage.schema import renditions, videos
from video_queue.storage.sharing import announce, as_text

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)
_MAX_PAGE_TEXT_BYTES: Final = 256 * 1024  # of the titles and descriptions in a page


class Catalog:
    """What is stored. Every method may raise `CatalogUnavailable`."""

    def __init__(self, database: Database, limit_bytes: int, owner_bytes: int) -> None:
        self._database = database
        self._limit_bytes = limit_bytes
        self._owner_bytes = owner_bytes

    async def check_pending(self, owner: str, max_pending: int) -> None:
        """Raise `TooManyPending` if the owner has so many pending videos."""
        await self._database.read(lambda connection: _check_pending(connection, owner, max_pending))

    async def add(self, video: Video, key: str, max_pending: int) -> None:
        """Add a new video, and the key it was uploaded with, if it has one.

        Once this returns, both survive a power cut. Raises `StoreFull`, `OwnerFull`,
        `TooManyPending`, or `KeyInUse` when another upload of the owner's was faster.
        """
        row = {
            "id": video.id,
            "owner": video.owner,
            "title": video.title,
            "description": video.description,
            "content_type": video.content_type,
            "size_bytes": video.size_bytes,
            "sha256": video.sha256,
            "status": video.status,
            "created_at": to_microseconds(video.created_at),
            "updated_at": to_microseconds(video.updated_at),
        }

        def work(connection: Connection) -> None:
            # First: so the uploads of an owner wait for each other, and are counted one by one.
            usage_rows.add_to_owner(connection, video.owner, video.size_bytes, self._owner_bytes)
            _check_pending(connection, video.owner, max_pending)
            if key:
                now = to_microseconds(video.created_at)
                key_rows.add(connection, video.owner, key, video.id, now)
            connection.execute(insert(videos).values(row))
            announce(connection, Notifier.WORK)
            usage_rows.add_to_all(connection, video.size_bytes, self._limit_bytes)

        await self._database.write(work)

    async def uploaded_with(self, key: str, owner: str, now: dt.datetime) -> Video | None:
        """Return the video that the owner uploaded with this key, None if that is not known.

        Raises `KeyUsed` if the video was deleted since.
        """
        video_id = await self._database.read(
            lambda connection: key_rows.video_id_of(connection, owner, key, to_microseconds(now))
        )
        if video_id is None:
            return None
        try:
            return await self.get(video_id)
        except VideoNotFound:
            raise KeyUsed(
                "The video that was uploaded with this key has been deleted: "
                "to upload it again, use a new key."
            ) from None

    async def get(self, video_id: str) -> Video:
        """Return one video. Raises `VideoNotFound`."""

        def work(connection: Connection) -> Video:
            found = connection.execute(select(videos).where(videos.c.id == as_text(video_id)))
            row = found.one_or_none()
            if row is None:
                raise VideoNotFound
            (video,) = _with_renditions(connection, [row])
            return video

        return await self._database.read(work)

    async def rendition(self, video_id: str, name: str) -> Rendition:
        """Return a rendition that can be seen. Raises `RenditionNotFound`."""
        query = (
            select(renditions)
            .join(videos)
            .where(
                renditions.c.video_id == as_text(video_id),
                renditions.c.name == as_text(name),
                videos.c.status == VideoStatus.COMPLETED,
            )
        )
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        if row is None:
            raise RenditionNotFound
        return rendition_rows.rendition_of(row)

    async def page(self, size: int, before: int | None) -> tuple[list[Video], int | None]:
        """Return up to `size` videos, newest first, and where the next page begins, if any.

        The page begins after the video numbered `before`. That one may be gone, and new ones may
        have come: every other video is still met exactly once. A page of long texts has fewer
        videos, so that a caller can hold many pages at once.
        """
        query = select(videos).order_by(videos.c.number.desc()).limit(size + 1)
        if before is not None:
            query = query.where(videos.c.number < before)

        def work(connection: Connection) -> tuple[list[Video], int | None]:
            rows = connection.execute(query).all()
            fitting = _fitting(rows[:size])
            page = _with_renditions(connection, fitting)
            return page, fitting[-1].number if len(rows) > len(fitting) else None

        return await self._database.read(work)

    async def remove(self, video_id: str, owner: str) -> tuple[Video, list[Rendition]]:
        """Remove a video, and return it with all that was published of it.

        Raises `VideoNotFound` or `NotTheOwner`.
        """
        # For a database with many writers: nothing more is published of it meanwhile.
        query = select(videos).where(videos.c.id == as_text(video_id)).with_for_update()

        def work(connection: Connection) -> tuple[Video, list[Rendition]]:
            row = connection.execute(query).one_or_none()
            if row is None:
                raise VideoNotFound
            if row.owner != owner:
                raise NotTheOwner
            dropped = rendition_rows.drop(connection, renditions.c.video_id == video_id)
            connection.execute(delete(videos).where(videos.c.number == row.number))
            announce(connection, video_id)
            made = sum(each.size_bytes for each in dropped)
            usage_rows.subtract(connection, made, of_owner={row.owner: row.size_bytes})
            return video_of(row), dropped

        return await self._database.write(work)

    async def known_videos(self, ids: Sequence[str]) -> set[str]:
        """Return those of the IDs that a video has."""
        return await self._known(videos, ids)

    async def known_renditions(self, ids: Sequence[str]) -> set[str]:
        """Return those of the IDs that a rendition has."""
        return await self._known(renditions, ids)

    async def _known(self, table: Table, ids: Sequence[str]) -> set[str]:
        query = select(table.c.id).where(table.c.id.in_(ids))
        return await self._database.read(
            lambda connection: set(connection.execute(query).scalars())
        )

    async def used_bytes(self) -> tuple[int, Mapping[str, int]]:
        """Return the size of all videos and renditions together, and of each owner's videos."""
        return await self._database.read(usage_rows.known)


def _check_pending(connection: Connection, owner: str, max_pending: int) -> None:
    is_pending = (videos.c.status == VideoStatus.PENDING, videos.c.owner == owner)
    query = select(func.count()).select_from(videos).where(*is_pending)
    if connection.execute(query).scalar_one() >= max_pending:
        raise TooManyPending(
            f"{max_pending} videos of {owner} are pending, as many as an owner may have: "
            "upload more when some of them are processed, or delete some."
        )


def _fitting(rows: Sequence[Row[Any]]) -> Sequence[Row[Any]]:
    """Return as many of the first rows as have texts that fit into a page, one at least."""
    size_bytes = 0
    for count, row in enumerate(rows):
        size_bytes += len(row.title.encode()) + len(row.description.encode())
        if size_bytes > _MAX_PAGE_TEXT_BYTES and count > 0:
            return rows[:count]
    return rows


def _with_renditions(connection: Connection, rows: Iterable[Row[Any]]) -> list[Video]:
    """Return the videos in the rows, each with the renditions that can be seen."""
    page = [video_of(row) for row in rows]
    completed = [video.id for video in page if video.status is VideoStatus.COMPLETED]
    shown = rendition_rows.of_videos(connection, completed)
    return [dataclasses.replace(video, renditions=shown.get(video.id, ())) for video in page]


def video_of(row: Row[Any]) -> Video:
    """Return the video in a row of the table, without its renditions."""
    return Video(
        id=row.id,
        owner=row.owner,
        title=row.title,
        description=row.description,
        content_type=row.content_type,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        status=VideoStatus(row.status),
        progress_percent=row.progress_percent,
        failure_reason=row.failure_reason,
        created_at=_EPOCH + row.created_at * _MICROSECOND,
        updated_at=_EPOCH + row.updated_at * _MICROSECOND,
    )


def to_microseconds(moment: dt.datetime) -> int:
    """Return a time as it stands in the tables."""
    return (moment - _EPOCH) // _MICROSECOND
