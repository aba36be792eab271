"""Does a call go through, and do the clocks agree."""

import datetime as dt
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

from doctor.calls import GrpcAnswer, Protocol, check_health, parse_response
from doctor.checks import Check, Finding, failed, note, ok, skipped
from doctor.codes import TLS_1_3
from doctor.endpoint import Endpoint

_MAX_SKEW: Final = dt.timedelta(minutes=1)
_KNOWN: Final = "So the certificate was accepted; the answer is about rights: "


def _answered(endpoint: Endpoint) -> Finding:
    return _CALLS[endpoint.plan.protocol](endpoint)


def _no_call(_: Endpoint) -> Finding:
    return skipped("no call was asked for: add --http or --grpc")


def _http(endpoint: Endpoint) -> Finding:
    path, seen = endpoint.plan.path, endpoint.seen
    if (response := parse_response(seen.answer)) is None:
        return failed(
            f"GET {path} got no HTTP answer ({seen.ending}); {len(seen.answer)} bytes came.",
            "Dial the port where the server speaks HTTP; for a gRPC server, use --grpc.",
        )
    said = f"GET {path} gets the answer {response.status} {response.reason}."
    match response.status:
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return note(
                f"{said} {_KNOWN}the name in it may not do this. (Some servers, IIS and Cloudflare "
                "among them, use 403 for a certificate that they do not accept.)",
                "Have the name in the certificate added to the server's policy.",
            )
        case status if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return note(f"{said} The certificate was accepted; the server has an error of its own.")
        case status if status >= HTTPStatus.BAD_REQUEST:
            return note(f"{said} The certificate was accepted; try another path with --path.")
        case _:
            return ok(said)


def _grpc(endpoint: Endpoint) -> Finding:
    plan, seen = endpoint.plan, endpoint.seen
    if plan.credentials is None:
        return skipped("no client certificate was given: --identity, --cert or --pkcs12")
    if plan.target.name != plan.target.host:
        return skipped("gRPC verifies the name dialled and no other: dial the server by its name")
    if seen.hello_version != TLS_1_3:
        return skipped("mtls limits gRPC to TLS 1.3, and this server speaks an older version")
    try:
        answer = check_health(plan.target, plan.roots, plan.credentials, plan.timeout)
    except ImportError:
        return skipped("grpcio is not installed: pip install grpcio")
    return _judge(answer)


def _judge(answer: GrpcAnswer) -> Finding:
    said = (
        f"grpc.health.v1.Health/Check gets the answer {answer.code}: {answer.message.rstrip('.')}."
    )
    match answer.code:
        case "OK":
            return ok(said)
        case "UNIMPLEMENTED":
            return ok(f"{said} The server has no health service; the certificate was accepted.")
        case "PERMISSION_DENIED" | "UNAUTHENTICATED":
            return note(
                f"{said} {_KNOWN}the name in it may not call this.",
                "Have the name in the certificate added to the server's policy.",
            )
        case "UNAVAILABLE" | "DEADLINE_EXCEEDED":
            return failed(
                f"{said} The handshake with OpenSSL succeeded, so either gRPC (BoringSSL) is less "
                "tolerant of a certificate, or the server does not answer.",
                "Look for notes about gRPC above, and into the server's log.",
            )
        case _:
            return note(f"{said} The certificate was accepted.")


_CALLS: Final[Mapping[Protocol, Callable[[Endpoint], Finding]]] = {
    Protocol.ANY: _no_call,
    Protocol.HTTP: _http,
    Protocol.GRPC: _grpc,
}


def _clock(endpoint: Endpoint) -> Finding:
    """Look at the Date field (RFC 9110, section 6.6.1); TLS itself no longer tells the time."""
    response = parse_response(endpoint.seen.answer)
    if response is None or not (date := response.headers.get("Date")):
        return skipped("only an HTTP answer tells the server's time")
    try:
        theirs = parsedate_to_datetime(date)
    except ValueError:
        return note(f"The server's Date cannot be read: {date}.")
    if theirs.tzinfo is None:  # "-0000", by which RFC 5322 says that the zone is not known
        theirs = theirs.replace(tzinfo=dt.UTC)
    skew = theirs - endpoint.server.now
    if abs(skew) > _MAX_SKEW:
        way = "ahead of" if skew > dt.timedelta(0) else "behind"
        return note(
            f"The server's clock is {abs(skew)} {way} ours: certificates may be too young or too "
            "old for one side.",
            "Compare both with a clock that is right, and set the wrong one.",
            "date -u; timedatectl status",
        )
    return ok("The server's clock and ours agree, within a minute.")


CALL_CHECKS: Final = (
    Check("call.answered", "A call goes through", _answered, ("client.accepted",)),
    Check("call.clock", "The clocks agree", _clock, ("server.verified",)),
)
