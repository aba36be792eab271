"""Which bucket holds the files, and how to reach it: read once from the environment."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

from runtime.environment import Environment
from runtime.errors import ConfigurationError

_HOLDS: Final = "folder, or s3://bucket or s3://bucket/prefix"


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketSettings:
    """README.md says what each setting is for. Credentials are not here: botocore finds them."""

    bucket: str
    prefix: str
    """Empty, or ends with a slash."""
    endpoint: str | None
    """Where the store listens, https://host:port; None means Amazon."""
    ca: Path | None
    """The CAs of the store's certificate; None means those of our own trust bundle."""
    part_bytes: int = 5 * 1024 * 1024
    """The least that S3 takes as a part that is not the last."""
    orphan_seconds: float = 3600
    """A file without a row that is older belongs to no upload that is just being recorded."""
    unfinished_seconds: float = 86_400
    """A multipart upload that is older is abandoned: a connection lives for two hours at most."""
    sweep_seconds: float = 3600
    attempts: int = 3
    """How often a request is made that the store did not answer, or not to the end."""

    @classmethod
    def from_environment(cls, env: Environment) -> Self | None:
        """Read the settings; None means the folder. Raises `ConfigurationError`."""
        where = env.text("VIDEO_QUEUE_FILES", "folder")
        if where == "folder":
            return None
        url = urlsplit(where)
        if url.scheme != "s3" or not url.netloc or url.query or url.fragment or "@" in url.netloc:
            raise ConfigurationError(f"VIDEO_QUEUE_FILES is not usable: it should hold {_HOLDS}.")
        endpoint = env.variables.get("VIDEO_QUEUE_FILES_ENDPOINT") or None
        if endpoint is not None:
            _check_endpoint(endpoint)
        prefix = url.path.strip("/")
        return cls(
            bucket=url.netloc,
            prefix=f"{prefix}/" if prefix else "",
            endpoint=endpoint,
            ca=env.optional_path("VIDEO_QUEUE_FILES_CA"),
        )


def _check_endpoint(endpoint: str) -> None:
    url = urlsplit(endpoint)
    if (
        url.scheme != "https"
        or not url.hostname
        or url.path.strip("/")
        or url.query
        or url.username
    ):
        raise ConfigurationError(
            "VIDEO_QUEUE_FILES_ENDPOINT is not usable: it should hold https://host:port. "
            "Files and signatures are never sent in clear, so http:// is refused."
        )
