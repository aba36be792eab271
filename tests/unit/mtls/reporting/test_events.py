"""The log as a whole."""

import io
import json
import logging
import unicodedata
from collections.abc import Iterator

from mtls.policy import Policy
from mtls.refusals import Reason, Refusal
from mtls.reporting import events
from mtls.reporting.events import Reporter, configure_logging
from mtls.reporting.log_rate_limiter import LogRateLimiter
from mtls.reporting.presented import Presented

import pytest
import structlog
from cryptography.hazmat.primitives.serialization import Encoding

from demo_identities import IDENTITIES, identity_named
from pki.authority import Authority
from tests.unit.mtls.peers import peer


@pytest.fixture
def log_format() -> str:
    return "json"


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch, log_format: str) -> Iterator[io.StringIO]:
    # A logger keeps the settings that it was first used with: for other tests, those of now.
    monkeypatch.setattr(events, "_log", structlog.get_logger())
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    configure_logging(log_format, stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_what_a_library_repeats_is_summed_up(log: io.StringIO, rate_limit: LogRateLimiter) -> None:
    for number in range(100):
        logging.getLogger("aiohttp.server").error("Error handling request from %s", number)
    assert log.getvalue().count('"Error handling request from ') == 10
    rate_limit.flush()
    last = json.loads(log.getvalue().splitlines()[-1])
    assert (last["what"], last["lines"]) == ("aiohttp.server", 90)


def test_what_we_say_ourselves_is_not(log: io.StringIO) -> None:
    for number in range(100):
        structlog.get_logger("mine").info("video.stored", number=number)
    assert log.getvalue().count("video.stored") == 100


def fail(said: str) -> None:
    raise ValueError(said)


HOSTILE = {
    "a line of its own": "x\n2026-01-01 [info] video.stored",
    "escapes of terminals": "\x1b[2J\x1b]0;owned\x07",
    "C1 controls": "\x9b31m",
    "text that turns": "\u202egpj.exe\u2066",
    "text that hides": "a\u200bb\ufeff",
    "separators of lines": "a\u2028b\u2029c",
}
FORMATS = pytest.mark.parametrize("log_format", ["json", "console"])


@FORMATS
@pytest.mark.parametrize("said", HOSTILE.values(), ids=HOSTILE)
def test_what_a_peer_said_cannot_steer_a_terminal(log: io.StringIO, said: str) -> None:
    """Wherever it stands: in a value, within one, in a message of a library, in an exception."""
    structlog.get_logger().warning("call.denied", method=said, presented={"names": [said]})
    logging.getLogger("library").error("refused %s", said)
    try:
        fail(said)
    except ValueError:
        structlog.get_logger().exception("call.failed")
    written = log.getvalue()
    assert written.count("call.denied") == 1
    refused = {c for c in written if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}}
    assert refused <= {"\n"}
    if said != HOSTILE["a line of its own"]:
        return
    (denied,) = [line for line in written.splitlines() if "call.denied" in line]
    assert "video.stored" in denied


@FORMATS
def test_a_certificate_that_was_refused_is_short_for_people_and_whole_for_programs(
    log: io.StringIO,
) -> None:
    issued = Authority.create(IDENTITIES).issue(identity_named("client/viewer"))
    der = issued.certificate.public_bytes(Encoding.DER)
    refusal = Refusal(Reason.EXPIRED, "certificate has expired", "[::1]:1", der)
    Reporter().handshake_refused("http", refusal)
    name, (line,) = "spiffe://video-demo.test/client/viewer", log.getvalue().splitlines()
    if line.startswith("{"):
        presented = json.loads(line)["presented"]
        assert presented["names"] == [name]
        assert set(presented) == {*Presented.__dataclass_fields__}
    else:
        presented = line.partition("presented=")[2]
        assert presented.startswith(f"[{name}; issuer CN=")
        assert "{" not in presented
        assert len(presented) < 250


@pytest.mark.parametrize(("level", "lines"), [(logging.INFO, 0), (logging.DEBUG, 1)])
def test_a_call_that_was_answered_has_a_line_at_the_level_debug_alone(
    log: io.StringIO, level: int, lines: int
) -> None:
    configure_logging("json", log, level=level)
    logging.getLogger("library").debug("what a library does")
    policy = Policy("video-demo.test", {"GET /videos": frozenset({"client/viewer"})})
    viewer = peer("spiffe://video-demo.test/client/viewer")
    Reporter().call_finished("http", policy, viewer, "GET /videos", "200")
    written = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [(each["event"], each["level"], each["code"]) for each in written] == [
        ("call.answered", "debug", "200")
    ] * lines


@FORMATS
def test_what_is_harmless_is_written_as_it_is(log: io.StringIO) -> None:
    structlog.get_logger().info("video.stored", title="Übung am See, שלום", path="C:\\x1b")
    written = log.getvalue()
    assert "\x1b" not in written
    if written.startswith("{"):
        assert json.loads(written)["title"] == "Übung am See, שלום"
        assert json.loads(written)["path"] == "C:\\x1b"
    else:
        assert "Übung am See, שלום" in written
