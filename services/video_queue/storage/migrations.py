"""Making the tables, and changing those that an earlier version has made.

A migration is a function that is given the connection; the version counts them. All that are due
run in one transaction at the start, which both databases undo as a whole if it fails; of several
queues that start together, one does it. A table or an index that is new needs none: it is made.

There is no Alembic: it would bring three packages into the image and a second description of every
table, to do with a directory of files what this list does. Once several queues run, a migration has
to leave what the version before can still use, since that one runs beside it until it is replaced.
"""

from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import Connection, insert, inspect, select, text, update

from runtime.errors import StartError
from video_queue.storage import usage_rows
from video_queue.storage.schema import metadata, schema_version, usage
from video_queue.storage.sharing import in_turn, is_shared

Migration = Callable[[Connection], None]

MIGRATIONS: Final[Sequence[Migration]] = ()
"""The first makes version 2 out of version 1. Append to it, and never change what is there."""


def prepare_schema(connection: Connection, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Make the tables that are missing, and change those of an earlier version.

    Raises `StartError` if they are of a later version.
    """
    if is_shared(connection):
        connection.execute(text("SET LOCAL statement_timeout = 0"))  # large tables take their time
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        in_turn(connection, "schema")
    newest = 1 + len(migrations)
    found = _version_in(connection)
    if found is not None and found > newest:
        raise StartError(
            f"The database has schema version {found} and this program needs {newest}: "
            "start the program that made it, or begin with an empty database."
        )
    if found is not None:
        for migration in migrations[found - 1 :]:
            migration(connection)
    _make_missing(connection)
    if found is None:
        connection.execute(insert(schema_version).values(version=newest))
    elif found < newest:
        connection.execute(update(schema_version).values(version=newest))
    usage_rows.prepare(connection)


def _version_in(connection: Connection) -> int | None:
    if not inspect(connection).has_table(schema_version.name):
        return None
    return connection.execute(select(schema_version.c.version)).scalar_one_or_none()


def _make_missing(connection: Connection) -> None:
    tables = [
        table for table in metadata.sorted_tables if table is not usage or is_shared(connection)
    ]
    metadata.create_all(connection, tables=tables)
    for table in tables:  # create_all makes no index of a table that exists
        for index in table.indexes:
            index.create(connection, checkfirst=True)
