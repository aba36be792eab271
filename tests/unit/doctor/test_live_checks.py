"""What is concluded from a connection, for every way in which one can go.

The connections here are records made by hand; tests/mtls has the real ones.
"""

import datetime as dt
import socket
from collections.abc import Sequence
from dataclasses import replace
from email.utils import format_datetime
from typing import Final

from mtls.certificates import Role

import pytest

from doctor import call_checks
from doctor.call_checks import CALL_CHECKS
from doctor.calls import GrpcAnswer, Protocol, question_for, refusal_of
from doctor.chain import Chain
from doctor.checks import Check, Examination, Finding, Result
from doctor.client_checks import CLIENT_CHECKS
from doctor.connection import Attempt, Ending, NotReached, Obstacle, Target, dial, parse_target
from doctor.endpoint import Endpoint, Plan
from doctor.network_checks import NETWORK_CHECKS
from doctor.rehearsal import Credentials
from doctor.server_checks import PRESENTED, VERIFIED
from doctor.watch import ContentType, Direction, Message
from tests.unit.doctor.material import leaf

TARGET: Final = Target("localhost", 443, "localhost")
MADE: Final = leaf()
ROOTS: Final = (MADE.root.certificate,)
TLS_1_2, TLS_1_3 = 0x0303, 0x0304


def message(direction: Direction, kind: int, body: bytes = b"", version: int = TLS_1_3) -> Message:
    content = bytes([kind]) + len(body).to_bytes(3, "big") + body
    return Message(direction, ContentType.HANDSHAKE, version, content, 0.0)


def server_hello(version: int) -> Message:
    extension = b"\x00\x2b\x00\x02" + version.to_bytes(2, "big")
    chosen = len(extension).to_bytes(2, "big") + extension if version == TLS_1_3 else b""
    body = b"\x03\x03" + bytes(32) + b"\x00" + b"\x13\x01" + b"\x00" + chosen
    return message(Direction.RECEIVED, 2, body, version)


REQUEST: Final = message(Direction.RECEIVED, 13, b"\x00\x00\x00")
SHOWN: Final = message(Direction.SENT, 11, b"\x00\x00\x00\x06\x00\x00\x01x\x00\x00")
NOT_SHOWN: Final = message(Direction.SENT, 11, b"\x00\x00\x00\x00")
FINISHED: Final = message(Direction.SENT, 20)
TICKET: Final = message(Direction.RECEIVED, 4)


def alert(code: int) -> Message:
    return Message(Direction.RECEIVED, ContentType.ALERT, TLS_1_3, bytes([2, code]), 0.0)


def attempt(
    *after: Message,
    version: int = TLS_1_3,
    shown: Message = SHOWN,
    ending: Ending = Ending.OPEN,
    answer: bytes = b"",
    alpn: str | None = "http/1.1",
) -> Attempt:
    """A handshake that we have finished, and what came after it."""
    messages = [server_hello(version), REQUEST, shown, FINISHED, *after]
    return Attempt(
        TARGET,
        first_bytes=b"\x16\x03\x03",
        messages=messages,
        is_finished=True,
        ending=ending,
        answer=answer,
        alpn=alpn,
    )


def http(status: int, body: bytes = b"", date: dt.datetime | None = None) -> bytes:
    now = format_datetime(date or dt.datetime.now(dt.UTC), usegmt=True)
    return b"HTTP/1.1 %d Reason\r\nDate: %s\r\n\r\n%s" % (status, now.encode(), body)


def endpoint(
    seen: Attempt, bare: Attempt | None = None, protocol: Protocol = Protocol.HTTP
) -> Endpoint:
    now = dt.datetime.now(dt.UTC)
    own = Chain(MADE.chain, ROOTS, frozenset({Role.CLIENT}), now, "chain.crt")
    plan = Plan(TARGET, ROOTS, Credentials(own, MADE.key), protocol)
    return Endpoint(plan, seen, bare or seen, own)


