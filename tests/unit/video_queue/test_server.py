"""The server as a whole: its health, its start and its end."""

import asyncio
import dataclasses
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

from mtls.address import Address
from mtls.certificates import Role
from mtls.identity import load_identity
from mtls.identity_source import IdentitySource

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from runtime.alive import NotAliveError, check_alive
from runtime.errors import StartError
from tests.unit.video_queue.conftest import Clients, files_in, until
from tests.unit.video_queue.test_servicer import FOR_OWNER, claim, failure, parts, upload
from video_queue import maintenance, server
from video_queue.api.service import open_service
from video_queue.config import Config
from video_queue.domain.errors import CatalogUnavailable
from video_queue.maintenance import Service
from video_queue.server import running
from video_queue.storage.leases import Leases
from video_queue.storage.settings import Settings
from videoqueue_api.v1 import video_queue_pb2 as api

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
def source(config: Config, certs: Path) -> IdentitySource:
    return IdentitySource(load_identity(config.identity, roles=frozenset({Role.SERVER})))


def health(channel: grpc.aio.Channel) -> Any:
    """Not typed: the stub's types are those of the blocking API."""
    return health_pb2_grpc.HealthStub(channel)


@pytest.mark.parametrize("service", ["", "videoqueue.v1.VideoQueue"])
@pytest.mark.parametrize("name", ["probe", "gateway", "transcoder"])
async def test_the_server_says_that_it_is_serving(
    clients: Clients, name: str, service: str
) -> None:
    async with clients.channel(name) as channel:
        answer = await health(channel).Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == SERVING


async def test_the_server_is_not_serving_while_its_database_is_silent(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "_INTERVAL_SECONDS", 0.01)

    async def silent(*_: object) -> None:
        raise CatalogUnavailable

    async with clients.channel("probe") as channel:
        watch = health(channel).Watch(health_pb2.HealthCheckRequest(), timeout=30)
        assert (await watch.read()).status == SERVING
        with monkeypatch.context() as patched:
            patched.setattr(Leases, "release_lost", silent)
            assert (await watch.read()).status == NOT_SERVING
        assert (await watch.read()).status == SERVING
        watch.cancel()


