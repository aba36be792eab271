"""Why can I not connect? One verifying handshake that looks where gRPC says only `UNAVAILABLE`.

Nothing is weakened to find out: the probe verifies the server by the rules of every other client,
shows our own certificate, and sends nothing unless it is given what to ask. `verify_server` does
not even show that.
"""

import asyncio
import os
import socket
import ssl
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from mtls.address import Address
from mtls.refusals import Reason, Refusal

_SECONDS: Final = 5.0
_READ_BYTES: Final = 64 * 1024


class Cause(StrEnum):
    """Where the connection ends."""

    NAME_NOT_RESOLVED = "name_not_resolved"
    NOBODY_LISTENS = "nobody_listens"
    UNREACHABLE = "unreachable"
    NO_ANSWER = "no_answer"
    NOT_TLS = "not_tls"
    PROTOCOL_VERSION = "protocol_version"
    SERVER_UNKNOWN_CA = "server_unknown_ca"
    SERVER_EXPIRED = "server_expired"
    SERVER_NOT_YET_VALID = "server_not_yet_valid"
    SERVER_WRONG_PURPOSE = "server_wrong_purpose"
    SERVER_WRONG_NAME = "server_wrong_name"
    SERVER_BAD_CERTIFICATE = "server_bad_certificate"
    HANDSHAKE_FAILED = "handshake_failed"
    REFUSED_US = "refused_us"
    NO_FAULT_FOUND = "no_fault_found"


ADVICE: Final[dict[Cause, str]] = {
    Cause.NAME_NOT_RESOLVED: "Correct the host name, or look at DNS.",
    Cause.NOBODY_LISTENS: "Start the server, or correct the port.",
    Cause.UNREACHABLE: "Look at the network and its firewalls.",
    Cause.NO_ANSWER: "The server is overloaded or hangs, or a firewall swallows the packets.",
    Cause.NOT_TLS: "The port belongs to another program, or to a server without TLS.",
    Cause.PROTOCOL_VERSION: "The server does not speak TLS 1.3: update it.",
    Cause.SERVER_UNKNOWN_CA: "Server and client need certificates of the same CA: compare their "
    "roots (ca-certificate.crt, ca.crt, bundle.pem), and see that the server sends its issuing CA.",
    Cause.SERVER_EXPIRED: "Renew the server's certificate, or set this machine's clock.",
    Cause.SERVER_NOT_YET_VALID: "Set the clock of this machine.",
    Cause.SERVER_WRONG_PURPOSE: "The server shows a certificate without serverAuth: have it issued "
    "again as a server's.",
    Cause.SERVER_WRONG_NAME: "Call the server by a name in its certificate, or have this name put "
    "into it.",
    Cause.SERVER_BAD_CERTIFICATE: "Have the server's certificate issued again.",
    Cause.HANDSHAKE_FAILED: "Look into the server's log for the same moment.",
    Cause.REFUSED_US: "The server refuses our certificate: its log has handshake.refused and why.",
    Cause.NO_FAULT_FOUND: "The server accepts us now: the fault has passed, or lies behind TLS.",
}

_SERVERS_FAULTS: Final[dict[Reason, Cause]] = {
    Reason.UNKNOWN_CA: Cause.SERVER_UNKNOWN_CA,
    Reason.EXPIRED: Cause.SERVER_EXPIRED,
    Reason.NOT_YET_VALID: Cause.SERVER_NOT_YET_VALID,
    Reason.WRONG_PURPOSE: Cause.SERVER_WRONG_PURPOSE,
}
_OTHER_FAULTS: Final[dict[Reason, Cause]] = {
    Reason.PLAINTEXT: Cause.NOT_TLS,
    Reason.PROTOCOL_VERSION: Cause.PROTOCOL_VERSION,
    Reason.REFUSED_BY_PEER: Cause.REFUSED_US,
}
_TRY_NEXT: Final = (Cause.NOBODY_LISTENS, Cause.UNREACHABLE)  # first what says more


@dataclass(frozen=True, slots=True)
class Finding:
    """Why the connection fails, with the text of the library or system that said so.

    `certificate` is the server's (DER), if we have verified it.
    """

    cause: Cause
    error: str
    certificate: bytes = b""

    @property
    def advice(self) -> str:
        """What to do next."""
        return ADVICE[self.cause]


