"""Calling everything that a server offers, so that its policy decides and nothing is changed.

What is called names nothing that exists and carries nothing: a caller who is let through hears 404,
400 or the like. Only the verdict of the policy matters, which comes before.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mtls.address import Address

import aiohttp
import grpc.aio

from console.attacks import Attacker, grpc_channel, tls_context
from console.json_http import detail_of
from console.status import now

_MAX_ANSWER_BYTES: Final = 64 * 1024
_MAX_CHARACTERS: Final = 300
_NOTHING: Final = {"id": "00000000-0000-7000-8000-000000000000", "name": "none"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call was answered: an HTTP status or a gRPC status code, and the server's words.

    `failed` means that there was no answer; `at` is RFC 3339.
    """

    method: str
    code: str
    words: str
    at: str
    failed: bool = False


async def call_http(
    address: Address, ca_pem: bytes, client: Attacker, actions: Sequence[str], *, seconds: float
) -> list[Answer]:
    """Call each action (`GET /videos/{id}`) over one connection."""
    async with aiohttp.ClientSession(
        f"https://{address}",
        connector=aiohttp.TCPConnector(ssl=tls_context(ca_pem, client), limit=1),
        timeout=aiohttp.ClientTimeout(total=seconds),
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as session:
        return [await _request(session, action) for action in actions]


async def _request(session: aiohttp.ClientSession, action: str) -> Answer:
    method, _, path = action.partition(" ")
    at = now()
    try:
        async with session.request(
            method, path.format_map(_NOTHING), allow_redirects=False
        ) as response:
            content = await response.content.read(_MAX_ANSWER_BYTES)
            words = detail_of(content)[:_MAX_CHARACTERS] or response.reason or ""
            return Answer(action, str(response.status), words, at)
    except (aiohttp.ClientError, TimeoutError) as error:
        words = f"{type(error).__name__}: {error}"[:_MAX_CHARACTERS]
        return Answer(action, "", words, at, failed=True)


async def call_grpc(
    address: Address, ca_pem: bytes, client: Attacker, methods: Sequence[str], *, seconds: float
) -> list[Answer]:
    """Call each method (`/package.Service/Method`) with one empty message, over one connection."""
    async with grpc_channel(str(address), ca_pem, client) as channel:
        return [await _call(channel, method, seconds) for method in methods]


async def _call(channel: grpc.aio.Channel, method: str, seconds: float) -> Answer:
    at = now()
    # For who reads the first answer only, one answer and many are the same.
    start: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(method)
    call = start(b"", timeout=seconds)
    try:
        async with asyncio.timeout(seconds):
            await call.read()
        code, words = grpc.StatusCode.OK, ""
    except grpc.aio.AioRpcError as error:
        code, words = error.code(), error.details() or ""
    except TimeoutError:
        code, words = grpc.StatusCode.DEADLINE_EXCEEDED, ""
    finally:
        call.cancel()
    no_answer = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
    return Answer(method, code.name, words[:_MAX_CHARACTERS], at, failed=code in no_answer)
