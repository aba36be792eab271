"""Clients that must be turned away, as they really try: TLS spoken past services/mtls.

An intruder does not check its own certificate before it shows it, and may speak no TLS at all. So
this is the one file outside of mtls, the doctor and tests/ that opens connections of its own kind.
It verifies the server like everybody else, asks one thing that changes nothing, and then leaves.
"""

import asyncio
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from mtls.address import Address
from mtls.grpc_client import NO_PROXY
from mtls.ssl_contexts import pem_path

import grpc.aio
import orjson
from cryptography import x509

from audit_api.v1 import audit_pb2 as api
from audit_api.v1.audit_pb2_grpc import AuditStub
from doctor.messages import alerts
from doctor.watch import Direction, Message, watch

HTTP_ACTION: Final = "GET /videos"
GRPC_METHOD: Final = "/audit.v1.Audit/ListRefusals"

_MAX_ANSWER_BYTES: Final = 64 * 1024
_MAX_CHARACTERS: Final = 500
_CLOSE_NOTIFY: Final = 0
_NOTHING_NEW: Final = 2**63  # a refusal's number that no server comes to
# A connection of its own, and one try: the next attempt is another intruder's.
_OWN_CONNECTION: Final = (
    NO_PROXY,
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 20_000),
)


@dataclass(frozen=True, slots=True)
class Attacker:
    """What a client shows and speaks: no certificate if `chain_pem` is empty."""

    chain_pem: bytes = b""
    key_pem: bytes = field(default=b"", repr=False)
    speaks_tls: bool = True
    is_old: bool = False  # TLS 1.2 at most

    @property
    def leaf(self) -> x509.Certificate | None:
        """The certificate that it shows first."""
        return x509.load_pem_x509_certificate(self.chain_pem) if self.chain_pem else None

    @property
    def serial(self) -> str:
        """The serial number of that certificate, as the servers log it; "" for none."""
        return f"{self.leaf.serial_number:x}" if self.leaf else ""


class Outcome(StrEnum):
    """How far it came."""

    REFUSED = "refused"  # in the handshake
    DENIED = "denied"  # by the policy, or for what its certificate says
    ACCEPTED = "accepted"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Seen:
    """What the intruder saw: its library's words, the alert if one came, and an HTTP status.

    `own_address` (host:port) is where it came from; "" where the library does not say.
    """

    outcome: Outcome
    words: str
    alert: int | None = None
    status: int | None = None
    own_address: str = ""


def tls_context(ca_pem: bytes, attacker: Attacker) -> ssl.SSLContext:
    """Return the TLS of a client that verifies the server and shows what it has."""
    context = ssl.create_default_context(cadata=ca_pem.decode("ascii"))
    if attacker.is_old:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    if attacker.chain_pem:
        with pem_path(attacker.chain_pem) as chain, pem_path(attacker.key_pem) as key:
            context.load_cert_chain(chain, key)
    return context


def grpc_channel(address: str, ca_pem: bytes, attacker: Attacker) -> grpc.aio.Channel:
    """Return a channel of its own to `address` (host:port), which shows what the attacker has."""
    if not attacker.speaks_tls:
        return grpc.aio.insecure_channel(address, options=_OWN_CONNECTION)
    credentials = grpc.ssl_channel_credentials(
        ca_pem, attacker.key_pem or None, attacker.chain_pem or None
    )
    return grpc.aio.secure_channel(address, credentials, options=_OWN_CONNECTION)


async def attack_http(
    address: Address, ca_pem: bytes, attacker: Attacker, *, seconds: float
) -> Seen:
    """Ask the gateway for its videos, over a connection of its own."""
    request = f"{HTTP_ACTION}?page_size=1 HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    return await _over_a_socket(address, ca_pem, attacker, request.encode(), "http/1.1", seconds)


async def attack_grpc(
    address: Address, ca_pem: bytes, attacker: Attacker, *, seconds: float
) -> Seen:
    """Ask the queue whom it has refused, and have it tell nothing new."""
    if attacker.is_old:  # gRPC is limited to TLS 1.3 in this process; OpenSSL does as told
        return await _over_a_socket(address, ca_pem, attacker, b"", "h2", seconds)
    try:
        async with grpc_channel(str(address), ca_pem, attacker) as channel:
            await AuditStub(channel).ListRefusals(
                api.ListRefusalsRequest(after=_NOTHING_NEW), timeout=seconds
            )
    except grpc.aio.AioRpcError as error:
        code, words = error.code(), f"{error.code().name}: {error.details()}"[:_MAX_CHARACTERS]
        outcome = _OUTCOMES.get(code, Outcome.ACCEPTED)
        return Seen(Outcome.UNREACHABLE if _is_away(words) else outcome, words)
    return Seen(Outcome.ACCEPTED, "OK")


_OUTCOMES: Final = {
    grpc.StatusCode.UNAVAILABLE: Outcome.REFUSED,
    grpc.StatusCode.DEADLINE_EXCEEDED: Outcome.UNREACHABLE,
    grpc.StatusCode.PERMISSION_DENIED: Outcome.DENIED,
    grpc.StatusCode.UNAUTHENTICATED: Outcome.DENIED,
}


def _is_away(words: str) -> bool:
    return any(each in words for each in ("Connection refused", "resolution", "No route to host"))


async def _over_a_socket(
    address: Address,
    ca_pem: bytes,
    attacker: Attacker,
    request: bytes,
    protocol: str,
    seconds: float,
) -> Seen:
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(address.host, address.port)
    except (OSError, TimeoutError) as error:
        return Seen(Outcome.UNREACHABLE, _words(error))
    own = Address(*writer.get_extra_info("sockname")[:2])
    seen: list[Message] = []
    try:
        async with asyncio.timeout(seconds):
            if attacker.speaks_tls:
                context = tls_context(ca_pem, attacker)
                context.set_alpn_protocols([protocol])
                watch(context, time.monotonic, seen.append)
                await writer.start_tls(context, server_hostname=address.host)
            writer.write(request)
            answer = await reader.read(_MAX_ANSWER_BYTES)
            while request and answer and len(answer) < _MAX_ANSWER_BYTES:
                more = await reader.read(_MAX_ANSWER_BYTES)
                if not more:
                    break
                answer += more
        return _judge(answer, str(own))
    except (OSError, TimeoutError) as error:
        came = alerts(seen, Direction.RECEIVED)
        alert = next((number for number in came if number != _CLOSE_NOTIFY), None)
        return Seen(Outcome.REFUSED, _words(error), alert, own_address=str(own))
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


def _judge(answer: bytes, own_address: str) -> Seen:
    """Read an answer of HTTP; there is none if the server has closed the connection."""
    line, _, rest = answer.partition(b"\r\n")
    fields = line.split(b" ", 2)
    if not line.startswith(b"HTTP/") or len(fields) < 2:
        words = "the server closed the connection without an answer"
        return Seen(Outcome.REFUSED, words, own_address=own_address)
    status = int(fields[1])
    words = line.decode("latin-1")
    with suppress(orjson.JSONDecodeError, AttributeError):
        problem = orjson.loads(rest.partition(b"\r\n\r\n")[2])
        words = f"{words}: {problem['detail']}" if "detail" in problem else words
    outcome = Outcome.DENIED if status == 403 else Outcome.ACCEPTED
    return Seen(outcome, words[:_MAX_CHARACTERS], status=status, own_address=own_address)


def _words(error: BaseException) -> str:
    if isinstance(error, TimeoutError) and not str(error):
        return "TimeoutError: the server did not answer in time"
    return f"{type(error).__name__}: {error}"[:_MAX_CHARACTERS]
