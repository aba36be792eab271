"""The keys of uploads, each step within a transaction of the caller's; times are in microseconds.

A key is added in the transaction that adds its video. So whenever the power goes, there is no key
without its upload, and no upload without its key.
"""

import datetime as dt
from typing import Final

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import IntegrityError

from video_queue.domain.errors import KeyInUse
from video_queue.storage.schema import upload_keys

_LIFETIME: Final = dt.timedelta(hours=24) // dt.timedelta(microseconds=1)


def add(connection: Connection, owner: str, key: str, video_id: str, now: int) -> None:
    """Add a key and drop those that are too old, so that the table does not grow without end.

    Raises `KeyInUse` for a key that is there already: the upload that had it ends just now.
    """
    too_old = upload_keys.c.created_at <= now - _LIFETIME
    connection.execute(delete(upload_keys).where(too_old))
    row = {"owner": owner, "key": key, "video_id": video_id, "created_at": now}
    try:
        connection.execute(insert(upload_keys).values(row))
    except IntegrityError:
        raise KeyInUse from None


def video_id_of(connection: Connection, owner: str, key: str, now: int) -> str | None:
    """Return the ID of the video that was uploaded with a key, None if nobody remembers one."""
    query = select(upload_keys.c.video_id).where(
        upload_keys.c.owner == owner,
        upload_keys.c.key == key,
        upload_keys.c.created_at > now - _LIFETIME,
    )
    return connection.execute(query).scalar_one_or_none()
