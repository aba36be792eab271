"""Steady traffic through both hops, which counts what succeeds and keeps what fails."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from mtls import Role, watch_identity
from mtls.identity import IdentityError, load_identity
from mtls.identity_source import IdentitySource

import aiohttp

from local_stack import Service, Stack

_SECONDS: Final = 60  # for one request
_BYTES: Final = 300_000
_PAUSE_SECONDS: Final = 0.01


@dataclass
class Load:
    """What has become of the requests so far, and the identity that they are made with."""

    source: IdentitySource
    done: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def more(self, count: int = 1) -> None:
        """Return when so many more requests of each kind have been done, or one has failed.

        They are made with what is in the client's folder now.
        """
        async with asyncio.timeout(_SECONDS):
            while not self._has_taken_over():  # noqa: ASYNC110  `news` is of requests
                await asyncio.sleep(0.05)
        goal = self.done.copy()
        for kind in _KINDS:
            while not self.failed and self.done[kind] < goal[kind] + count:
                self.news.clear()
                await self.news.wait()

    def _has_taken_over(self) -> bool:
        current = self.source.current
        try:
            return load_identity(current.folder, roles=frozenset({Role.CLIENT})) == current
        except IdentityError:  # it is being written
            return False


@asynccontextmanager
async def steady_load(stack: Stack, gateway: Service, *, lists: bool = True) -> AsyncIterator[Load]:
    """Upload, watch, download, delete and list without a pause while the body runs.

    The client takes over new certificates as the services do. It repeats nothing. `lists` says
    that its folder has revocation lists.
    """
    async with AsyncExitStack() as opened:
        source = await opened.enter_async_context(
            watch_identity(
                stack.certs / "client/uploader", Role.CLIENT, require_revocation_lists=lists
            )
        )
        load = Load(source)
        session = await opened.enter_async_context(
            aiohttp.ClientSession(
                f"https://{gateway.address}",
                timeout=aiohttp.ClientTimeout(total=_SECONDS),
                raise_for_status=True,
            )
        )

        def call(method: str, path: str, **more: Any) -> Any:
            return session.request(method, path, ssl=source.client_context, **more)

        tasks = [asyncio.create_task(_repeat(load, kind, call)) for kind in _KINDS]
        try:
            yield load
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


Call = Callable[..., Any]


async def _repeat(load: Load, kind: str, call: Call) -> None:
    while not load.failed:
        try:
            await _KINDS[kind](call)
        except Exception as error:  # noqa: BLE001  whatever it is, the test fails by it
            load.failed.append(f"{kind}: {error!r}")
        load.done[kind] += 1
        load.news.set()
        await asyncio.sleep(_PAUSE_SECONDS)


async def _video(call: Call) -> None:
    """Upload a video, watch until its transcoding has ended, read it back and delete it."""
    form = aiohttp.FormData({"title": "steady"})
    content = os.urandom(_BYTES)  # no video, so the worker is soon done with it
    form.add_field("file", content, filename="a.mp4", content_type="video/mp4")
    async with call("POST", "/videos", data=form) as response:
        video = (await response.json())["id"]
    event = b""
    async with call("GET", f"/videos/{video}/events") as response:
        async for line in response.content:
            event = line if line.startswith(b"data: ") else event
    assert b'"status":"failed"' in event, event
    async with call("GET", f"/videos/{video}/source") as response:
        assert await response.read() == content
    async with call("DELETE", f"/videos/{video}"):
        pass


async def _list(call: Call) -> None:
    async with call("GET", "/videos") as response:
        await response.json()


_KINDS: Final[dict[str, Callable[[Call], Awaitable[object]]]] = {"video": _video, "list": _list}
