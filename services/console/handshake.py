"""The view "A handshake, as it happened": recorded on demand, saved, opened again, exported.

The doctor records and reads; nothing here touches TLS. A recorded handshake is answered as
`recording`, which is what a file holds, and `picture`, which is what it means. The page sends a
recording back to have it drawn or exported, as a stranger would: it is read anew, byte by byte.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from mtls.ssl_contexts import client_context

import orjson
from aiohttp import hdrs, web

from console.attacks import tls_context
from console.context import CONFIG, IDENTITY
from console.errors import Busy, ConsoleError, InvalidRequest, Unreachable
from console.handshake_page import page_of
from console.impostors import HONEST, KINDS, attacker
from console.intruders import TARGETS
from console.json_http import json_response, read_json
from console.sight import GATEWAY, QUEUE
from doctor.calls import Protocol
from doctor.connection import Target
from doctor.picture import picture
from doctor.recorder import record, record_in_memory
from doctor.recording import MAX_BYTES, Recording, RecordingError, from_json

IN_MEMORY: Final = "memory"
_OURSELVES: Final = HONEST
_IMPOSTORS: Final = tuple(  # TLS 1.2 is a choice of its own here
    name for name, kind in KINDS.items() if name != HONEST and kind.speaks_tls and not kind.is_old
)
_MAX_WAITING: Final = 4  # a handshake takes well under a second


@dataclass(frozen=True, slots=True)
class Session:
    """Which TLS to speak, and whether to resume a session instead of beginning one."""

    label: str
    version: str
    is_resumed: bool = False


SESSIONS: Final[Mapping[str, Session]] = {
    "tls13": Session("TLS 1.3", "1.3"),
    "tls13-resumed": Session("TLS 1.3, resumed", "1.3", is_resumed=True),
    "tls12": Session("TLS 1.2", "1.2"),
    "tls12-resumed": Session("TLS 1.2, resumed", "1.2", is_resumed=True),
}

# What is asked once the handshake is done: of HTTP the smallest request, of gRPC HTTP/2's preface.
_ASKED: Final[Mapping[str, Protocol]] = {GATEWAY: Protocol.HTTP, QUEUE: Protocol.GRPC}
_PATH: Final = "/healthz"


def add(app: web.Application) -> None:
    """Add this view's routes, and what lets one handshake be made at a time."""
    app[_TURNS] = _Turns()
    app.add_routes(
        [
            web.get("/api/handshake", _choices),
            web.post("/api/handshake", _record),
            web.post("/api/handshake/open", _open),
            web.post("/api/handshake/page", _export),
        ]
    )


