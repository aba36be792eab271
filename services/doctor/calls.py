"""Asking the server for something, which in TLS 1.3 is what brings a refusal to light."""

import http.client
import io
import os
import re
import sys
from dataclasses import dataclass
from email.message import Message as Headers
from enum import StrEnum
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from doctor.codes import alert_named
from doctor.connection import Attempt, Ending, Question, Target
from doctor.messages import alerts, has_presented
from doctor.rehearsal import Credentials, pem_of
from doctor.watch import Direction

# How long to listen for a refusal before speaking, and if there is nothing to say at all.
_PATIENCE: Final = 0.5
_PATIENCE_IN_SILENCE: Final = 2.0

# RFC 9113, sections 3.4 and 6.5: how an HTTP/2 client begins, with an empty SETTINGS frame. A
# server answers with its own SETTINGS, and only once it has let the client in.
_HTTP2_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_FRAME_HEADER_BYTES: Final = 9
_MAX_BODY_BYTES: Final = 16 * 1024


class Protocol(StrEnum):
    """What is spoken over TLS; ANY asks nothing of an HTTP server."""

    ANY = "any"
    HTTP = "http"
    GRPC = "grpc"


_ALPN: Final = {
    Protocol.ANY: ("h2", "http/1.1"),
    Protocol.HTTP: ("http/1.1",),
    Protocol.GRPC: ("h2",),
}


def question_for(protocol: Protocol, target: Target, path: str) -> Question:
    """Return what to ask a server that speaks this protocol."""
    if protocol is Protocol.HTTP:
        request = (
            f"GET {path} HTTP/1.1\r\nHost: {target.authority}\r\n"
            "User-Agent: doctor\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        ).encode("ascii")
        return Question(_ALPN[protocol], _PATIENCE, lambda _: request, _is_whole_response)
    patience = _PATIENCE if protocol is Protocol.GRPC else _PATIENCE_IN_SILENCE
    return Question(
        _ALPN[protocol],
        patience,
        lambda alpn: _HTTP2_PREFACE if alpn == "h2" else b"",
        lambda answer: len(answer) >= _FRAME_HEADER_BYTES,
    )


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response; the body may be cut off."""

    status: int
    reason: str
    headers: Headers
    body: bytes


def parse_response(answer: bytes) -> Response | None:
    """Read an HTTP/1.1 response (RFC 9112); None if it is not one, or not a whole head."""
    head, separator, body = answer.partition(b"\r\n\r\n")
    status_line, _, fields = (head + separator).partition(b"\r\n")
    words = status_line.split(None, 2)
    if not separator or len(words) < 2 or not words[0].startswith(b"HTTP/"):
        return None
    if not (words[1].isdigit() and len(words[1]) == 3):
        return None
    try:
        headers = http.client.parse_headers(io.BytesIO(fields))
    except http.client.HTTPException:
        return None
    reason = words[2].decode("latin-1") if len(words) > 2 else ""
    return Response(int(words[1]), reason, headers, body)


def _is_whole_response(answer: bytes) -> bool:
    if (response := parse_response(answer)) is None:
        return len(answer) > _MAX_BODY_BYTES
    length = response.headers.get("Content-Length", "")
    if response.headers.get("Transfer-Encoding"):
        return response.body.endswith(b"\r\n0\r\n\r\n") or len(response.body) > _MAX_BODY_BYTES
    wanted = int(length) if length.isascii() and length.isdigit() else _MAX_BODY_BYTES
    return len(response.body) >= min(wanted, _MAX_BODY_BYTES)


@dataclass(frozen=True, slots=True)
class GrpcAnswer:
    """The status of a call: a name such as PERMISSION_DENIED, and the server's message."""

    code: str
    message: str


def check_health(
    target: Target,
    roots: tuple[x509.Certificate, ...],
    credentials: Credentials,
    timeout: float,
) -> GrpcAnswer:
    """Call grpc.health.v1.Health/Check. Raises `ImportError` if grpcio is not installed."""
    if "grpc" not in sys.modules:  # it reads the variable once; the children of a host would too
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # we report its errors ourselves
    import grpc

    channel_credentials = grpc.ssl_channel_credentials(
        pem_of(roots),
        credentials.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        pem_of(credentials.chain.certificates),
    )
    with grpc.secure_channel(str(target), channel_credentials) as channel:
        call = channel.unary_unary(  # with bytes for messages: an empty request is no bytes at all
            "/grpc.health.v1.Health/Check", request_serializer=bytes, response_deserializer=bytes
        )
        try:
            answer: bytes = call(b"", timeout=timeout)
        except grpc.RpcError as error:
            return GrpcAnswer(error.code().name, error.details() or "")
    # HealthCheckResponse: field 1, an enumeration in which 1 is SERVING.
    return GrpcAnswer("OK", "SERVING" if answer == b"\x08\x01" else "not serving")


# nginx finishes every handshake and then answers: 400 "The SSL certificate error" or "No required
# SSL certificate was sent". It has codes of its own for it, 495 and 496, which others use openly.
_IN_HTTP: Final = (400, 495, 496)
_MESSAGE_IN_HTTP: Final = re.compile(rb"(SSL|TLS|client) certificate", re.IGNORECASE)
_SEE_THE_LOG: Final = "See the server's log."


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the server refused us, as far as we can know, and how to fix it."""

    cause: str
    fix: str


def refusal_of(attempt: Attempt) -> Refusal | None:
    """Return how the server refused us; None if it did not."""
    if said := [code for code in alerts(attempt.messages, Direction.RECEIVED) if code]:
        alert = alert_named(said[0])
        return Refusal(
            f"The server refused with the alert {alert.name}: {alert.meaning}.",
            alert.fix or _SEE_THE_LOG,
        )
    if _is_cut_off(attempt):
        shown = "with our certificate" if has_presented(attempt.messages) else "without certificate"
        other = "" if attempt.alpn else ", or that it does not speak our protocol (--grpc, --http)"
        return Refusal(
            f"The server closed the connection without an alert, after a handshake {shown}. "
            "gRPC servers refuse so: they send no alert, and the reason cannot be known from here: "
            f"that there is no certificate, its CA, its dates, its purpose, its names{other}.",
            f"{_SEE_THE_LOG} In C++ and Python, gRPC logs it only with GRPC_VERBOSITY=info.",
        )
    if message := _message_in_http(attempt):
        return Refusal(
            f"The server finished the handshake and then refused in HTTP: {message}.",
            f"Show a valid certificate from a CA that the server trusts. {_SEE_THE_LOG}",
        )
    return None


def _is_cut_off(attempt: Attempt) -> bool:
    """Whether it closed after our Finished, with no sign that it accepted us."""
    is_closed = attempt.ending in {Ending.CLOSED, Ending.RESET}
    return is_closed and not attempt.answer and not attempt.has_ticket


def _message_in_http(attempt: Attempt) -> str:
    response = parse_response(attempt.answer)
    if response is None or response.status not in _IN_HTTP:
        return ""
    lines = (line for line in response.body.splitlines() if _MESSAGE_IN_HTTP.search(line))
    if not (line := next(lines, b"")):
        return ""
    text = " ".join(re.sub(r"<[^>]*>", " ", line.decode("utf-8", "replace")).split())[:200]
    return text if str(response.status) in text else f"{response.status} {text}"