def look(checks: Sequence[Check[Endpoint]], check: str, subject: Endpoint) -> Finding:
    """Run one check by itself."""
    examination = Examination()
    alone = [replace(each, needs=()) for each in checks if each.id == check]
    examination.run("", alone, subject)
    return examination.sections[""][0].finding


@pytest.mark.parametrize(
    ("seen", "cause"),
    [
        (attempt(alert(45), ending=Ending.FAILED), "alert certificate_expired"),
        (attempt(alert(48), ending=Ending.FAILED), "alert unknown_ca"),
        (attempt(alert(199), ending=Ending.FAILED), "alert 199"),
        (attempt(ending=Ending.CLOSED), "with our certificate"),
        (attempt(ending=Ending.RESET), "with our certificate"),
        (attempt(ending=Ending.CLOSED, shown=NOT_SHOWN), "without certificate"),
        (attempt(ending=Ending.CLOSED, alpn=None), "does not speak our protocol"),
        (attempt(answer=http(400, b"<h1>The SSL certificate error</h1>")), "The SSL certificate"),
        (attempt(answer=http(495, b"client certificate unknown")), "495 client certificate"),
    ],
)
def test_knows_a_refusal(seen: Attempt, cause: str) -> None:
    refusal = refusal_of(seen)
    assert refusal is not None
    assert cause in refusal.cause
    assert refusal.fix
    assert look(CLIENT_CHECKS, "client.accepted", endpoint(seen)).result is Result.FAILED


@pytest.mark.parametrize(
    ("seen", "result"),
    [
        (attempt(answer=http(200)), Result.OK),
        (attempt(answer=http(200), ending=Ending.CLOSED), Result.OK),
        (attempt(answer=http(400, b"a field is missing")), Result.OK),
        (attempt(answer=http(403, b"your client certificate may not do this")), Result.OK),
        (attempt(TICKET, ending=Ending.CLOSED), Result.NOTE),
        (attempt(TICKET), Result.NOTE),
        (attempt(), Result.NOTE),
        (attempt(alert(0), ending=Ending.OPEN), Result.NOTE),
        (attempt(version=TLS_1_2), Result.NOTE),
    ],
)
def test_does_not_call_a_refusal_what_is_none(seen: Attempt, result: Result) -> None:
    assert refusal_of(seen) is None
    assert look(CLIENT_CHECKS, "client.accepted", endpoint(seen)).result is result


def test_a_key_that_can_make_no_signature_asked_for() -> None:
    found = look(CLIENT_CHECKS, "client.accepted", endpoint(attempt(shown=NOT_SHOWN)))
    assert found.result is Result.FAILED
    assert "We could send none" in found.detail


def test_points_to_what_failed_in_our_own_files() -> None:
    subject = replace(endpoint(attempt(ending=Ending.CLOSED)), own_failures=("own.dates",))
    found = look(CLIENT_CHECKS, "client.accepted", subject)
    assert "Look at what failed above: own.dates" in found.detail


@pytest.mark.parametrize(
    ("bare", "result"),
    [
        (attempt(alert(116), ending=Ending.FAILED, shown=NOT_SHOWN), Result.OK),
        (attempt(ending=Ending.CLOSED, shown=NOT_SHOWN), Result.OK),
        (attempt(answer=http(401), shown=NOT_SHOWN), Result.OK),
        (attempt(answer=http(403), shown=NOT_SHOWN), Result.OK),
        (attempt(answer=http(200), shown=NOT_SHOWN), Result.FAILED),
        (attempt(answer=http(302), shown=NOT_SHOWN), Result.FAILED),
        (attempt(answer=http(404), shown=NOT_SHOWN), Result.NOTE),
        (attempt(answer=bytes(9), shown=NOT_SHOWN), Result.NOTE),
        (attempt(TICKET, shown=NOT_SHOWN), Result.NOTE),
        (attempt(shown=NOT_SHOWN), Result.NOTE),
    ],
)
def test_says_whether_the_server_insists(bare: Attempt, result: Result) -> None:
    subject = endpoint(attempt(answer=http(200)), bare)
    assert look(CLIENT_CHECKS, "client.required", subject).result is result


