"""The rows of the renditions, each step within a transaction of the caller's.

They are published under a lease, and dropped in the transaction that ends it with anything but
success. So those of a video that is completed are the ones that can be seen.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, insert, select

from video_queue.domain.renditions import Rendition, in_order
from video_queue.domain.videos import Lease
from video_queue.storage.schema import renditions


def add(connection: Connection, lease: Lease, rendition: Rendition) -> None:
    """Add a rendition that was published under a lease."""
    row = {
        "id": rendition.id,
        "video_id": lease.video_id,
        "lease_token": lease.token,
        "name": rendition.name,
        "content_type": rendition.content_type,
        "size_bytes": rendition.size_bytes,
        "sha256": rendition.sha256,
        "width": rendition.width,
        "height": rendition.height,
        "duration_ms": rendition.duration_ms,
    }
    connection.execute(insert(renditions).values(row))


def of_videos(
    connection: Connection, video_ids: Collection[str]
) -> Mapping[str, tuple[Rendition, ...]]:
    """Return the renditions of videos, in order, by the ID of the video: in one query for all."""
    found: dict[str, list[Rendition]] = defaultdict(list)
    if video_ids:
        query = select(renditions).where(renditions.c.video_id.in_(video_ids))
        for row in connection.execute(query).all():
            found[row.video_id].append(rendition_of(row))
    return {video_id: in_order(each) for video_id, each in found.items()}


def number(connection: Connection, which: ColumnElement[bool]) -> int:
    """Return how many renditions there are to which `which` applies."""
    query = select(func.count()).select_from(renditions).where(which)
    return int(connection.execute(query).scalar_one())


def drop(connection: Connection, which: ColumnElement[bool]) -> list[Rendition]:
    """Remove the renditions to which `which` applies, and return them."""
    statement = delete(renditions).where(which).returning(*renditions.c)
    return [rendition_of(row) for row in connection.execute(statement).all()]


def published_under(lease: Lease) -> ColumnElement[bool]:
    """Return the condition that a rendition was published under this lease."""
    return and_(renditions.c.video_id == lease.video_id, renditions.c.lease_token == lease.token)


def rendition_of(row: Row[Any]) -> Rendition:
    """Return the rendition in a row of the table."""
    return Rendition(
        id=row.id,
        name=row.name,
        content_type=row.content_type,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        width=row.width,
        height=row.height,
        duration_ms=row.duration_ms,
    )
