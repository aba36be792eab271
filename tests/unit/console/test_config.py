"""The settings say which variable is at fault, and what it should hold."""

import pytest

from console.config import Config
from console.exposure import Exposure
from runtime.errors import ConfigurationError

NEEDED = {
    "CONSOLE_IDENTITY": "certs/console",
    "CONSOLE_GATEWAY": "gateway:8443",
    "CONSOLE_QUEUE": "video-queue:50051",
}


@pytest.mark.parametrize("missing", NEEDED)
def test_a_variable_that_is_missing_is_named(missing: str) -> None:
    Config.from_environment(NEEDED)
    rest = {name: value for name, value in NEEDED.items() if name != missing}
    with pytest.raises(ConfigurationError, match=missing):
        Config.from_environment(rest)


@pytest.mark.parametrize("url", ["https://localhost", "localhost:8080", "http://", "http://a/b"])
def test_the_url_is_one_of_plain_http_without_a_path(url: str) -> None:
    with pytest.raises(ConfigurationError, match="CONSOLE_URL"):
        Config.from_environment({**NEEDED, "CONSOLE_URL": url})


def test_by_default_it_listens_on_loopback_alone() -> None:
    assert str(Config.from_environment(NEEDED).listen) == "127.0.0.1:8080"


def test_the_host_of_its_url_is_one_of_its_names() -> None:
    exposure = Exposure.create("http://console.test:8080")
    assert exposure.is_published_as("console.test:1")
    assert exposure.is_published_as("localhost")
    assert not exposure.is_published_as("console.test.evil.test")
    assert exposure.address.startswith("http://console.test:8080/?token=")


def test_every_start_has_secrets_of_its_own() -> None:
    one, other = Exposure.create("http://localhost:1"), Exposure.create("http://localhost:1")
    assert len({one.token, one.session, other.token, other.session}) == 4
    assert min(map(len, (one.token, one.session))) >= 43  # 256 bits