async def test_the_file_holds_a_time_while_the_server_serves(
    config: Config, source: IdentitySource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is what a health check sees that has no client's certificate."""
    monkeypatch.setattr(maintenance, "_INTERVAL_SECONDS", 0.01)
    file = tmp_path / "alive"

    async def silent(*_: object) -> None:
        raise CatalogUnavailable

    def is_alive() -> bool:
        try:
            check_alive(file)
        except NotAliveError:
            return False
        return True

    with_file = dataclasses.replace(config, alive_file=file)
    async with open_service(config.service) as service, running(with_file, source, service):
        await until(is_alive)
        with monkeypatch.context() as patched:
            patched.setattr(Leases, "release_lost", silent)
            await until(lambda: not is_alive())
        await until(is_alive)


async def test_a_call_that_no_rule_names_is_refused(clients: Clients) -> None:
    async with clients.channel("probe") as channel:
        messages: Any = health_pb2  # List is newer than its stubs
        call = health(channel).List(messages.HealthListRequest())
        assert (await failure(call))[0] is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.database("sqlite")
async def test_no_identity_can_open_all_calls(
    config: Config,
    settings: Settings,
    source: IdentitySource,
    certs: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A flood of the probe's calls, more than the server takes of all: a heartbeat is answered."""
    monkeypatch.setattr(server, "MAX_CALLS_PER_IDENTITY", 3)
    monkeypatch.setattr(server, "_MAX_CONCURRENT_CALLS", 12)
    async with (
        AsyncExitStack() as stack,
        open_service(settings) as service,
        running(config, source, service) as address,
    ):
        clients = Clients(str(address), certs)
        gateway = await stack.enter_async_context(clients.stub("gateway"))
        transcoder = await stack.enter_async_context(clients.stub("transcoder"))
        probe = health(await stack.enter_async_context(clients.channel("probe")))
        await upload(gateway, b"x")
        lease = (await claim(transcoder)).lease

        async def watch() -> Any:
            call = probe.Watch(health_pb2.HealthCheckRequest())
            stack.callback(call.cancel)
            await call.read()
            return call

        first = [await watch() for _ in range(3)]
        for _ in range(10):
            with pytest.raises(grpc.aio.AioRpcError, match="/probe has 3 calls open: end") as error:
                await watch()
            assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

        heartbeat = transcoder.Heartbeat()
        await heartbeat.write(api.HeartbeatRequest(lease=lease))
        assert (await heartbeat.read()).lease_seconds

        first[0].cancel()
        async with asyncio.timeout(30):
            while True:  # a call that is cancelled has ended a moment later
                with suppress(grpc.aio.AioRpcError):
                    await watch()
                    break


async def test_at_the_end_calls_finish_and_watchers_are_sent_away(
    config: Config, settings: Settings, source: IdentitySource, certs: Path
) -> None:
    """The health service says it first; the upload that is under way is stored."""
    patient = dataclasses.replace(config, grace_seconds=60)
    started: asyncio.Queue[Address] = asyncio.Queue()
    stopping = asyncio.Event()

    async def serve() -> None:
        async with open_service(settings) as service, running(patient, source, service) as address:
            started.put_nowait(address)
            await stopping.wait()

    server = asyncio.create_task(serve())
    clients = Clients(str(await started.get()), certs)
    async with clients.stub("gateway") as gateway, clients.channel("probe") as probe:
        video = await upload(gateway, b"x")
        watch = gateway.WatchVideo(api.WatchVideoRequest(id=video.id))
        await watch.read()
        is_healthy = health(probe).Watch(health_pb2.HealthCheckRequest())
        assert (await is_healthy.read()).status == SERVING
        under_way = gateway.Upload(metadata=FOR_OWNER)
        await under_way.write(parts()[0])
        assert (await under_way.initial_metadata()).get("go-ahead")  # it has begun there

        stopping.set()
        assert (await is_healthy.read()).status == NOT_SERVING
        assert (await failure(watch))[0] is grpc.StatusCode.UNAVAILABLE
        is_healthy.cancel()
        for message in parts(b"y")[1:]:
            await under_way.write(message)
        stored = await under_way
    await server
    assert files_in(settings) == sorted([video.id, stored.id])


async def test_at_the_end_heartbeats_are_sent_away(
    config: Config, settings: Settings, source: IdentitySource, certs: Path
) -> None:
    """At once, long before the time of grace is over."""
    patient = dataclasses.replace(config, grace_seconds=3600)
    async with AsyncExitStack() as stack, asyncio.timeout(60):
        async with open_service(settings) as service, running(patient, source, service) as address:
            clients = Clients(str(address), certs)
            gateway = await stack.enter_async_context(clients.stub("gateway"))
            transcoder = await stack.enter_async_context(clients.stub("transcoder"))
            await upload(gateway, b"x")
            heartbeat = transcoder.Heartbeat()
            await heartbeat.write(api.HeartbeatRequest(lease=(await claim(transcoder)).lease))
            await heartbeat.read()
        assert (await failure(heartbeat))[0] is grpc.StatusCode.UNAVAILABLE


async def test_at_the_end_a_call_that_does_not_finish_is_cut_off(
    config: Config, settings: Settings, source: IdentitySource, certs: Path
) -> None:
    impatient = dataclasses.replace(config, grace_seconds=0.01)
    async with AsyncExitStack() as stack:
        async with (
            open_service(settings) as service,
            running(impatient, source, service) as address,
        ):
            clients = Clients(str(address), certs)
            gateway = await stack.enter_async_context(clients.stub("gateway"))
            endless = gateway.Upload(metadata=FOR_OWNER)
            for message in parts(b"x")[:-1]:
                await endless.write(message)
            await until(lambda: len(files_in(settings)) == 1)
        assert (await failure(endless))[0] in {
            grpc.StatusCode.UNAVAILABLE,
            grpc.StatusCode.CANCELLED,
        }
        assert files_in(settings) == []


async def test_a_port_in_use_is_an_error_that_says_so(
    config: Config, source: IdentitySource, clients: Clients
) -> None:
    port = int(clients.address.rpartition(":")[2])
    second = dataclasses.replace(config, listen=Address("127.0.0.1", port))
    with pytest.raises(StartError, match=f"Cannot listen on 127.0.0.1:{port}"):
        async with running(second, source, Service("none", lambda _server: None)):
            pass
