"""The gateway's environment variables."""

import re
from pathlib import Path

from mtls.address import Address

import pytest

import gateway
from gateway.config import Config
from runtime.errors import ConfigurationError

REQUIRED = {"GATEWAY_IDENTITY": "/certs/gateway", "GATEWAY_QUEUE": "video-queue:50051"}


class Recorder(dict[str, str]):
    """Remembers which variables were asked for."""

    def __init__(self, *args: dict[str, str]) -> None:
        super().__init__(*args)
        self.asked: set[str] = set()

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
        self.asked.add(name)
        return super().get(name, default)


def test_two_variables_are_enough() -> None:
    config = Config.from_environment(REQUIRED)
    assert config.listen == Address("127.0.0.1", 8443)
    assert config.identity == Path("/certs/gateway")
    assert config.videos.queue == Address("video-queue", 50051)
    assert config.videos.max_upload_bytes == 2 * 1024**3


@pytest.mark.parametrize("name", REQUIRED)
def test_without_one_of_them_the_error_names_it(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        Config.from_environment({key: value for key, value in REQUIRED.items() if key != name})


def test_the_readme_lists_every_variable() -> None:
    variables = Recorder(REQUIRED)
    Config.from_environment(variables)
    readme = Path(gateway.__path__[0], "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([A-Z_]+)`", readme, re.MULTILINE)) == variables.asked
