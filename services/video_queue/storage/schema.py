"""The tables, of types that SQLite and PostgreSQL both have; times are microseconds since 1970."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from video_queue.domain.videos import VideoStatus

metadata: Final = MetaData()

schema_version: Final = Table(
    "schema_version", metadata, Column("version", Integer, nullable=False)
)

videos: Final = Table(
    "videos",
    metadata,
    # Counts the videos in the order in which they came: a clock can go back, this number cannot,
    # so lists and page tokens go by it. SQLite counts by itself only in an INTEGER.
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("id", String(36), nullable=False, unique=True),
    Column("owner", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("content_type", String(255), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", LargeBinary(32), nullable=False),
    Column("status", String(10), nullable=False),
    Column("progress_percent", Integer, nullable=False, default=0),
    Column("failure_reason", Text, nullable=False, default=""),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("lease_token", BigInteger, nullable=False, default=0),
    Column("lease_ends_at", BigInteger),  # only while processing
    Column("attempts", Integer, nullable=False, default=0),
    CheckConstraint("progress_percent BETWEEN 0 AND 100", name="progress_is_a_percentage"),
    CheckConstraint(
        f"(status = '{VideoStatus.PROCESSING}') = (lease_ends_at IS NOT NULL)",
        name="processing_is_under_a_lease",
    ),
    # Finds the next video of each owner to work on, and the few that are being worked on.
    Index("videos_by_status_and_owner", "status", "owner", "number"),
    sqlite_autoincrement=True,  # never gives the number of a deleted video to a new one
)

renditions: Final = Table(
    "renditions",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("video_id", String(36), ForeignKey(videos.c.id), nullable=False),
    Column("lease_token", BigInteger, nullable=False),
    Column("name", String(32), nullable=False),
    Column("content_type", String(255), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", LargeBinary(32), nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("duration_ms", Integer, nullable=False),
    UniqueConstraint("video_id", "lease_token", "name"),  # and an index for all of a video
)

# Of two attempts at one upload, the primary key lets one in. There is no foreign key, since a key
# stays when its video is deleted: a repeat that comes late must not bring it back.
upload_keys: Final = Table(
    "upload_keys",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("video_id", String(36), nullable=False),
    Column("created_at", BigInteger, nullable=False, index=True),
)


# Whose turn it is to have a video worked on: `turn` counts claims, and the lowest one is next.
turns: Final = Table(
    "turns",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("turn", BigInteger, nullable=False, index=True),
)

# How many bytes are stored, of each owner's videos and, under an empty name, of all together. Only
# queues that share a database count here (usage_rows.py); SQLite has no such table.
usage: Final = Table(
    "usage",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("size_bytes", BigInteger, nullable=False),
)