class _Turns:
    """One handshake at a time, and a short queue."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._waiting = 0

    async def __aenter__(self) -> None:
        if self._waiting >= _MAX_WAITING:
            raise Busy
        self._waiting += 1
        try:
            await self._lock.acquire()
        except BaseException:
            self._waiting -= 1
            raise

    async def __aexit__(self, *_: object) -> None:
        self._waiting -= 1
        self._lock.release()


_TURNS: Final = web.AppKey("HANDSHAKE_TURNS", _Turns)


async def _choices(request: web.Request) -> web.Response:
    """GET /api/handshake: with whom, as whom, and how a handshake can be made."""
    config = request.app[CONFIG]
    servers = [
        {"id": name, "label": f"{name} :{TARGETS[name].address(config).port}"} for name in _ASKED
    ]
    return json_response(
        {
            "clients": [
                {"id": _OURSELVES, "label": f"{_OURSELVES} (genuine)"},
                *({"id": name, "label": KINDS[name].title} for name in _IMPOSTORS),
            ],
            "entries": {kind.entry: name for name, kind in KINDS.items() if kind.entry},
            "servers": [*servers, {"id": IN_MEMORY, "label": "server in memory"}],
            "sessions": [
                {"id": name, "label": session.label, "only_in_memory": session.is_resumed}
                for name, session in SESSIONS.items()
            ],
        }
    )


async def _record(request: web.Request) -> web.Response:
    """POST /api/handshake {server, client, session}: make one now."""
    wanted = await read_json(request)
    session = SESSIONS.get(_text(wanted, "session"))
    server, client = _text(wanted, "server"), _text(wanted, "client")
    if session is None or server not in {*_ASKED, IN_MEMORY}:
        raise InvalidRequest
    if client not in {_OURSELVES, *_IMPOSTORS}:
        raise InvalidRequest
    if session.is_resumed > (server == IN_MEMORY) or (server == IN_MEMORY) > (client == _OURSELVES):
        raise InvalidRequest("Only a server in memory resumes sessions, and it knows us alone.")
    async with request.app[_TURNS]:
        # A thread that is cancelled goes on; it ends by itself within its seconds.
        recording = await asyncio.to_thread(_make, request.app, client, server, session)
    return _answer(recording)


def _text(content: Mapping[str, Any], name: str) -> str:
    value = content.get(name)
    if not isinstance(value, str):
        raise InvalidRequest
    return value


def _make(app: web.Application, client: str, server: str, session: Session) -> Recording:
    """Make a handshake; it takes a thread for some milliseconds, or some seconds if it hangs."""
    identity = app[IDENTITY].current
    if server == IN_MEMORY:
        return record_in_memory(identity, session.version, is_resumed=session.is_resumed)
    address = TARGETS[server].address(app[CONFIG])
    if client == _OURSELVES:
        context = client_context(identity)
    else:
        shown = attacker(KINDS[client], app[CONFIG].impostors, identity)
        context = tls_context(identity.ca_pem, shown)
    recording = record(
        Target(address.host, address.port, address.host),
        context,
        server=server,
        protocol=_ASKED[server],
        path=_PATH,
        timeout=app[CONFIG].call_seconds,
        version=session.version,
    )
    recording = replace(recording, client=client)
    if (obstacle := recording.attempt.not_reached) is not None:
        raise Unreachable(
            f"The {server} does not answer: {obstacle}.",
            tried=f"a TCP connection to {address}",
            fix=f"See whether it runs (docker compose ps {server}), and start it: "
            f"docker compose up -d {server}",
        )
    return recording


def _answer(recording: Recording) -> web.Response:
    return json_response({"recording": recording.to_json(), "picture": picture(recording)})


class NoRecording(ConsoleError):
    """This file is no recorded handshake."""

    status = InvalidRequest.status
    fix = "Open a file that this page, or `doctor handshake --save`, has written."


async def _open(request: web.Request) -> web.Response:
    """POST /api/handshake/open: what a saved file means."""
    return _answer(await _read(request))


async def _export(request: web.Request) -> web.Response:
    """POST /api/handshake/page: a recording as one HTML page. It is saved, never shown here."""
    page = page_of(await _read(request))
    return web.Response(
        body=page.encode(),
        content_type="text/html",
        charset="utf-8",
        headers={
            hdrs.CONTENT_DISPOSITION: 'attachment; filename="handshake.html"',
            hdrs.CACHE_CONTROL: "no-store",
        },
    )


async def _read(request: web.Request) -> Recording:
    if (request.content_length or 0) > MAX_BYTES:
        raise NoRecording("This file is too large for a recorded handshake.")
    body = bytearray()
    async for chunk in request.content.iter_chunked(64 * 1024):
        body += chunk
        if len(body) > MAX_BYTES:
            raise NoRecording("This file is too large for a recorded handshake.")
    try:
        # Reading and drawing take milliseconds: parts of what is at most a megabyte of JSON.
        return from_json(orjson.loads(bytes(body)))
    except (ValueError, RecordingError) as error:
        detail = str(error) if isinstance(error, RecordingError) else "This file is not JSON."
        raise NoRecording(detail) from error