def verify_server(connection: socket.socket, name: str, context: ssl.SSLContext) -> None:
    """Verify the server at the other end as `name`, and show it nothing. Raises `OSError`.

    A client of TLS 1.3 has verified the server before it sends its own certificate (RFC 8446,
    figure 1). That is where this one stops: to the server, it has gone.
    """
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    while True:
        try:
            return tls.do_handshake()
        except ssl.SSLWantReadError:
            connection.sendall(outgoing.read())
        if not (data := connection.recv(_READ_BYTES)):
            raise ConnectionError("closed during the handshake")
        incoming.write(data)


async def probe(
    address: Address, context: ssl.SSLContext, *, ask: bytes = b"", seconds: float = _SECONDS
) -> Finding:
    """Connect with a client's `context` and say what happened, after `seconds` at most.

    `ask` is for a server that does not speak first, as one of HTTP/1.1: sent after the handshake.
    """
    try:
        async with asyncio.timeout(seconds):
            return await _connect(address, context, ask)
    except TimeoutError:
        return Finding(Cause.NO_ANSWER, f"no answer within {seconds:g} seconds")


async def _connect(address: Address, context: ssl.SSLContext, ask: bytes) -> Finding:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM
        )
    except socket.gaierror as error:
        return Finding(Cause.NAME_NOT_RESOLVED, str(error.strerror))
    findings = []
    for _, _, _, _, name in found:  # `localhost` often has two, and the server listens at one
        finding = await _shake_hands(str(name[0]), address, context, ask)
        if finding.cause not in _TRY_NEXT:
            return finding
        findings.append(finding)
    return min(findings, key=lambda finding: _TRY_NEXT.index(finding.cause))


async def _shake_hands(ip: str, address: Address, context: ssl.SSLContext, ask: bytes) -> Finding:
    try:
        reader, writer = await asyncio.open_connection(
            ip, address.port, ssl=context, server_hostname=address.host
        )
    except ssl.SSLCertVerificationError as error:
        return Finding(_servers_fault(error), error.verify_message)
    except ssl.SSLError as error:
        return _other_fault(error)
    except ConnectionRefusedError as error:
        return Finding(Cause.NOBODY_LISTENS, _system_text(error))
    except ConnectionError as error:
        return Finding(Cause.HANDSHAKE_FAILED, str(error) or "closed during the handshake")
    except OSError as error:
        return Finding(Cause.UNREACHABLE, _system_text(error))
    certificate: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    try:
        writer.write(ask)
        return replace(await _after_handshake(reader), certificate=certificate)
    finally:
        writer.transport.abort()


def _system_text(error: OSError) -> str:
    """Return the system's text: asyncio puts its own, with an address, in its place."""
    return os.strerror(error.errno) if error.errno else str(error)


async def _after_handshake(reader: asyncio.StreamReader) -> Finding:
    """Read on: in TLS 1.3 the client is done before the server has looked at its certificate.

    A gRPC server that accepts us speaks first (HTTP/2's SETTINGS frame, RFC 9113, section 3.4).
    """
    try:
        begin = await reader.read(1)
    except ssl.SSLError as error:
        return _other_fault(error)
    except OSError as error:
        return Finding(Cause.REFUSED_US, str(error) or "closed when it had read our certificate")
    if begin:
        return Finding(Cause.NO_FAULT_FOUND, "the handshake succeeds")
    return Finding(Cause.REFUSED_US, "closed when it had read our certificate")


def _servers_fault(error: ssl.SSLCertVerificationError) -> Cause:
    text = error.verify_message
    if "ostname mismatch" in text or "IP address mismatch" in text:
        return Cause.SERVER_WRONG_NAME
    reason = Refusal.from_text(text).reason
    return _SERVERS_FAULTS.get(reason, Cause.SERVER_BAD_CERTIFICATE)


def _other_fault(error: ssl.SSLError) -> Finding:
    text = str(error.reason or error)
    if "PROTOCOL_VERSION" in text:  # the server's alert
        return Finding(Cause.PROTOCOL_VERSION, text)
    return Finding(_OTHER_FAULTS.get(Refusal.from_text(text).reason, Cause.HANDSHAKE_FAILED), text)
