"""The frame stands alone: without api/, domain/ and storage/ it serves whatever is put in.

A reader copies three packages and the contract of the audit, deletes three folders, adds
api/service.py, and edits the table of policy.py.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import mtls  # noqa: F401  before grpc

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue

from demo_identities import identity_named
from impostors import Impostor, impostors
from local_stack import ROOT, Service
from tests.unit.frames import Frame

SERVICES: Final = ROOT / "services"
FOLDERS: Final = ("api", "domain", "storage")
KINDS: Final = 7

HELLO: Final = '''\
"""What this server serves: one call, Hello."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
from google.protobuf.wrappers_pb2 import StringValue

from video_queue.maintenance import Service


@dataclass(frozen=True)
class Settings:
    greeting: str

    @classmethod
    def from_environment(cls, variables):
        return cls(variables.get("GREETING", "Hello"))


@asynccontextmanager
async def open_service(settings, identity):
    async def hello(request, context):
        print("hello.called", file=sys.stderr, flush=True)
        return StringValue(value=f"{settings.greeting}, {request.value}")

    handler = grpc.unary_unary_rpc_method_handler(
        hello, StringValue.FromString, StringValue.SerializeToString
    )
    handlers = grpc.method_handlers_generic_handler("hello.v1.Hello", {"Hello": handler})
    yield Service("hello.v1.Hello", lambda server: server.add_generic_rpc_handlers((handlers,)))
'''


@pytest.fixture(scope="module")
def frame(tmp_path_factory: pytest.TempPathFactory) -> Frame:
    frame = Frame(tmp_path_factory.mktemp("frame"))
    frame.write_certificates()
    frame.copy("mtls", "runtime", "video_queue")
    frame.copy_contract("audit_api")
    frame.delete(*(f"video_queue/{folder}" for folder in FOLDERS))
    (frame.code / "video_queue" / "api").mkdir()
    frame.write("video_queue/api/__init__.py", "")
    frame.write("video_queue/api/service.py", HELLO)
    policy = "video_queue/policy.py"
    frame.replace(policy, "/videoqueue.v1.VideoQueue/", "/hello.v1.Hello/")
    frame.replace(policy, '_SERVICE + "GetVideo"', '_SERVICE + "Hello"')
    return frame


@pytest.fixture(scope="module")
def server(frame: Frame) -> Iterator[Service]:
    variables = {
        "VIDEO_QUEUE_LISTEN": "127.0.0.1:0",
        "VIDEO_QUEUE_IDENTITY": str(frame.identity("video-queue")),
    }
    with frame.start("video_queue", **variables) as server:
        yield server


def hello(server: Service, frame: Frame, client: Impostor) -> str:
    """Return the answer to a call of Hello as `client`. Raises `grpc.RpcError`."""
    issued = client.certificate
    credentials = grpc.ssl_channel_credentials(
        frame.authority.ca_pem,
        issued.key_pem if issued else None,
        issued.chain_pem if issued else None,
    )
    channel = (
        grpc.secure_channel(server.address, credentials)
        if client.speaks_tls
        else grpc.insecure_channel(server.address)
    )
    with channel:
        call = channel.unary_unary(
            "/hello.v1.Hello/Hello",
            request_serializer=StringValue.SerializeToString,
            response_deserializer=StringValue.FromString,
        )
        answer: StringValue = call(StringValue(value="world"), timeout=30)
        return answer.value


def calls(server: Service) -> int:
    """Return how often the handler has run."""
    return sum(event["event"] == "hello.called" for event in server.log.events())


def genuine(frame: Frame) -> Impostor:
    return Impostor("genuine gateway", frame.authority.issue(identity_named("gateway")))


def test_it_serves_the_peer_that_the_table_names(server: Service, frame: Frame) -> None:
    before = calls(server)
    assert hello(server, frame, genuine(frame)) == "Hello, world"
    assert calls(server) == before + 1


@pytest.mark.parametrize("number", range(KINDS))
def test_it_refuses_each_kind_of_stranger_and_says_why(
    server: Service, frame: Frame, number: int
) -> None:
    """They differ from the peer that is served in one fact."""
    kinds = impostors(frame.authority, "gateway", unlisted="transcoder")
    assert len(kinds) == KINDS
    stranger = kinds[number]
    before, since = calls(server), server.log.position()
    with pytest.raises(grpc.RpcError) as refused:
        hello(server, frame, stranger)
    event = server.log.wait_for(lambda event: "reason" in event, since=since)
    assert event["reason"] == stranger.reason
    is_denied = stranger.reason == "not_listed"
    expected = grpc.StatusCode.PERMISSION_DENIED if is_denied else grpc.StatusCode.UNAVAILABLE
    assert refused.value.code() is expected
    assert calls(server) == before
    assert hello(server, frame, genuine(frame)) == "Hello, world"


# What a folder may import of this service, and of others.
MAY_IMPORT = {
    "domain": {"video_queue.domain", "video_queue.errors", "structlog"},
    "storage": {
        "video_queue.domain", "video_queue.storage", "mtls", "runtime", "structlog", "sqlalchemy",
        "psycopg", "aiobotocore", "aiohttp", "botocore", "yarl",
    },
    "api": {
        "video_queue.api", "video_queue.domain", "video_queue.storage", "video_queue.maintenance",
        "video_queue.policy", "videoqueue_api", "mtls", "runtime", "structlog", "grpc", "google",
    },
}  # fmt: skip


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import():
                yield from (name.name for name in node.names)
            case ast.ImportFrom():
                yield node.module or ""


@pytest.mark.parametrize("folder", FOLDERS)
def test_dependencies_point_one_way(folder: str) -> None:
    """From api to storage to domain, which knows no transport and no database."""
    allowed = MAY_IMPORT[folder]
    for path in (SERVICES / "video_queue" / folder).glob("*.py"):
        for module in imports_of(path):
            is_ours = any(module == each or module.startswith(each + ".") for each in allowed)
            is_standard = module.partition(".")[0] in sys.stdlib_module_names
            assert is_ours or is_standard, f"{path.name}: {module}"
