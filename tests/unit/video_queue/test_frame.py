"""The frame stands alone: without api/, domain/ and storage/ it serves whatever is put in."""

import ast
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from mtls.certificates import Role
from mtls.grpc_client import channel_credentials
from mtls.identity import load_identity

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue

from demo_identities import IDENTITIES, identity_named
from local_stack import ROOT, Service, Stack
from pki.authority import Authority, Issued

SERVICES = ROOT / "services"
FOLDERS = ("api", "domain", "storage")

HELLO = '''\
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
async def open_service(settings):
    async def hello(request, context):
        print("hello.called", file=sys.stderr, flush=True)
        return StringValue(value=f"{settings.greeting}, {request.value}")

    handler = grpc.unary_unary_rpc_method_handler(
        hello, StringValue.FromString, StringValue.SerializeToString
    )
    handlers = grpc.method_handlers_generic_handler("hello.v1.Hello", {"Hello": handler})
    yield Service("hello.v1.Hello", lambda server: server.add_generic_rpc_handlers((handlers,)))
'''


def copy_frame(folder: Path) -> Path:
    """Do what a copier does: delete three folders, add a file, and name its call in the policy."""
    copy = folder / "video_queue"
    folder.mkdir()
    shutil.copytree(
        SERVICES / "video_queue", copy, ignore=shutil.ignore_patterns(*FOLDERS, "__pycache__")
    )
    for library in ("mtls", "runtime"):
        (folder / library).symlink_to(SERVICES / library)
    (copy / "api").mkdir()
    (copy / "api" / "__init__.py").touch()
    (copy / "api" / "service.py").write_text(HELLO)
    policy = copy / "policy.py"
    rows = [line for line in policy.read_text().splitlines() if " _SERVICE + " not in line]
    table = rows.index("ALLOWED: Final[Mapping[str, frozenset[str]]] = {")
    rows.insert(table + 1, '    "/hello.v1.Hello/Hello": _GATEWAY,')
    policy.write_text("\n".join(rows))
    return folder


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    stack = Stack(tmp_path_factory.mktemp("frame"))
    stack.write_certificates()
    return stack


@pytest.fixture(scope="module")
def server(stack: Stack) -> Iterator[Service]:
    frame = copy_frame(stack.folder / "services")
    with stack.start_queue(PYTHONPATH=str(frame)) as server:
        yield server


def hello(server: Service, credentials: grpc.ChannelCredentials) -> str:
    with grpc.secure_channel(server.address, credentials) as channel:
        call = channel.unary_unary(
            "/hello.v1.Hello/Hello",
            request_serializer=StringValue.SerializeToString,
            response_deserializer=StringValue.FromString,
        )
        answer: StringValue = call(StringValue(value="world"), timeout=30)
        return answer.value


def genuine(stack: Stack, name: str) -> grpc.ChannelCredentials:
    return channel_credentials(load_identity(stack.certs / name, roles=frozenset({Role.CLIENT})))


def stranger(stack: Stack, issued: Issued) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(stack.authority.ca_pem, issued.key_pem, issued.chain_pem)


def calls_of(server: Service) -> int:
    """How often the handler ran."""
    return sum(event["event"] == "hello.called" for event in server.log.events())


def test_it_serves_its_peer(stack: Stack, server: Service) -> None:
    before = calls_of(server)
    assert hello(server, genuine(stack, "gateway")) == "Hello, world"
    assert calls_of(server) == before + 1


def test_it_refuses_a_stranger_and_says_why(stack: Stack, server: Service) -> None:
    """The twin differs in the CA alone: the same names, issued by ours, are served."""
    before, since = calls_of(server), server.log.position()
    gateway = identity_named("gateway")
    with pytest.raises(grpc.RpcError) as refused:
        hello(server, stranger(stack, Authority.create(IDENTITIES).issue(gateway)))
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    event = server.log.wait_for(lambda event: event["event"].endswith(".refused"), since=since)
    assert event["reason"] == "unknown_ca"
    assert calls_of(server) == before
    assert hello(server, stranger(stack, stack.authority.issue(gateway))) == "Hello, world"


def test_it_denies_a_peer_that_the_policy_does_not_name(stack: Stack, server: Service) -> None:
    before, since = calls_of(server), server.log.position()
    with pytest.raises(grpc.RpcError) as denied:
        hello(server, genuine(stack, "transcoder"))
    assert denied.value.code() is grpc.StatusCode.PERMISSION_DENIED
    event = server.log.wait_for(lambda event: event["event"] == "call.denied", since=since)
    assert event["reason"] == "not_listed"
    assert calls_of(server) == before
    assert hello(server, genuine(stack, "gateway")) == "Hello, world"


# What a folder may import of this service, and of others.
MAY_IMPORT = {
    "domain": {"video_queue.domain", "video_queue.errors", "structlog"},
    "storage": {
        "video_queue.domain", "video_queue.storage", "runtime", "structlog", "sqlalchemy",
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
