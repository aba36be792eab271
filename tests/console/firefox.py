"""Debian's Firefox, driven by the protocol that it speaks itself: WebDriver BiDi, a W3C draft."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

import aiohttp

_LISTENING: Final = re.compile(rb"WebDriver BiDi listening on (ws://\S+)")
_SECONDS: Final = 60
# Nothing but the page under test is fetched.
_PREFERENCES: Final = """
user_pref("app.normandy.enabled", false);
user_pref("app.update.disabledForTesting", true);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("media.autoplay.default", 0);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("services.settings.server", "data:,");
user_pref("toolkit.telemetry.enabled", false);
"""


@dataclass
class Firefox:
    """A window, and what its console and its scripts complained of."""

    socket: aiohttp.ClientWebSocketResponse
    context: str = ""
    errors: list[str] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    async def do(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command; return its result."""
        number = next(self._numbers)
        await self.socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(_SECONDS):
            while True:
                message = await self.socket.receive_json()
                if message.get("method") == "log.entryAdded":
                    entry = message["params"]
                    if entry["level"] == "error":
                        self.errors.append(str(entry["text"]))
                if message.get("id") == number:
                    assert message["type"] == "success", message
                    result: dict[str, Any] = message["result"]
                    return result

    async def go(self, url: str) -> None:
        """Open an address, and wait until it has loaded."""
        await self.do("browsingContext.navigate", context=self.context, url=url, wait="complete")

    async def evaluate(self, expression: str) -> Any:
        """Return what an expression of JavaScript is worth; a promise is waited for."""
        answer = await self.do(
            "script.evaluate",
            expression=expression,
            target={"context": self.context},
            awaitPromise=True,
            userActivation=True,
        )
        assert answer["type"] == "success", answer
        return answer["result"].get("value")

    async def wait_for(self, expression: str) -> None:
        """Wait until an expression is true."""
        async with asyncio.timeout(_SECONDS):
            while not await self.evaluate(f"Boolean({expression})"):  # noqa: ASYNC110  no event
                await asyncio.sleep(0.1)


@asynccontextmanager
async def running_firefox(folder: Path) -> AsyncIterator[Firefox]:
    """Start it with a profile of its own in `folder`."""
    (folder / "user.js").write_text(_PREFERENCES)
    process = await asyncio.create_subprocess_exec(
        *("firefox-esr", "--headless", "--no-remote", "--profile", str(folder)),
        "--remote-debugging-port=0",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin", "MOZ_DISABLE_CONTENT_SANDBOX": "1"},
    )
    draining: asyncio.Task[bytes] | None = None
    try:
        assert process.stderr
        async with asyncio.timeout(_SECONDS):
            while not (found := _LISTENING.search(line := await process.stderr.readline())):
                assert line, "Firefox has ended"
        draining = asyncio.create_task(process.stderr.read())
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{found[1].decode()}/session", max_msg_size=0) as socket,
        ):
            firefox = Firefox(socket)
            await firefox.do("session.new", capabilities={})
            await firefox.do("session.subscribe", events=["log.entryAdded"])
            tree = await firefox.do("browsingContext.getTree")
            firefox.context = tree["contexts"][0]["context"]
            yield firefox
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        if draining:
            await draining
