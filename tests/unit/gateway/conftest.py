"""The real gateway in front of a fake queue, both over real mutual TLS."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, fields, replace
from typing import Any

from mtls import Denied, Observer, Peer, PeerError
from mtls.address import Address
from mtls.grpc_server import server_credentials
from mtls.identity import Identity, load_identity
from mtls.identity_source import IdentitySource
from mtls.policy import Policy
from mtls.ssl_contexts import client_context

import aiohttp
import grpc.aio
import pytest

from demo_identities import IDENTITIES
from gateway.config import Config
from gateway.server import serving
from pki.authority import Authority
from pki.identity_folder import write_identity
from tests.unit.gateway.fake_queue import FakeQueue
from videoqueue_api.v1.video_queue_pb2_grpc import add_VideoQueueServicer_to_server


@pytest.fixture(scope="session")
def identities(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Identity]:
    """Every identity, by its name."""
    folder, authority = tmp_path_factory.mktemp("certs"), Authority.create(IDENTITIES)
    for identity in IDENTITIES:
        write_identity(folder / identity.name, authority.issue(identity), authority.ca_pem)
    return {
        identity.name: load_identity(folder / identity.name, roles=frozenset())
        for identity in IDENTITIES
    }


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running gateway, the queue behind it, and the clients in front of it."""

    address: Address
    queue: FakeQueue
    identities: Mapping[str, Identity]
    stop: Callable[[], Awaitable[None]]

    @asynccontextmanager
    async def client(self, name: str = "client/uploader") -> AsyncIterator[aiohttp.ClientSession]:
        """Yield an HTTP session with the certificate of that name."""
        connector = aiohttp.TCPConnector(ssl=client_context(self.identities[name]))
        url, timeout = f"https://{self.address}", aiohttp.ClientTimeout(total=20)
        async with aiohttp.ClientSession(url, connector=connector, timeout=timeout) as session:
            yield session


class Recorder(Observer):
    """Remembers what the gateway reports: (event, endpoint, what)."""

    def __init__(self) -> None:
        self.events: list[tuple[str, ...]] = []

    def call_denied(
        self, endpoint: str, _policy: Policy, method: str, error: Denied | PeerError
    ) -> None:
        self.events.append(("denied", endpoint, method, error.reason))

    def call_finished(
        self, endpoint: str, _policy: Policy, peer: Peer | None, method: str, code: str
    ) -> None:
        self.events.append(("finished", endpoint, method, peer.name if peer else "", code))

    def request_malformed(self, endpoint: str, _peer: str, status: int, error: str) -> None:
        self.events.append(("malformed", endpoint, str(status), error))

    def failed(self, what: str, error: Exception) -> None:
        self.events.append(("failed", what, type(error).__name__))

    @property
    def failures(self) -> list[str]:
        """The errors that the gateway takes for its own."""
        return [event[-1] for event in self.events if event[0] == "failed"]


Start = Callable[..., Awaitable[Gateway]]


def with_settings(config: Config, settings: Mapping[str, Any]) -> Config:
    """Return the settings with some replaced, whether of the frame or of the videos."""
    own = {field.name for field in fields(Config)}
    videos = {name: value for name, value in settings.items() if name not in own}
    frame = {name: value for name, value in settings.items() if name in own}
    return replace(config, videos=replace(config.videos, **videos), **frame)


@pytest.fixture
async def queue() -> FakeQueue:
    return FakeQueue()  # type: ignore[abstract]  # the worker's calls are none of the gateway's


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def start(
    queue: FakeQueue, identities: Mapping[str, Identity], recorder: Recorder
) -> AsyncIterator[Start]:
    """Yield a function that starts the gateway, with settings that replace the default ones."""
    async with AsyncExitStack() as stack:
        server = grpc.aio.server()
        add_VideoQueueServicer_to_server(queue, server)
        server.add_generic_rpc_handlers((queue.health_handler(),))
        source = IdentitySource(identities["video-queue"])
        port = server.add_secure_port("127.0.0.1:0", server_credentials(source))
        await server.start()
        stack.push_async_callback(server.stop, None)

        async def start(**settings: Any) -> Gateway:
            identity = identities["gateway"]
            config = Config.from_environment(
                {
                    "GATEWAY_LISTEN": "127.0.0.1:0",
                    "GATEWAY_IDENTITY": str(identity.folder),
                    "GATEWAY_QUEUE": f"localhost:{port}",
                    "GATEWAY_GRACE_SECONDS": "1",
                }
            )
            running = await stack.enter_async_context(AsyncExitStack())
            address = await running.enter_async_context(
                serving(with_settings(config, settings), IdentitySource(identity, recorder))
            )
            return Gateway(Address("localhost", address.port), queue, identities, running.aclose)

        yield start


@pytest.fixture
async def gateway(start: Start) -> Gateway:
    return await start()
