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
    url = "postgresql+psycopg://user:secret@db/videos?sslmode=verify-full"
    config = Config.from_environment({**NEEDED, "VIDEO_QUEUE_DATABASE_URL": url})
    assert config.service.database_url == url
    assert "secret" not in repr(config)


def test_files_are_in_the_data_folder_unless_a_bucket_is_named() -> None:
    assert Config.from_environment(NEEDED).service.bucket is None
    named = {
        **NEEDED,
        "VIDEO_QUEUE_FILES": "s3://videos/of/mine/",
        "VIDEO_QUEUE_FILES_ENDPOINT": "https://object-store:8333",
        "VIDEO_QUEUE_FILES_CA": "/ca.crt",
    }
    bucket = Config.from_environment(named).service.bucket
    assert bucket
    assert (bucket.bucket, bucket.prefix) == ("videos", "of/mine/")
    assert (bucket.endpoint, bucket.ca) == ("https://object-store:8333", Path("/ca.crt"))


def test_a_queue_with_both_elsewhere_needs_no_folder() -> None:
    named = {
        "VIDEO_QUEUE_IDENTITY": "/certs",
        "VIDEO_QUEUE_FILES": "s3://videos",
        "VIDEO_QUEUE_DATABASE_URL": "postgresql+psycopg://queue@db/videos?sslmode=verify-full",
    }
    assert not Config.from_environment(named).service.needs_data
    for name in ("VIDEO_QUEUE_FILES", "VIDEO_QUEUE_DATABASE_URL"):
        with pytest.raises(ConfigurationError, match="VIDEO_QUEUE_DATA "):
            Config.from_environment({**named, name: ""})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VIDEO_QUEUE_FILES", "/data"),
        ("VIDEO_QUEUE_FILES", "s3://"),
        ("VIDEO_QUEUE_FILES", "s3://key:secret@videos"),
        ("VIDEO_QUEUE_FILES_ENDPOINT", "http://object-store:8333"),
        ("VIDEO_QUEUE_FILES_ENDPOINT", "https://key:secret@object-store"),
        ("VIDEO_QUEUE_FILES_ENDPOINT", "object-store:8333"),
    ],
)
def test_a_store_that_is_not_reached_by_tls_is_refused(name: str, value: str) -> None:
    """The error names the variable, and shows no password that was put into it."""
    variables = {**NEEDED, "VIDEO_QUEUE_FILES": "s3://videos", name: value}
    with pytest.raises(ConfigurationError, match=name) as caught:
        Config.from_environment(variables)
    assert "secret" not in str(caught.value)


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


POSTGRESQL = "postgresql+psycopg://video_queue@database:5432/videos"


@pytest.mark.parametrize(
    "url",
    [
        f"{POSTGRESQL}?sslmode=verify-full",
        f"{POSTGRESQL}?sslmode=verify-full&sslrootcert=/ca.crt&target_session_attrs=primary",
        "postgresql+psycopg:///videos?sslmode=verify-full&host=one:5432&host=two:5432",
        "postgresql+psycopg:///videos?host=/run/postgresql",  # the kernel says who calls
        "sqlite:////data/other.db",
    ],
)
def test_a_database_is_reached_over_mutual_tls_or_not_by_the_network(url: str) -> None:
    config = Config.from_environment({**NEEDED, "VIDEO_QUEUE_DATABASE_URL": url})
    assert config.service.database_url == url


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (POSTGRESQL, "would let the connection go without TLS"),
        (f"{POSTGRESQL}?sslmode=disable", "would let the connection go without TLS"),
        (f"{POSTGRESQL}?sslmode=require", "would let the connection go without TLS"),
        (f"{POSTGRESQL}?sslmode=verify-ca", "would let the connection go without TLS"),
        (f"{POSTGRESQL}?sslmode=disable&sslmode=verify-full", "would let the connection go"),
        ("postgresql+psycopg:///videos?host=/run/postgresql&host=two", "would let the connection"),
        ("postgresql+psycopg:///videos?host=/run/postgresql,two", "would let the connection"),
        ("postgresql+psycopg:///videos?sslmode=verify-full", "names no host"),
        (f"{POSTGRESQL}?sslmode=verify-full&sslcert=/c", "the parameter 'sslcert'"),
        (f"{POSTGRESQL}?sslmode=verify-full&hostaddr=1.2.3.4", "the parameter 'hostaddr'"),
        (f"{POSTGRESQL}?sslmode=verify-full&service=other", "the parameter 'service'"),
        ("postgresql://video_queue@database/videos?sslmode=verify-full", "not supported"),
        ("mysql://database/videos", "not supported"),
        ("database:5432", "is not a database URL"),
    ],
)
def test_another_url_is_refused_at_the_start_and_the_reason_names_no_password(
    url: str, reason: str
) -> None:
    url = url.replace("video_queue@", "video_queue:secret@")
    with pytest.raises(ConfigurationError, match=f"VIDEO_QUEUE_DATABASE_URL .*{reason}") as refused:
        Config.from_environment({**NEEDED, "VIDEO_QUEUE_DATABASE_URL": url})
    assert "secret" not in str(refused.value)
