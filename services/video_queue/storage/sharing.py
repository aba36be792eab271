"""What queues that share a database say to each other, within a transaction of the caller's.

SQLite belongs to one queue, which has nobody to tell and one writer at a time: there each of these
does nothing.
"""

from typing import Final

from sqlalchemy import Connection, text

CHANNEL: Final = "video_queue"
ORIGIN: Final = "origin"
"""An execution option: which queue this is. What it announces itself, it need not hear."""

_LOCK: Final = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
_NOTIFY: Final = text("SELECT pg_notify(:channel, :payload)")


def is_shared(connection: Connection) -> bool:
    """Whether other queues may use this database too."""
    return connection.dialect.name == "postgresql"


def as_text(name: str) -> str:
    """Return a name to look for, which may be anything: PostgreSQL's texts have no character 0."""
    return name.replace("\0", "\ufffd")


def in_turn(connection: Connection, name: str) -> None:
    """Go on when every other transaction that has asked for this turn has ended."""
    if is_shared(connection):
        connection.execute(_LOCK, {"name": f"{CHANNEL} {name}"})


def announce(connection: Connection, *topics: str) -> None:
    """Tell all other queues that there is news on these topics, if and when this is committed.

    So a queue that is killed has told the others of all that it did, or did nothing
    (https://www.postgresql.org/docs/current/sql-notify.html).
    """
    if is_shared(connection):
        origin = connection.get_execution_options()[ORIGIN]
        for topic in topics:
            connection.execute(_NOTIFY, {"channel": CHANNEL, "payload": f"{origin} {topic}"})
