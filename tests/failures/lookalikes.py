"""Group 5: what looks like a refusal and is none, and one that looks like success."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from tests.failures.failure import Failure
from tests.failures.lab import Case, Lab, Server
from tests.mtls.foreign_servers import nobody, openssl_server, silent


@contextmanager
def _server_is_down(lab: Lab) -> Iterator[Case]:
    with nobody() as address:
        yield Case(lab.client(), Server(address, address))


@contextmanager
def _name_is_unknown(lab: Lab) -> Iterator[Case]:
    yield Case(lab.client(), Server("gateway.invalid:8443", "gateway.invalid:50051"))


@contextmanager
def _ports_exchanged(lab: Lab) -> Iterator[Case]:
    with lab.server() as server:
        yield Case(lab.client(), Server(http=server.grpc, grpc=server.http))


@contextmanager
def _server_is_silent(lab: Lab) -> Iterator[Case]:
    with silent() as address:
        yield Case(replace(lab.client(), patience=10), Server(address, address))


@contextmanager
def _proxy_in_the_way(lab: Lab) -> Iterator[Case]:
    with lab.case() as case, nobody() as proxy:
        os.environ["https_proxy"] = f"http://{proxy}"
        try:
            yield case
        finally:
            del os.environ["https_proxy"]


@contextmanager
def _asks_for_nothing(lab: Lab) -> Iterator[Case]:
    pair = lab.server_file()
    with openssl_server(pair, "-cert_chain", str(pair)) as address:
        yield Case(lab.client(), Server(address, address))


FAILURES: Final = (
    Failure(
        title="Nobody listens",
        did="You dial a server that is down.",
        why="TCP itself is refused: no certificate was looked at.",
        fix="Start the server; look at the port that it says it listens on.",
        arrange=_server_is_down,
        doctor="net.port",
    ),
    Failure(
        title="The name is unknown",
        did="You dial a name that DNS does not know: outside its container network, `gateway` is "
        "such a name.",
        why="There is no address to connect to.",
        fix="Dial a name that resolves here, and that is in the certificate.",
        arrange=_name_is_unknown,
        doctor="net.name",
    ),
    Failure(
        title="The wrong port",
        did="You speak HTTP to the gRPC port, and gRPC to the HTTP port.",
        why="TLS succeeds, with both certificates. Then the two sides do not speak the same "
        "protocol: gRPC is HTTP/2, which is agreed on in the handshake (ALPN, RFC 7301), and "
        "grpcio insists on that.",
        fix="Dial the right port.",
        arrange=_ports_exchanged,
        unseen="a gRPC server that closes without a word may have refused our certificate, so the "
        "doctor says that; `tls.alpn` notes that no protocol was agreed on",
    ),
    Failure(
        title="Nobody answers",
        did="You dial a server that takes the connection and says nothing: a process that hangs, "
        "a firewall that swallows.",
        why="Your ClientHello is never answered. Only your own patience ends that.",
        fix="Give every call a deadline. Then look at the server.",
        arrange=_server_is_silent,
        examine=("connect", "--http", "--timeout", "1"),
        doctor="tls.spoken",
    ),
    Failure(
        title="A proxy in the way",
        did="`https_proxy` is set in your environment, and the proxy is down.",
        why="curl, gRPC, and aiohttp with `trust_env` obey the variable without a word; the "
        "doctor and openssl do not. So it works for one program and not for the other.",
        fix="Put the hosts of your own network into `no_proxy`.",
        arrange=_proxy_in_the_way,
        refused=("aiohttp", "gRPC", "curl"),
        unseen="the doctor dials without a proxy, which shows that the server is well",
    ),
    Failure(
        title="Everything works, and it is not mutual",
        did="You dial a server that never asks for a client certificate.",
        why="The server proves itself and lets in everybody. No client complains: that is TLS, "
        "and not mTLS.",
        fix="Require a client certificate: `verify_mode = CERT_REQUIRED`, "
        "`require_client_auth=True`, `ssl_verify_client on`. And test that a stranger is refused.",
        arrange=_asks_for_nothing,
        refused=("gRPC",),
        doctor="client.asked",
    ),
)
