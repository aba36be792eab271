"""The gateway without videos/ is a frame for routes of one's own: it starts, and refuses strangers.

A reader copies three packages, deletes what is about videos, and edits two lines of server.py, the
settings in config.py, and the table in policy.py.
"""

import ssl
from collections.abc import Iterator
from typing import Final

import aiohttp
import pytest

from demo_identities import identity_named
from impostors import Impostor, impostors, tls_context
from local_stack import Service
from tests.unit.frames import Frame

ROUTE: Final = '''"""A route of my own."""

from aiohttp import web

import structlog

log = structlog.get_logger(__name__)


async def hello(request: web.Request) -> web.Response:
    log.info("hello.called")
    return web.json_response({"hello": "world"})


def add_hello(app: web.Application) -> None:
    app.router.add_get("/hello", hello)
'''
POLICY: Final = """
ALLOWED = {"GET /hello": frozenset({"client/viewer"})}
METRICS_READERS = frozenset()
"""
KINDS: Final = 7


@pytest.fixture(scope="module")
def frame(tmp_path_factory: pytest.TempPathFactory) -> Frame:
    frame = Frame(tmp_path_factory.mktemp("frame"))
    frame.write_certificates()
    frame.copy("mtls", "runtime", "gateway")
    frame.delete("gateway/videos", "gateway/queue_client.py", "gateway/queue_errors.py")
    frame.write("gateway/hello.py", ROUTE)
    frame.write("gateway/policy.py", POLICY)
    server, config = "gateway/server.py", "gateway/config.py"
    frame.replace(server, "from gateway.videos.routes import", "from gateway.hello import")
    frame.replace(server, "add_videos", "add_hello")
    frame.replace(config, "from gateway.videos.settings import VideoSettings\n", "")
    frame.replace(config, "    videos: VideoSettings\n", "")
    frame.replace(config, "            videos=VideoSettings.from_environment(env),\n", "")
    return frame


@pytest.fixture(scope="module")
def service(frame: Frame) -> Iterator[Service]:
    variables = {
        "GATEWAY_LISTEN": "127.0.0.1:0",
        "GATEWAY_IDENTITY": str(frame.identity("gateway")),
    }
    with frame.start("gateway", **variables) as service:
        yield service


async def ask(service: Service, frame: Frame, client: Impostor) -> tuple[int, object]:
    """Return the status and the JSON of GET /hello as `client`."""
    scheme = "https" if client.speaks_tls else "http"
    context: ssl.SSLContext = tls_context(frame.authority.ca_pem, client)
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session,
        session.get(f"{scheme}://{service.address}/hello", ssl=context) as response,
    ):
        return response.status, await response.json(content_type=None)


def calls(service: Service) -> int:
    """Return how often the handler has run."""
    return sum(event["event"] == "hello.called" for event in service.log.events())


def genuine(frame: Frame, name: str) -> Impostor:
    return Impostor(f"genuine {name}", frame.authority.issue(identity_named(name)))


async def test_it_serves_the_peer_that_the_table_names(service: Service, frame: Frame) -> None:
    before = calls(service)
    assert await ask(service, frame, genuine(frame, "client/viewer")) == (200, {"hello": "world"})
    assert calls(service) == before + 1


@pytest.mark.parametrize("number", range(KINDS))
async def test_it_refuses_each_kind_of_stranger_and_says_why(
    service: Service, frame: Frame, number: int
) -> None:
    """They differ from the peer that is served in one fact."""
    kinds = impostors(frame.authority, "client/viewer", unlisted="client/uploader")
    assert len(kinds) == KINDS
    stranger = kinds[number]
    before, since = calls(service), service.log.position()
    try:
        status, problem = await ask(service, frame, stranger)
    except aiohttp.ClientError:
        status, problem = None, None
    event = service.log.wait_for(lambda event: "reason" in event, since=since)
    assert event["reason"] == stranger.reason
    assert status == (403 if stranger.reason == "not_listed" else None), problem
    assert calls(service) == before
    assert (await ask(service, frame, genuine(frame, "client/viewer")))[0] == 200


def test_nothing_of_the_demo_is_left_in_it(frame: Frame) -> None:
    """Neither imported, which would have failed, nor named in the code that is left."""
    for folder in ("gateway", "runtime"):
        for path in (frame.code / folder).glob("*.py"):
            assert "video" not in path.read_text(encoding="utf-8").lower(), path.name
