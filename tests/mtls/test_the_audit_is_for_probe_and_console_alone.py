"""Whom a server has refused, and what its policy says, is told to `probe` and `console` alone."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from mtls.certificates import Role
from mtls.grpc_client import channel_credentials
from mtls.identity import load_identity

import grpc.aio
import pytest
from google.protobuf.json_format import MessageToDict

from audit_api.v1 import audit_pb2 as api
from audit_api.v1.audit_pb2_grpc import AuditStub
from demo_identities import IDENTITIES
from gateway.policy import ALLOWED as AT_THE_GATEWAY
from impostors import Impostor, impostors
from local_stack import Service, Stack
from pki.identities import CLIENT
from tests.mtls.servers import Server
from video_queue.policy import ALLOWED as AT_THE_QUEUE

READERS: Final = ("probe", "console")
OTHERS: Final = [
    identity.name
    for identity in IDENTITIES
    if CLIENT in identity.ekus and identity.name not in READERS
]
METHODS: Final[Mapping[tuple[str, str], str]] = {
    ("gateway", "refusals"): "GET /audit/refusals",
    ("gateway", "decisions"): "GET /audit/policy",
    ("video-queue", "refusals"): "/audit.v1.Audit/ListRefusals",
    ("video-queue", "decisions"): "/audit.v1.Audit/ListDecisions",
}
Rows = list[dict[str, Any]]
Read = Callable[[str, str], Awaitable[tuple[str, Rows]]]


@pytest.fixture
def read(server: Server, running: tuple[Stack, Service, Service]) -> Read:
    """Return a function that asks as an identity: (code, rows); no rows unless it is told."""
    stack, queue, gateway = running

    async def over_http(name: str, what: str) -> tuple[str, Rows]:
        path = METHODS["gateway", what].split()[1]
        async with stack.session(name, gateway) as session, session.get(path) as response:
            content = await response.json(content_type=None)
            return str(response.status), content.get(what, [])

    async def over_grpc(name: str, what: str) -> tuple[str, Rows]:
        identity = load_identity(stack.certs / name, roles=frozenset({Role.CLIENT}))
        async with grpc.aio.secure_channel(queue.address, channel_credentials(identity)) as channel:
            stub = AuditStub(channel)
            try:
                answer: Any = (
                    await stub.ListRefusals(api.ListRefusalsRequest())
                    if what == "refusals"
                    else await stub.ListDecisions(api.ListDecisionsRequest())
                )
            except grpc.aio.AioRpcError as error:
                return error.code().name, []
            content = MessageToDict(answer, always_print_fields_with_no_presence=True)
            return "200", content[what]

    return over_http if server.service is gateway else over_grpc


@pytest.mark.parametrize("what", ["refusals", "decisions"])
async def test_the_readers_are_told_and_the_others_are_denied(
    server: Server, read: Read, what: str
) -> None:
    """They differ in their names alone. Who is denied hears nothing, and the log has the rule."""
    for name in READERS:
        code, rows = await read(name, "decisions")
        assert (code, bool(rows)) == ("200", True)
    for name in OTHERS:
        since = server.service.log.position()
        code, rows = await read(name, what)
        assert code in {"403", "PERMISSION_DENIED"}
        assert rows == []
        denied = server.service.log.wait_for(
            lambda event: event["event"] == "call.denied", since=since
        )
        assert denied["method"] == METHODS[server.service.name, what]
        assert denied["identity"] == f"spiffe://video-demo.test/{name}"
        assert (denied["reason"], denied["rule"]) == ("not_listed", "allowed: console, probe")


@pytest.mark.parametrize("reader", READERS)
async def test_each_kind_of_refusal_is_told_as_it_is_logged(
    server: Server, read: Read, reader: str
) -> None:
    kinds = impostors(server.authority, server.client.name, unlisted="transcoder")
    for kind in kinds:
        if kind.reason == "not_listed" and server.service.name == "video-queue":
            continue  # the worker is known there: the next test has a call that is denied
        since = server.service.log.position()
        assert not (await server.upload(kind, "never stored")).accepted
        logged = server.service.log.wait_for(lambda event: "reason" in event, since=since)
        _, rows = await read(reader, "refusals")
        told = rows[-1]
        assert (told["event"], told["reason"]) == (logged["event"], logged["reason"])
        assert told["reason"] == kind.reason
        assert told["error"] == logged.get("error", logged.get("rule"))
        assert told["peer"] == logged.get("peer", "")
        shown = logged.get("presented")
        assert (told.get("presented") or {}).get("serial") == (shown and shown["serial"])


async def test_a_denied_caller_without_a_name_is_known_by_its_certificate(
    server: Server, read: Read
) -> None:
    two = server.authority.issue(
        server.client, uris=[server.client.uri, "spiffe://video-demo.test/probe"]
    )
    await server.denies(Impostor("two names", two), rule="2 URI names", reason="no_identity")
    _, rows = await read("probe", "refusals")
    assert rows[-1]["reason"] == "no_identity"
    assert rows[-1]["identity"] == ""
    assert rows[-1]["serial"] == f"{two.certificate.serial_number:x}"


async def test_the_decisions_are_those_of_the_policy(server: Server, read: Read) -> None:
    table = AT_THE_GATEWAY if server.service.name == "gateway" else AT_THE_QUEUE
    _, rows = await read("probe", "decisions")
    allowed = {(row["identity"], row["method"]) for row in rows if not row["rule"]}
    assert allowed == {
        (f"spiffe://video-demo.test/{name}", method)
        for method, names in table.items()
        for name in names
    }


async def test_a_flood_of_refusals_is_told_in_part_and_numbered_in_full(
    server: Server, read: Read
) -> None:
    async def numbers() -> list[int]:
        _, rows = await read("probe", "refusals")
        return [int(row["number"]) for row in rows]

    before, stranger = (await numbers())[-1], Impostor("no certificate", None)
    for _ in range(140):
        await server.upload(stranger, "never stored")
    async with asyncio.timeout(30):  # gRPC's C-core tells of a refusal a moment after its client
        while (told := await numbers())[-1] < before + 140:
            pass
    assert told == list(range(told[0], told[0] + 128))
