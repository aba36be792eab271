"""Rows 3 and 4: the CPU that a new connection costs a server. Nothing is resumed."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from string import Template
from typing import Final

from benchmarks.connections import Connect, connector, open_and_close, open_and_close_http2
from benchmarks.processes import Server, on_core, spawn
from benchmarks.rounds import Measure, Sample, compare
from benchmarks.rows.scale import Scale
from benchmarks.stacks import OURS, PEER_NAME, Place, free_port, node_stack, our_stack
from benchmarks.waiting import until

_NGINX: Final = "nginx"
_NGINX_CONF: Final = Path(__file__).parent.parent / "nginx.conf"


def at_the_gateway(place: Place, scale: Scale) -> Iterator[Measure]:
    """HTTPS: ours, fastify, and nginx as the floor."""
    with (
        our_stack(place, OURS) as ours,
        node_stack(place, PEER_NAME) as node,
        nginx(place) as floor,
    ):
        samples = scale.rounds.alternate(
            {
                name: _https(place, server, scale)
                for name, server in (
                    (OURS, ours.gateway),
                    (PEER_NAME, node.gateway),
                    (_NGINX, floor),
                )
            }
        )
    for theirs, bar in ((PEER_NAME, 0.72), (_NGINX, 1.02)):
        yield compare(
            samples,
            OURS,
            theirs,
            "cpu",
            row="3",
            title="new connection at the gateway",
            unit="CPU ms",
            bar=bar,
        )


def at_the_queue(place: Place, scale: Scale) -> Iterator[Measure]:
    """HTTP/2 of gRPC, up to the server's settings: grpcio and @grpc/grpc-js."""
    with our_stack(place, OURS) as ours, node_stack(place, PEER_NAME) as node:
        samples = scale.rounds.alternate(
            {each.name: _grpc(place, each.queue, scale) for each in (ours, node)}
        )
    yield compare(
        samples,
        OURS,
        PEER_NAME,
        "cpu",
        row="4",
        title="new connection at the queue",
        unit="CPU ms",
        bar=0.40,
    )


def transports(place: Place, scale: Scale) -> Iterator[Measure]:
    """New connections at the gateway over mutual TLS, TLS and plain TCP: for the plot."""
    with ExitStack() as running:
        stacks = [
            running.enter_context(our_stack(place, name, transport=name))
            for name in ("mtls", "tls", "plain")
        ]
        samples = scale.rounds.alternate(
            {each.name: _https(place, each.gateway, scale, scheme=each.scheme) for each in stacks}
        )
    for other in ("tls", "plain"):
        yield compare(
            samples,
            "mtls",
            other,
            "cpu",
            row="cost",
            title="new connection",
            unit="CPU ms",
        )


def _https(
    place: Place, server: Server, scale: Scale, *, scheme: str = "https"
) -> Callable[[], Sample]:
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
