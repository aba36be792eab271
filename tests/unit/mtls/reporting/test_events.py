"""The log as a whole."""

import io
import json
import logging
import time
from collections.abc import Iterator

from mtls.reporting import events
from mtls.reporting.events import configure_logging

import pytest
import structlog


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    # A logger keeps the settings that it was first used with: for other tests, those of now.
    monkeypatch.setattr(events, "_log", structlog.get_logger())
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    configure_logging("json", stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_what_a_library_repeats_is_summed_up(log: io.StringIO) -> None:
    for number in range(100):
        logging.getLogger("aiohttp.server").error("Error handling request from %s", number)
    assert log.getvalue().count('"Error handling request from ') == 10
    until = time.monotonic() + 20
    while "log.suppressed" not in log.getvalue() and time.monotonic() < until:
        time.sleep(0.02)
    last = json.loads(log.getvalue().splitlines()[-1])
    assert (last["what"], last["lines"]) == ("aiohttp.server", 90)


def test_what_we_say_ourselves_is_not(log: io.StringIO) -> None:
    for number in range(100):
        structlog.get_logger("mine").info("video.stored", number=number)
    assert log.getvalue().count("video.stored") == 100
