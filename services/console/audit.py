"""Asking gateway and queue for what they tell of themselves: refusals, and decisions.

Both answer the same, the one in JSON and the other over gRPC; here it is the same rows.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final

from mtls import IdentitySource, mtls_channel

import grpc.aio
import orjson
from aiohttp import web
from google.protobuf.json_format import MessageToDict

from audit_api.v1 import audit_pb2 as api
from audit_api.v1.audit_pb2_grpc import AuditStub
from console.config import Config
from console.context import CONFIG, GATEWAY, IDENTITY, SIGHT
from console.errors import ConsoleError, Unreachable
from console.gateway import GatewayClient
from console.sight import GATEWAY as THE_GATEWAY
from console.sight import QUEUE as THE_QUEUE
from console.sight import Sight

# A queue that comes back is found at the next question.
_OPTIONS: Final = (("grpc.max_reconnect_backoff_ms", 1000),)

Row = dict[str, Any]


class NotTold(ConsoleError):
    """The server does not tell us what it has refused."""

    status = HTTPStatus.BAD_GATEWAY
    fix = "Have `console` added to the policy of the server, for the calls of its audit."


class Audits:
    """The audits of both servers, asked as `console`."""

    def __init__(
        self, gateway: GatewayClient, channel: grpc.aio.Channel, config: Config, sight: Sight
    ) -> None:
        self._gateway, self._config, self._sight = gateway, config, sight
        self._queue = AuditStub(channel)

    async def refusals(self, server: str, after: int = 0) -> list[Row]:
        """Return the latest refusals whose number is above `after`. Raises a `ConsoleError`."""
        if server == THE_GATEWAY:
            return await self._get("refusals", [("after", str(after))], "refusals")
        request = api.ListRefusalsRequest(after=after)
        return await self._call(self._queue.ListRefusals, request, "refusals")

    async def decisions(self, server: str, others: Sequence[str] = ()) -> list[Row]:
        """Return what the policy says of each of its peers, and of `others` (SPIFFE IDs)."""
        if server == THE_GATEWAY:
            query = [("identity", other) for other in others]
            return await self._get("policy", query, "decisions")
        request = api.ListDecisionsRequest(identities=others)
        return await self._call(self._queue.ListDecisions, request, "decisions")

    async def last_number(self, server: str) -> int:
        """Return the number of the latest refusal; 0 if there was none."""
        return max((int(row["number"]) for row in await self.refusals(server)), default=0)

    async def _get(self, path: str, query: list[tuple[str, str]], name: str) -> list[Row]:
        tried = f"GET /audit/{path}"
        async with self._gateway.request("GET", f"/audit/{path}", params=query) as response:
            content = orjson.loads(await response.read())
        if response.status != HTTPStatus.OK:
            detail = content.get("detail", "")
            raise NotTold(f"The gateway answered: {detail}", tried=f"{tried}: {response.status}")
        rows: list[Row] = content[name]
        return rows

    async def _call(self, call: Any, request: Any, name: str) -> list[Row]:
        tried, seconds = f"/audit.v1.Audit/List{name.title()}", self._config.call_seconds
        try:
            try:
                answer = await call(request, timeout=seconds)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
                if not (found := await self._sight.look_at(THE_QUEUE)).is_accepted:
                    raise Unreachable(
                        f"The queue at {self._config.queue} does not answer: {found.error}.",
                        fix=found.advice,
                        tried=f"{tried}: {error.code().name}, then a handshake ({found.cause})",
                    ) from error
                # It is back, and gRPC waits a moment before it connects again.
                answer = await call(request, timeout=seconds, wait_for_ready=True)
        except grpc.aio.AioRpcError as error:
            raise NotTold(
                f"The queue answered: {error.details()}", tried=f"{tried}: {error.code().name}"
            ) from error
        content = MessageToDict(
            answer, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        return [_alike(row) for row in content[name]]


def _alike(row: Row) -> Row:
    """Return the row as the gateway tells it: what is absent is None, a 64-bit number a number."""
    if "number" in row:
        return {"presented": None, **row, "number": int(row["number"])}
    return {"called_at": None, **row, "code": row["code"] or None}


AUDITS: Final = web.AppKey("AUDITS", Audits)


async def open_audits(app: web.Application) -> AsyncIterator[None]:
    """Hold a channel to the queue while the application runs."""
    async with _opened(app[CONFIG], app[IDENTITY], app[GATEWAY], app[SIGHT]) as audits:
        app[AUDITS] = audits
        yield


@asynccontextmanager
async def _opened(
    config: Config, identity: IdentitySource, gateway: GatewayClient, sight: Sight
) -> AsyncIterator[Audits]:
    async with mtls_channel(config.queue, identity, _OPTIONS) as channel:
        yield Audits(gateway, channel, config, sight)
