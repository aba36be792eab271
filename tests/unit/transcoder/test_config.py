"""The transcoder's environment variables."""

import re
from pathlib import Path

from mtls.address import Address

import pytest

import transcoder
from runtime.errors import ConfigurationError
from transcoder.config import Config
from transcoder.sandbox.limits import Limits

REQUIRED = {
    "TRANSCODER_IDENTITY": "/certs/transcoder",
    "TRANSCODER_QUEUE": "video-queue:50051",
    "TRANSCODER_WORK": "/work",
}


class Recorder(dict[str, str]):
    """Remembers which variables were asked for."""

    def __init__(self, *args: dict[str, str]) -> None:
        super().__init__(*args)
        self.asked: set[str] = set()

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
        self.asked.add(name)
        return super().get(name, default)


def test_three_variables_are_enough() -> None:
    config = Config.from_environment(REQUIRED)
    assert config.identity == Path("/certs/transcoder")
    assert config.queue == Address("video-queue", 50051)
    assert config.work == Path("/work")
    assert config.limits == Limits()
    assert config.needs_sandbox


@pytest.mark.parametrize("name", REQUIRED)
def test_without_one_of_them_the_error_names_it(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        Config.from_environment({key: value for key, value in REQUIRED.items() if key != name})


def test_every_limit_can_be_set() -> None:
    numbers = {
        "TRANSCODER_MAX_PIXELS": 1,
        "TRANSCODER_MAX_DURATION_SECONDS": 2,
        "TRANSCODER_CPU_SECONDS": 3,
        "TRANSCODER_MEMORY_BYTES": 4,
        "TRANSCODER_OUTPUT_BYTES": 5,
        "TRANSCODER_STALL_SECONDS": 6,
        "TRANSCODER_THREADS": 7,
    }
    variables = REQUIRED | {name: str(number) for name, number in numbers.items()}
    limits = Config.from_environment(variables).limits
    assert limits == Limits(
        max_pixels=1,
        max_seconds=2,
        cpu_seconds=3,
        memory_bytes=4,
        output_bytes=5,
        stall_seconds=6,
        threads=7,
    )


def test_the_readme_lists_every_variable() -> None:
    variables = Recorder(REQUIRED)
    Config.from_environment(variables)
    readme = Path(transcoder.__path__[0], "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([A-Z_]+)`", readme, re.MULTILINE)) == variables.asked
