"""Rows 3 and 4: the CPU that a new connection costs a server. Nothing is resumed."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from string import Template
from typing import Final

from mtls.revocation import REVOKED

from benchmarks.connections import Connect, connector, open_and_close, open_and_close_http2
from benchmarks.processes import Server, on_core, spawn
from benchmarks.rounds import Measure, Sample, compare
from benchmarks.rows.scale import Scale
from benchmarks.stacks import (
    FASTAPI,
    GO,
    NODE_PEER,
    OURS,
    Place,
    stack_of,
)
from benchmarks.waiting import until
from local_stack import free_port

_NGINX: Final = "nginx"
_LISTS: Final = "with revocation lists"
_NGINX_CONF: Final = Path(__file__).parent.parent / "nginx.conf"


def against_others(place: Place, scale: Scale) -> Iterator[Measure]:
    """HTTPS at the gateway, with nginx as the floor, and gRPC at the queue.

    What is compared does the same work: nobody has revocation lists, whose signature OpenSSL
    verifies for each connection. (nginx and Node want one of the root too, and grpc-js takes none.)
    """
    alike = _without_lists(place)
    with ExitStack() as running:
        stacks = [
            running.enter_context(stack_of(alike, kind)) for kind in (OURS, NODE_PEER, FASTAPI, GO)
        ]
        gateways = {each.name: each.gateway for each in stacks}
        gateways[_NGINX] = running.enter_context(nginx(alike))
        gateways[_LISTS] = running.enter_context(stack_of(place.below("listed"), OURS)).gateway
        at_the_gateway = scale.rounds.alternate(
            {name: https(place, server, scale) for name, server in gateways.items()}
        )
        at_the_queue = scale.rounds.alternate(
            {each.name: _grpc(place, each.queue, scale) for each in stacks}
        )
    for row, where, samples, ours, theirs, bar in (
        ("3", "gateway", at_the_gateway, OURS, NODE_PEER, 1.0),
        ("3", "gateway", at_the_gateway, OURS, _NGINX, 1.02),
        ("3", "gateway", at_the_gateway, OURS, FASTAPI, None),
        ("3", "gateway", at_the_gateway, OURS, GO, None),
        ("3", "gateway", at_the_gateway, _NGINX, NODE_PEER, None),
        ("3", "gateway", at_the_gateway, _LISTS, OURS, None),
        ("4", "queue", at_the_queue, OURS, NODE_PEER, 1.0),
        ("4", "queue", at_the_queue, OURS, FASTAPI, None),
        ("4", "queue", at_the_queue, OURS, GO, None),
    ):
        yield compare(
            samples,
            ours,
            theirs,
            "cpu",
            row=row,
            title=f"new connection at the {where}",
            unit="CPU ms",
            bar=bar,
        )


def _without_lists(place: Place) -> Place:
    certs = place.folder / "certs-without-lists"
    shutil.copytree(place.certs, certs, ignore=shutil.ignore_patterns(REVOKED))
    return replace(place, certs=certs)


def https(
    place: Place, server: Server, scale: Scale, *, scheme: str = "https"
) -> Callable[[], Sample]:
    """Return what measures the CPU of a new connection at `server`, an HTTP server."""
    connect = connector(server.address, place.client() if scheme == "https" else None)
    return partial(_measure, server, open_and_close, connect, scale.connections, place.cores.behind)


def _grpc(place: Place, server: Server, scale: Scale) -> Callable[[], Sample]:
    connect = connector(server.address, place.client("gateway"), protocol="h2")
    return partial(
        _measure, server, open_and_close_http2, connect, scale.connections, place.cores.front
    )


def _measure(
    server: Server,
    load: Callable[[Connect, int], None],
    connect: Connect,
    number: int,
    core: int,
) -> Sample:
    before = server.cpu_seconds()
    with on_core(core):
        load(connect, number)
    return {"cpu": (server.cpu_seconds() - before) * 1000 / number}


@contextmanager
def nginx(place: Place) -> Iterator[Server]:
    """Run nginx with the gateway's certificate and the same demand on clients."""
    home = place.below("nginx").folder
    port = free_port()
    conf = home / "nginx.conf"
    identity = place.certs / "gateway"
    conf.write_text(Template(_NGINX_CONF.read_text()).substitute(port=port, identity=identity))
    command: list[str | Path] = ["nginx", "-p", home, "-c", conf, "-e", home / "error.log"]
    process = spawn(command, {}, place.cores.front, home / "nginx.log")
    server = Server(_NGINX, process, f"localhost:{port}")
    try:
        until(server, connector(server.address, place.client()), "/")
        yield server
    finally:
        server.stop()
