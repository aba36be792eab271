"""Asks a service over mutual TLS whether it is alive; made for container health checks.

    python -m runtime.healthcheck grpc://backend:50051 --identity /certs/probe
    python -m runtime.healthcheck https://front:8443/healthz --identity /certs/probe
    python -m runtime.healthcheck tls://backend:50051 --identity /certs/backend --alive /tmp/alive
    python -m runtime.healthcheck --alive /tmp/alive

The third is for a server whose own certificate is for no client: it verifies the server as a client
does, and shows it nothing. Whether it can do its work, the server then has to say in a file.
The fourth looks at that file alone, for an orchestrator that starts again what does not move.

Exits with 0 if it is, and with 1 and one line on standard error if not.
"""

import argparse
import http.client
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from mtls.certificates import Role
from mtls.errors import MtlsError
from mtls.identity import Identity, load_identity

from runtime.alive import check_alive
from runtime.dial import connect_to_any

_TIMEOUT_SECONDS: Final = 5


class UnhealthyError(MtlsError):
    """The service answered that it is not well."""


def check_grpc(url: SplitResult, identity: Identity) -> None:
    """Call grpc.health.v1.Health/Check. Raises `UnhealthyError`."""
    from mtls.grpc_client import NO_PROXY, channel_credentials

    import grpc
    from grpc_health.v1 import health_pb2

    credentials = channel_credentials(identity)
    with grpc.secure_channel(url.netloc, credentials, options=[NO_PROXY]) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            answer = check(health_pb2.HealthCheckRequest(), timeout=_TIMEOUT_SECONDS)
        except grpc.RpcError as error:
            never_got_there = error.code() is grpc.StatusCode.UNAVAILABLE
            raise UnhealthyError(
                (never_got_there and _why_unreachable(url)) or str(error)
            ) from error
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise UnhealthyError


def _why_unreachable(url: SplitResult) -> str:
    """Return why there is no connection at all; of several addresses, gRPC tells of the last."""
    try:
        connect_to_any(url.hostname or "", url.port or 443, _TIMEOUT_SECONDS).close()
    except OSError as error:
        return str(error)
    return ""


def check_https(url: SplitResult, identity: Identity) -> None:
    """Send GET. Raises `UnhealthyError`."""
    from mtls.ssl_contexts import client_context

    host, port, context = url.hostname or "", url.port or 443, client_context(identity)
    connection = http.client.HTTPSConnection(host, port, context=context)
    try:
        plain = connect_to_any(host, port, _TIMEOUT_SECONDS)
        connection.sock = context.wrap_socket(plain, server_hostname=host)
        connection.request("GET", url.path or "/")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise UnhealthyError(str(error)) from error
    finally:
        connection.close()
    if status != http.HTTPStatus.OK:
        raise UnhealthyError(f"The service answered with HTTP status {status}.")


def check_tls(url: SplitResult, identity: Identity) -> None:
    """Verify the server, and go. Raises `UnhealthyError`."""
    from mtls.reporting.connection_probe import verify_server
    from mtls.ssl_contexts import client_context

    host, context = url.hostname or "", client_context(identity, protocols=("h2", "http/1.1"))
    try:
        with connect_to_any(host, url.port or 443, _TIMEOUT_SECONDS) as connection:
            verify_server(connection, host, context)
    except OSError as error:
        raise UnhealthyError(str(error)) from error


_CHECKS: Final[dict[str, tuple[Role, Callable[[SplitResult, Identity], None]]]] = {
    "grpc": (Role.CLIENT, check_grpc),
    "https": (Role.CLIENT, check_https),
    "tls": (Role.SERVER, check_tls),
}


def main(arguments: list[str] | None = None) -> int:
    """Check the service at the URL given; return the exit code."""
    parser = argparse.ArgumentParser(prog="runtime.healthcheck", description=__doc__)
    parser.add_argument(
        "url",
        type=urlsplit,
        nargs="?",
        help="grpc://HOST:PORT, https://HOST:PORT/PATH or tls://HOST:PORT",
    )
    parser.add_argument("--identity", type=Path, help="folder of the certificate to check with")
    parser.add_argument("--alive", type=Path, help="file in which the process shows that it lives")
    options = parser.parse_args(arguments)
    if not options.url and not options.alive:
        parser.error("a URL, or --alive, says what to check")
    if options.url and options.url.scheme not in _CHECKS:
        parser.error("the URL begins with grpc://, https:// or tls://")
    if options.url and not options.identity:
        parser.error("a URL is called with an --identity")
    try:
        if options.alive:
            check_alive(options.alive)
        if options.url:
            role, check = _CHECKS[options.url.scheme]
            check(options.url, load_identity(options.identity, roles=frozenset({role})))
    except MtlsError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
