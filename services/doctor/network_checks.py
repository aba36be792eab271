"""Before any certificate: is there a server, and does it speak TLS?"""

import shlex
from collections.abc import Mapping
from typing import Final

from doctor.calls import Protocol
from doctor.checks import Check, Finding, failed, note, ok
from doctor.codes import TLS_1_3, VERSIONS, alert_named, named
from doctor.connection import Attempt, Ending, Obstacle
from doctor.endpoint import Endpoint
from doctor.messages import alerts, protocol_chosen
from doctor.watch import Direction

_TLS_RECORDS: Final = range(20, 24)  # RFC 8446, section 5.1: types of records
_TLS_1_2: Final = 0x0303

# By its first bytes: what answers a ClientHello otherwise than with TLS.
_NOT_TLS: Final[tuple[tuple[bytes, str, str], ...]] = (
    (b"HTTP/", "plaintext HTTP (of a web server, or a gRPC port without TLS)", "http://"),
    (b"<", "plaintext HTTP, in its oldest form", "http://"),
    (b"SSH-", "SSH", "ssh -p"),
    (b"220", "SMTP or FTP, which begins in plaintext (STARTTLS)", ""),
    (b"+OK", "POP3, which begins in plaintext (STARTTLS)", ""),
    (b"* OK", "IMAP, which begins in plaintext (STARTTLS)", ""),
    (b"-ERR", "Redis without TLS", ""),
    (b"RFB ", "VNC", ""),
)
_HTTP2_SETTINGS: Final = b"\x04\x00"  # type and flags, behind three bytes of length


def _name(endpoint: Endpoint) -> Finding:
    target, obstacle = endpoint.plan.target, endpoint.seen.not_reached
    if obstacle and obstacle.obstacle is Obstacle.UNKNOWN_NAME:
        return failed(
            f"{target.host!r} is not a name that this machine can look up: {obstacle}.",
            "Correct the name, or look it up where it is known: a container's name is known only "
            "in its network.",
            f"getent hosts {shlex.quote(target.host)}",
        )
    return ok(endpoint.seen.address or target.host)


_NO_CONNECTION: Final[Mapping[Obstacle, tuple[str, str]]] = {
    Obstacle.REFUSED: (
        "Nothing listens there: the machine answers, and refuses the connection.",
        "Start the server, or correct the port, or publish it if it runs in a container.",
    ),
    Obstacle.TIMEOUT: (
        "Nothing answers: a firewall drops the packets, or no machine has the address.",
        "Correct the address, or open the port in the firewall.",
    ),
    Obstacle.UNREACHABLE: (
        "There is no route to that address.",
        "Correct the address, or join its network.",
    ),
}


def _port(endpoint: Endpoint) -> Finding:
    target, not_reached = endpoint.plan.target, endpoint.seen.not_reached
    if not_reached is None:
        return ok(f"Port {target.port} of {endpoint.seen.address} is open.")
    cause, fix = _NO_CONNECTION[not_reached.obstacle]
    return failed(
        f"{cause} ({target}: {not_reached}) This has nothing to do with certificates.",
        fix,
        f"ss -ltn 'sport = :{target.port}'",
    )


def _spoken(endpoint: Endpoint) -> Finding:
    seen, target = endpoint.seen, endpoint.plan.target
    first = seen.first_bytes
    if len(first) > 1 and first[0] in _TLS_RECORDS and first[1] == 3:
        return ok("The server answers with TLS.")
    for start, what, scheme in _NOT_TLS:
        if first.startswith(start):
            return failed(
                f"What answers is {what}, not TLS. It began with: {first[:24]!r}.",
                "Turn TLS on at the server, or dial the port where it is on.",
                f"curl -v {scheme}{target}/" if scheme == "http://" else "",
            )
    if first[3:5] == _HTTP2_SETTINGS:
        return failed(
            "What answers is HTTP/2 in plaintext: it may be a gRPC port without TLS.",
            "Turn TLS on at the server, or dial the port where it is on.",
        )
    if first:
        return failed(
            f"What answers is not TLS. It began with: {first[:24]!r}.",
            "Dial the port where the server speaks TLS.",
        )
    if seen.ending is Ending.SILENT:
        return failed(
            f"The port is open, and in {endpoint.plan.timeout:g} seconds nothing came: "
            "a server that waits for something other than TLS, or one that hangs.",
            "Dial the port where the server speaks TLS; or see what the server does.",
        )
    return failed(
        "The connection was closed on our first message, without an answer. It may be a server "
        "that speaks no TLS, a gRPC server without TLS, a TLS server that wants neither TLS 1.2 "
        "nor 1.3 (gRPC says no more), or a proxy with no server behind it. From here these "
        "cannot be told apart.",
        "See the server's log.",
    )


def _version(endpoint: Endpoint) -> Finding:
    seen = endpoint.seen
    if seen.hello_version < _TLS_1_2:
        return _no_version(seen)
    version = named(seen.hello_version, VERSIONS)
    if seen.hello_version == TLS_1_3:
        return ok(f"{version} {seen.cipher}".strip())
    return note(
        f"{version}: still secure, but certificates cross the network in clear, ours too.",
        "Allow TLS 1.3 at the server. Our own endpoints speak nothing older.",
    )


def _no_version(seen: Attempt) -> Finding:
    said = [alert_named(code) for code in alerts(seen.messages, Direction.RECEIVED)]
    if said:
        return failed(
            f"The server ended it at once with the alert {said[0].name}: {said[0].meaning}.",
            "We offered TLS 1.2 and 1.3. Allow TLS 1.3 at the server, or correct the name.",
        )
    return failed(
        f"There is no TLS version in common ({seen.error or seen.ending}): offered were TLS 1.2 "
        "and 1.3.",
        "Allow TLS 1.3 at the server.",
    )


def _alpn(endpoint: Endpoint) -> Finding:
    seen, protocol = endpoint.seen, endpoint.plan.protocol
    chosen = seen.alpn or protocol_chosen(seen.messages)
    if chosen:
        return ok(f"The server chose {chosen}.")
    if protocol is Protocol.GRPC:
        return failed(
            "The server did not choose h2, without which gRPC does not speak to it.",
            "Dial a gRPC server; or let the proxy before it offer h2.",
        )
    if protocol is Protocol.HTTP:
        return note(
            "The server chose no protocol, which goes for HTTP/1.1. A gRPC server does so "
            "too when it is asked for HTTP/1.1, and hangs up.",
            "If this may be a gRPC port, ask with --grpc.",
        )
    return note("The server chose none of h2 and http/1.1: it may speak something else.")


NETWORK_CHECKS: Final = (
    Check("net.name", "The name has an address", _name),
    Check("net.port", "The port is open", _port, ("net.name",)),
    Check("tls.spoken", "The server speaks TLS", _spoken, ("net.port",)),
    Check("tls.version", "It speaks a version that is safe", _version, ("tls.spoken",)),
    Check("tls.alpn", "It speaks the protocol that we want", _alpn, ("tls.version",)),
)
