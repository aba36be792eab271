"""The environment: defaults, and errors that name the variable."""

from pathlib import Path

import pytest

from runtime.errors import ConfigurationError
from video_queue.config import Config

NEEDED = {"VIDEO_QUEUE_IDENTITY": "/certs", "VIDEO_QUEUE_DATA": "/data"}


def test_two_variables_are_enough() -> None:
    config = Config.from_environment(NEEDED)
    settings = config.service
    assert config.identity == Path("/certs")
    assert settings.database_url == "sqlite:////data/video-queue.db"
    assert settings.limits.upload_bytes == 4 * 1024**3
    assert (settings.limits.rendition_bytes, settings.limits.renditions) == (4 * 1024**3, 16)
    assert settings.quota_bytes == 50 * 1024**3
    assert (settings.lease_seconds, settings.max_attempts) == (30, 3)


def test_the_database_password_is_not_shown() -> None:
    url = "postgresql+psycopg://user:secret@db/videos"
    config = Config.from_environment({**NEEDED, "VIDEO_QUEUE_DATABASE_URL": url})
    assert config.service.database_url == url
    assert "secret" not in repr(config)


@pytest.mark.parametrize("missing", NEEDED)
def test_a_missing_variable_is_named(missing: str) -> None:
    with pytest.raises(ConfigurationError, match=missing):
        Config.from_environment({**NEEDED, missing: ""})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VIDEO_QUEUE_LISTEN", "50051"),
        ("VIDEO_QUEUE_MAX_UPLOAD_BYTES", "0"),
        ("VIDEO_QUEUE_MAX_RENDITION_BYTES", "0"),
        ("VIDEO_QUEUE_MAX_RENDITIONS", "0"),
        ("VIDEO_QUEUE_QUOTA_BYTES", "lots"),
        ("VIDEO_QUEUE_LEASE_SECONDS", "0"),
        ("VIDEO_QUEUE_MAX_ATTEMPTS", "0"),
        ("VIDEO_QUEUE_SHUTDOWN_GRACE_SECONDS", "nan"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_a_bad_value_is_named_with_its_variable(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        Config.from_environment({**NEEDED, name: value})
