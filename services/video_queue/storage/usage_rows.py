"""How many bytes are stored, in all and of each owner's: rows for queues that share a database.

A queue that has its database to itself counts in memory (domain/quota.py). Several could each let
in the last upload that there is room for. So what they add is counted in the transaction that adds
it, and refused there too. The row of an owner is locked first, and that of all together last, for
as short as it can be.
"""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.dialects import postgresql

from video_queue.domain.errors import OwnerFull, StoreFull
from video_queue.storage.schema import renditions, usage, videos
from video_queue.storage.sharing import is_shared

ALL: Final = ""
"""The row of all videos and renditions together; no owner has an empty name."""


def prepare(connection: Connection) -> None:
    """Count once what was there before anybody counted."""
    if not is_shared(connection):
        return
    if connection.execute(select(usage.c.owner).where(usage.c.owner == ALL)).first():
        return
    total, by_owner = counted(connection)
    rows = [{"owner": owner, "size_bytes": size} for owner, size in by_owner.items()]
    connection.execute(insert(usage), [*rows, {"owner": ALL, "size_bytes": total}])


def counted(connection: Connection) -> tuple[int, Mapping[str, int]]:
    """Add up the sizes of all videos and renditions, and of each owner's videos."""
    by_owner = select(videos.c.owner, func.sum(videos.c.size_bytes)).group_by(videos.c.owner)
    of_renditions = select(func.sum(renditions.c.size_bytes))
    used_by = {owner: int(size) for owner, size in connection.execute(by_owner).all()}
    made = int(connection.execute(of_renditions).scalar_one() or 0)
    return sum(used_by.values()) + made, used_by


def known(connection: Connection) -> tuple[int, Mapping[str, int]]:
    """Return the same as it is counted from day to day."""
    if not is_shared(connection):
        return counted(connection)
    found = connection.execute(select(usage.c.owner, usage.c.size_bytes)).all()
    used_by = {owner: size for owner, size in found if size}
    return used_by.pop(ALL, 0), used_by


def add_to_owner(connection: Connection, owner: str, size_bytes: int, limit_bytes: int) -> None:
    """Count bytes as an owner's, whose row stays locked. Raises `OwnerFull`."""
    if not is_shared(connection):
        return
    more = postgresql.insert(usage).values(owner=owner, size_bytes=size_bytes)
    statement = more.on_conflict_do_update(
        index_elements=[usage.c.owner],
        set_={"size_bytes": usage.c.size_bytes + more.excluded.size_bytes},
    ).returning(usage.c.size_bytes)
    if connection.execute(statement).scalar_one() > limit_bytes:
        raise OwnerFull


def add_to_all(connection: Connection, size_bytes: int, limit_bytes: int) -> None:
    """Count bytes as stored: the last step of a transaction. Raises `StoreFull`."""
    if is_shared(connection):
        is_too_much = _changed(connection, ALL, size_bytes) > limit_bytes
        if is_too_much and size_bytes > 0:
            raise StoreFull


def subtract(
    connection: Connection, made: int, *, of_owner: Mapping[str, int] | None = None
) -> None:
    """Count bytes of renditions, and of owners' videos, as gone: the last step of a transaction."""
    if is_shared(connection):
        uploaded = of_owner or {}
        for owner, size_bytes in uploaded.items():
            _changed(connection, owner, -size_bytes)
        if gone := made + sum(uploaded.values()):
            _changed(connection, ALL, -gone)


def _changed(connection: Connection, owner: str, size_bytes: int) -> int:
    statement = (
        update(usage)
        .where(usage.c.owner == owner)
        .values(size_bytes=usage.c.size_bytes + size_bytes)
        .returning(usage.c.size_bytes)
    )
    return int(connection.execute(statement).scalar_one())
