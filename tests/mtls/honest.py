"""The honest client that must go on being served, whatever somebody else does to the server."""

import http.client
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from mtls.certificates import Role
from mtls.grpc_client import channel_credentials
from mtls.identity import Identity, load_identity
from mtls.ssl_contexts import client_context

import grpc

from demo_identities import identity_named
from local_stack import Service, Stack
from videoqueue_api.v1 import video_queue_pb2

TIMEOUT_SECONDS: Final = 30
Call = Callable[[], None]
CALLERS: Final = {"gateway": "client/uploader", "video-queue": "gateway"}


@dataclass(frozen=True, slots=True)
class Honest:
    """Two ways to make the same call; each returns its seconds, or raises if it is not answered.

    `anew` connects for the call. `again` uses one connection that stays open, and raises if that
    has been closed.
    """

    anew: Callable[[], float]
    again: Callable[[], float]


@contextmanager
def honest_client(stack: Stack, service: Service) -> Iterator[Honest]:
    """Yield a client of the service that lists videos."""
    caller = CALLERS[service.name]
    identity = load_identity(stack.certs / caller, roles=frozenset({Role.CLIENT}))
    connect = _over_http if service.name == "gateway" else _over_grpc
    with ExitStack() as kept:
        keep = kept.enter_context(connect(service.address, identity, watched=True))

        def anew() -> float:
            started = time.monotonic()
            with connect(service.address, identity, watched=False) as call:
                call()
            return time.monotonic() - started

        def again() -> float:
            started = time.monotonic()
            keep()
            return time.monotonic() - started

        yield Honest(anew, again)


@contextmanager
def _over_http(address: str, identity: Identity, *, watched: bool) -> Iterator[Call]:
    connection = http.client.HTTPSConnection(
        address, context=client_context(identity), timeout=TIMEOUT_SECONDS
    )
    connection.connect()
    connection.auto_open = 0  # a connection that was closed is an error, not a reason for another

    def call() -> None:
        connection.request("GET", "/videos")
        response = connection.getresponse()
        body = response.read()
        assert response.status == http.client.OK, body

    try:
        yield call
    finally:
        connection.close()


@contextmanager
def _over_grpc(address: str, identity: Identity, *, watched: bool) -> Iterator[Call]:
    # A pool of its own: gRPC would take the connection of another channel.
    options = [("grpc.use_local_subchannel_pool", 1)]
    connections = 0

    def on_state(state: grpc.ChannelConnectivity) -> None:
        nonlocal connections
        connections += state is grpc.ChannelConnectivity.READY

    with grpc.secure_channel(address, channel_credentials(identity), options) as channel:
        if watched:  # not always: it takes a thread, and 200 ms to end it
            channel.subscribe(on_state)
        list_videos = channel.unary_unary(
            "/videoqueue.v1.VideoQueue/ListVideos",
            video_queue_pb2.ListVideosRequest.SerializeToString,
            video_queue_pb2.ListVideosResponse.FromString,
        )

        def call() -> None:
            list_videos(
                video_queue_pb2.ListVideosRequest(),
                timeout=TIMEOUT_SECONDS,
                metadata=(("on-behalf-of", identity_named("client/uploader").uri),),
            )
            if connections > 1:
                raise ConnectionResetError("The connection was closed, and gRPC made another.")

        yield call