@pytest.mark.parametrize(
    ("answer", "result", "cause"),
    [
        (http(200), Result.OK, "gets the answer 200"),
        (http(304), Result.OK, "gets the answer 304"),
        (http(401), Result.NOTE, "the certificate was accepted; the answer is about rights"),
        (http(403), Result.NOTE, "the certificate was accepted; the answer is about rights"),
        (http(404), Result.NOTE, "The certificate was accepted; try another path"),
        (http(503), Result.NOTE, "an error of its own"),
        (b"", Result.FAILED, "no HTTP answer"),
        (b"\x00\x00\x00\x04", Result.FAILED, "no HTTP answer"),
    ],
    ids=["200", "304", "401", "403", "404", "503", "nothing", "HTTP/2"],  # with no date in them
)
def test_says_what_an_http_answer_means(answer: bytes, result: Result, cause: str) -> None:
    found = look(CALL_CHECKS, "call.answered", endpoint(attempt(answer=answer)))
    assert found.result is result
    assert cause in found.detail


@pytest.mark.parametrize(
    ("code", "result", "cause"),
    [
        ("OK", Result.OK, "SERVING"),
        ("UNIMPLEMENTED", Result.OK, "the certificate was accepted"),
        ("PERMISSION_DENIED", Result.NOTE, "the certificate was accepted"),
        ("UNAUTHENTICATED", Result.NOTE, "the certificate was accepted"),
        ("INTERNAL", Result.NOTE, "The certificate was accepted"),
        ("UNAVAILABLE", Result.FAILED, "less tolerant of a certificate"),
        ("DEADLINE_EXCEEDED", Result.FAILED, "does not answer"),
    ],
)
def test_says_what_a_grpc_status_means(
    monkeypatch: pytest.MonkeyPatch, code: str, result: Result, cause: str
) -> None:
    monkeypatch.setattr(call_checks, "check_health", lambda *_: GrpcAnswer(code, "SERVING"))
    found = look(CALL_CHECKS, "call.answered", endpoint(attempt(), protocol=Protocol.GRPC))
    assert found.result is result
    assert cause in found.detail


