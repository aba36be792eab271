"""Who may do what is exactly the tables below: every identity tries every call and every route."""

from collections.abc import Iterator, Mapping
from typing import Final

from mtls.certificates import Role
from mtls.grpc_client import channel_credentials
from mtls.identity import load_identity

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2

from audit_api.v1 import audit_pb2
from demo_identities import IDENTITIES
from gateway.videos.routes import ROUTES
from local_stack import Service, Stack
from pki.identities import CLIENT
from videoqueue_api.v1 import video_queue_pb2

CALLERS: Final = [identity.name for identity in IDENTITIES if CLIENT in identity.ekus]

VIDEO_QUEUE: Final = "/videoqueue.v1.VideoQueue/"
HEALTH: Final = "/grpc.health.v1.Health/"
AUDIT: Final = "/audit.v1.Audit/"
GATEWAYS_CALLS: Final = [
    "Upload",
    "GetVideo",
    "ListVideos",
    "WatchVideo",
    "Download",
    "DownloadRendition",
    "DeleteVideo",
]
WORKERS_CALLS: Final = [
    "ClaimVideo",
    "FetchSource",
    "Heartbeat",
    "PublishRendition",
    "UpdateVideoStatus",
]
RPCS: Final[Mapping[str, set[str]]] = {
    **{VIDEO_QUEUE + call: {"gateway"} for call in GATEWAYS_CALLS},
    **{VIDEO_QUEUE + call: {"transcoder"} for call in WORKERS_CALLS},
    HEALTH + "Check": {"gateway", "transcoder", "probe"},
    HEALTH + "Watch": {"gateway", "transcoder", "probe"},
    AUDIT + "ListRefusals": {"probe", "console"},
    AUDIT + "ListDecisions": {"probe", "console"},
}

WRITERS: Final = {"client/uploader", "console"}
READERS: Final = {*WRITERS, "client/viewer"}
HTTP_ACTIONS: Final[Mapping[str, set[str]]] = {
    "GET /videos": READERS,
    "GET /videos/{id}": READERS,
    "GET /videos/{id}/events": READERS,
    "GET /videos/{id}/source": READERS,
    "GET /videos/{id}/renditions/{name}": READERS,
    "GET /videos/{id}/thumbnail": READERS,
    "GET /openapi.json": READERS,
    "POST /videos": WRITERS,
    "DELETE /videos/{id}": WRITERS,
    "GET /healthz": {*READERS, "probe", "gateway"},
    "GET /audit/refusals": {"probe", "console"},
    "GET /audit/policy": {"probe", "console"},
}
FRAME: Final = {"GET /healthz", "GET /audit/refusals", "GET /audit/policy"}


def every_rpc() -> Iterator[tuple[str, bool]]:
    """Yield every method of the services that video-queue offers, and two that nobody does.

    With each, whether its request is a stream.
    """
    for file in (video_queue_pb2.DESCRIPTOR, health_pb2.DESCRIPTOR, audit_pb2.DESCRIPTOR):
        for service in file.services_by_name.values():
            for method in service.methods:
                yield f"/{service.full_name}/{method.name}", method.client_streaming
    yield VIDEO_QUEUE + "NoSuchCall", False
    yield "/no.such.Service/Call", False


def every_action() -> Iterator[str]:
    """Yield every route of the gateway, each with every method, and one that is no route."""
    paths = {action.split()[1] for action in FRAME}
    for path in {route.path for route in ROUTES} | paths | {"/no-such-route"}:
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            yield f"{method} {path}"


def test_the_tables_name_nothing_that_does_not_exist() -> None:
    assert set(RPCS) <= {rpc for rpc, _ in every_rpc()}
    assert set(HTTP_ACTIONS) <= set(every_action())


@pytest.mark.parametrize("name", CALLERS)
async def test_every_rpc(running: tuple[Stack, Service, Service], name: str) -> None:
    stack, queue, _ = running
    identity = load_identity(stack.certs / name, roles=frozenset({Role.CLIENT}))
    allowed = set()
    async with grpc.aio.secure_channel(queue.address, channel_credentials(identity)) as channel:
        for rpc, streams in every_rpc():
            since = queue.log.position()
            status = await _status_of(channel, rpc, streams=streams)
            denied = any(
                event["event"] == "call.denied" and event["method"] == rpc
                for event in queue.log.events(since)
            )
            assert denied == (status is grpc.StatusCode.PERMISSION_DENIED), rpc
            if not denied:
                allowed.add(rpc)
    assert allowed == {rpc for rpc, names in RPCS.items() if name in names}


async def _status_of(
    channel: grpc.aio.Channel, rpc: str, *, streams: bool
) -> grpc.StatusCode | None:
    """Call with one empty message; return the error, or None if there was an answer."""
    try:
        if streams:
            upward: grpc.aio.StreamUnaryMultiCallable[bytes, bytes] = channel.stream_unary(rpc)
            await upward(iter([b""]), timeout=30)
        else:  # one response or many: to a client that reads but the first, it is the same
            downward: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(rpc)
            call = downward(b"", timeout=30)
            await call.read()
            call.cancel()
    except grpc.aio.AioRpcError as error:
        return error.code()
    return None


@pytest.mark.parametrize("name", CALLERS)
async def test_every_route(running: tuple[Stack, Service, Service], name: str) -> None:
    stack, _, gateway = running
    allowed = set()
    async with stack.session(name, gateway) as session:
        for action in every_action():
            method, path = action.split()
            path = path.format(id="00000000-0000-7000-8000-000000000000", name="360p")
            async with session.request(method, path) as response:
                if action.replace("HEAD", "GET") not in HTTP_ACTIONS:
                    # Who may call something here hears that this does not exist.
                    assert response.status in ({404, 405} if serves(name) else {403}), action
                elif response.status != 403:
                    allowed.add(action)
    expected = {action for action, names in HTTP_ACTIONS.items() if name in names}
    assert allowed == expected | {
        action.replace("GET", "HEAD") for action in expected if action.startswith("GET")
    }


def serves(name: str) -> bool:
    """Whether the gateway's table names this identity at all."""
    return any(name in names for names in HTTP_ACTIONS.values())


def test_the_gateway_has_no_route_besides_those_of_its_table() -> None:
    routes = {f"{route.method} {route.path}" for route in ROUTES} | FRAME
    assert routes == set(HTTP_ACTIONS)
