"""The settings of what is about videos: read once from the environment, never changed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from runtime.environment import Environment
from runtime.errors import ConfigurationError
from video_queue.domain.capacity import Capacity
from video_queue.domain.videos import Limits
from video_queue.storage.bucket_settings import BucketSettings
from video_queue.storage.database_url import POSTGRESQL, parse_database_url

_GIB: Final = 1024**3
_NO_FOLDER: Final = Path("/var/empty")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """README.md says what each setting is for; times are in seconds."""

    data: Path
    database_url: str = field(repr=False)  # may hold a password
    bucket: BucketSettings | None
    """Where the files are; None means in the data folder."""
    limits: Limits
    quota_bytes: int
    owner_quota_bytes: int
    watches: Capacity
    uploads: Capacity
    downloads: Capacity
    claims: int
    worker_transfers: int
    idle_seconds: float
    lease_seconds: int
    max_attempts: int

    @property
    def needs_data(self) -> bool:
        """Whether something is kept in the data folder, which then is this queue's alone."""
        return self.bucket is None or not self.database_url.startswith(POSTGRESQL)

    @classmethod
    def from_environment(cls, variables: Mapping[str, str]) -> Self:
        """Read the settings. Raises `ConfigurationError`, which names the variable at fault."""
        env = Environment(variables)
        bucket = BucketSettings.from_environment(env)
        url = variables.get("VIDEO_QUEUE_DATABASE_URL", "")
        needs_data = bucket is None or not url.startswith(POSTGRESQL)
        data = env.path("VIDEO_QUEUE_DATA", None if needs_data else _NO_FOLDER).absolute()
        sqlite = f"sqlite:///{data / 'video-queue.db'}"
        return cls(
            data=data,
            database_url=_database_url(env, sqlite),
            bucket=bucket,
            limits=Limits(
                upload_bytes=env.integer("VIDEO_QUEUE_MAX_UPLOAD_BYTES", 4 * _GIB, minimum=1),
                title_length=env.integer("VIDEO_QUEUE_MAX_TITLE_LENGTH", 200, minimum=1),
                description_length=env.integer("VIDEO_QUEUE_MAX_DESCRIPTION_LENGTH", 5000),
                rendition_bytes=env.integer("VIDEO_QUEUE_MAX_RENDITION_BYTES", 4 * _GIB, minimum=1),
                renditions=env.integer("VIDEO_QUEUE_MAX_RENDITIONS", 16, minimum=1, maximum=100),
                pending_per_owner=env.integer("VIDEO_QUEUE_MAX_PENDING_PER_OWNER", 1000, minimum=1),
            ),
            quota_bytes=env.integer("VIDEO_QUEUE_QUOTA_BYTES", 50 * _GIB, minimum=1),
            owner_quota_bytes=env.integer("VIDEO_QUEUE_OWNER_QUOTA_BYTES", 10 * _GIB, minimum=1),
            watches=_capacity(env, "WATCHES", 500, 100),
            uploads=_capacity(env, "UPLOADS", 32, 8),
            downloads=_capacity(env, "DOWNLOADS", 96, 24),
            claims=env.integer("VIDEO_QUEUE_MAX_CLAIMS", 200, minimum=1),
            worker_transfers=env.integer("VIDEO_QUEUE_MAX_WORKER_TRANSFERS", 24, minimum=1),
            idle_seconds=env.seconds("VIDEO_QUEUE_IDLE_SECONDS", 30, minimum=0.1),
            lease_seconds=env.integer("VIDEO_QUEUE_LEASE_SECONDS", 30, minimum=1, maximum=86_400),
            max_attempts=env.integer("VIDEO_QUEUE_MAX_ATTEMPTS", 3, minimum=1, maximum=100),
        )


def _database_url(env: Environment, default: str) -> str:
    url = env.text("VIDEO_QUEUE_DATABASE_URL", default)
    try:
        parse_database_url(url)
    except ValueError as error:
        raise ConfigurationError(f"VIDEO_QUEUE_DATABASE_URL {error}") from None
    return url


def _capacity(env: Environment, kind: str, total: int, share: int) -> Capacity:
    return Capacity(
        env.integer(f"VIDEO_QUEUE_MAX_{kind}", total, minimum=1),
        env.integer(f"VIDEO_QUEUE_MAX_{kind}_PER_IDENTITY", share, minimum=1),
    )