def test_without_grpcio_there_is_no_grpc_call(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> GrpcAnswer:
        raise ImportError

    monkeypatch.setattr(call_checks, "check_health", missing)
    found = look(CALL_CHECKS, "call.answered", endpoint(attempt(), protocol=Protocol.GRPC))
    assert found.result is Result.SKIPPED
    assert "pip install grpcio" in found.detail


@pytest.mark.parametrize(
    ("skew", "result", "cause"),
    [
        (dt.timedelta(seconds=10), Result.OK, "within a minute"),
        (dt.timedelta(hours=2), Result.NOTE, "ahead of ours"),
        (dt.timedelta(hours=-2), Result.NOTE, "behind ours"),
    ],
)
def test_compares_the_clocks(skew: dt.timedelta, result: Result, cause: str) -> None:
    seen = attempt(answer=http(200, date=dt.datetime.now(dt.UTC) + skew))
    found = look(CALL_CHECKS, "call.clock", endpoint(seen))
    assert found.result is result
    assert cause in found.detail


def test_a_date_that_is_none_is_no_clock() -> None:
    seen = attempt(answer=b"HTTP/1.1 200 OK\r\nDate: soon\r\n\r\n")
    assert look(CALL_CHECKS, "call.clock", endpoint(seen)).result is Result.NOTE


@pytest.mark.parametrize(
    ("alpn", "protocol", "result"),
    [
        ("h2", Protocol.GRPC, Result.OK),
        (None, Protocol.GRPC, Result.FAILED),
        ("http/1.1", Protocol.HTTP, Result.OK),
        (None, Protocol.HTTP, Result.NOTE),
        (None, Protocol.ANY, Result.NOTE),
    ],
)
def test_says_whether_the_protocol_is_the_one_that_is_wanted(
    alpn: str | None, protocol: Protocol, result: Result
) -> None:
    subject = endpoint(attempt(alpn=alpn), protocol=protocol)
    assert look(NETWORK_CHECKS, "tls.alpn", subject).result is result


NO_CHAIN: Final = replace(endpoint(attempt()).server, certificates=())


@pytest.mark.parametrize(
    ("subject", "cause"),
    [
        (replace(endpoint(attempt(alert(80))), server=NO_CHAIN), "alert internal_error"),
        (replace(endpoint(attempt(ending=Ending.RESET)), server=NO_CHAIN), "(reset)"),
        (replace(endpoint(attempt()), damage="certificate 1: parsing"), "cannot be read"),
    ],
)
def test_a_server_that_presents_nothing_legible(subject: Endpoint, cause: str) -> None:
    found = look(PRESENTED, "server.presented", subject)
    assert found.result is Result.FAILED
    assert cause in found.detail
    assert look(PRESENTED, "server.presented", endpoint(attempt())).result is Result.OK


def test_what_openssl_never_came_to_judge_is_not_verified() -> None:
    cut = Attempt(TARGET, messages=[server_hello(TLS_1_3)], ending=Ending.RESET)
    assert look(VERIFIED, "server.verified", endpoint(cut)).result is Result.SKIPPED
    assert look(VERIFIED, "server.verified", endpoint(attempt())).result is Result.OK


@pytest.mark.parametrize(
    ("obstacle", "cause"),
    [
        (Obstacle.REFUSED, "Nothing listens there"),
        (Obstacle.TIMEOUT, "a firewall drops the packets"),
        (Obstacle.UNREACHABLE, "no route to that address"),
    ],
)
def test_tells_apart_why_nobody_is_reached(obstacle: Obstacle, cause: str) -> None:
    seen = Attempt(TARGET, not_reached=NotReached(obstacle, "the system's message"))
    found = look(NETWORK_CHECKS, "net.port", endpoint(seen))
    assert found.result is Result.FAILED
    assert cause in found.detail
    assert "the system's message" in found.detail


@pytest.mark.parametrize(
    ("error", "obstacle"),
    [
        (socket.gaierror(-2, "Name or service not known"), Obstacle.UNKNOWN_NAME),
        (ConnectionRefusedError(111, "Connection refused"), Obstacle.REFUSED),
        (TimeoutError(), Obstacle.TIMEOUT),
        (OSError(101, "Network is unreachable"), Obstacle.UNREACHABLE),
    ],
)
def test_knows_the_systems_errors(
    monkeypatch: pytest.MonkeyPatch, error: OSError, obstacle: Obstacle
) -> None:
    def fail(*_: object, **__: object) -> None:
        is_of_the_name = isinstance(error, socket.gaierror)
        raise error if is_of_the_name else ExceptionGroup("of each address", [error])

    monkeypatch.setattr(socket, "create_connection", fail)
    with pytest.raises(NotReached) as raised:
        dial(TARGET, 1.0)
    assert raised.value.obstacle is obstacle


@pytest.mark.parametrize(
    ("text", "host", "shown"),
    [
        ("localhost:443", "localhost", "localhost:443"),
        ("127.0.0.1:1", "127.0.0.1", "127.0.0.1:1"),
        ("[::1]:8443", "::1", "[::1]:8443"),
    ],
)
def test_reads_addresses(text: str, host: str, shown: str) -> None:
    target = parse_target(text)
    assert (target.host, target.name, str(target)) == (host, host, shown)
    assert parse_target(text, "bücher.test").name == "xn--bcher-kva.test"
    request = question_for(Protocol.HTTP, target, "/").ask("http/1.1")
    assert f"Host: {shown}\r\n".encode() in request
