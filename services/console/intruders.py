"""The view "Intruders": an attempt that is really made, and what both ends say of it.

    GET  /api/intruders            who one can be, and whom one can attack
    POST /api/intruders/attempt    {"who": "expired", "whom": "gateway"}: one attempt, now

There is one attempt at a time, so that what the server says can be told to belong to it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from mtls import Address, Identity, IdentitySource

from aiohttp import web

from console.attacks import GRPC_METHOD, HTTP_ACTION, Outcome, Seen, attack_grpc, attack_http
from console.audit import AUDITS, Audits, Row, open_audits
from console.config import Config
from console.context import CONFIG, IDENTITY
from console.errors import Busy, InvalidRequest
from console.impostors import KINDS, Kind, attacker
from console.json_http import json_response, read_json
from console.sight import GATEWAY, QUEUE, certificate_json
from console.status import now
from doctor.codes import alert_named

_LOG_SECONDS: Final = 10.0  # gRPC's library tells of a refusal by a pipe, a moment later
_POLL_SECONDS: Final = 0.03
_WAIT_SECONDS: Final = 10.0  # for what another window does to end

# Where in the handshake, by the steps of docs/what-mutual-tls-is.md, a reason is found.
_STEPS: Final[Mapping[str, int]] = {
    "plaintext": 1,
    "protocol_version": 2,
    "no_certificate": 4,
}
_VERIFIED, _ASKED = 5, 7


@dataclass(frozen=True, slots=True)
class Target:
    """A server that can be attacked: what is asked of it, and how its log names the endpoint."""

    name: str
    action: str
    endpoint: str

    def address(self, config: Config) -> Address:
        """Return where it listens."""
        return config.gateway if self.name == GATEWAY else config.queue


TARGETS: Final[Mapping[str, Target]] = {
    GATEWAY: Target(GATEWAY, HTTP_ACTION, "http"),
    QUEUE: Target(QUEUE, GRPC_METHOD, "grpc"),
}


@asynccontextmanager
async def turn(one_at_a_time: asyncio.Lock, who: str) -> AsyncIterator[None]:
    """Wait until nobody else is at it. Raises `Busy`, which says that `who` is."""
    try:
        async with asyncio.timeout(_WAIT_SECONDS):
            await one_at_a_time.acquire()
    except TimeoutError:
        raise Busy(f"{who} are under way.") from None
    try:
        yield
    finally:
        one_at_a_time.release()


class Intruders:
    """Makes attempts, one after the other."""

    def __init__(self, config: Config, identity: IdentitySource, audits: Audits) -> None:
        self._config, self._identity, self._audits = config, identity, audits
        self._one_at_a_time = asyncio.Lock()

    async def attempt(self, who: str, target: Target) -> Row:
        """Let a client of this kind try, and return what both ends say. Raises a `ConsoleError`."""
        async with turn(self._one_at_a_time, "Attempts of another window"):
            return await self._attempt(who, KINDS[who], target)

    async def _attempt(self, who: str, kind: Kind, target: Target) -> Row:
        own = self._identity.current
        shown = attacker(kind, self._config.impostors, own)
        leaf = shown.leaf
        before = await self._audits.last_number(target.name)
        at, begin = now(), time.monotonic()
        seen = await self._try(target, shown, own)
        took = time.monotonic() - begin
        logged, matched = await self._logged(target, before, seen, shown.serial)
        return {
            "who": who,
            "whom": target.name,
            "address": str(target.address(self._config)),
            "asked": target.action,
            "at": at,
            "milliseconds": round(took * 1000, 1),
            "outcome": _outcome(seen, logged),
            "step": _step(seen, logged),
            "saw": {
                "words": seen.words,
                "alert": _alert(seen.alert),
                "status": seen.status,
                "from": seen.own_address,
            },
            "logged": logged,
            "matched": matched,
            "showed": certificate_json(leaf) if leaf else None,
        }

    async def _try(self, target: Target, shown: Any, own: Identity) -> Seen:
        attack = attack_http if target.name == GATEWAY else attack_grpc
        address, seconds = target.address(self._config), self._config.call_seconds
        return await attack(address, own.ca_pem, shown, seconds=seconds)

    async def _logged(
        self, target: Target, before: int, seen: Seen, serial: str
    ) -> tuple[Row | None, str]:
        """Return what the server says of this attempt, and how it was told from others."""
        until = time.monotonic() + _LOG_SECONDS
        while seen.outcome in {Outcome.REFUSED, Outcome.DENIED}:
            rows = await self._audits.refusals(target.name, before)
            found, matched = _of_this_attempt(rows, target, seen, serial)
            if found or time.monotonic() > until:
                return found, matched
            await asyncio.sleep(_POLL_SECONDS)
        return None, ""


def _of_this_attempt(
    rows: list[Row], target: Target, seen: Seen, serial: str
) -> tuple[Row | None, str]:
    rows = [row for row in rows if row["endpoint"] == target.endpoint]
    if seen.outcome is Outcome.DENIED:
        mine = [row for row in rows if row["serial"] == serial and row["method"] == target.action]
        return (mine[0], "the certificate's serial number") if mine else (None, "")
    rows = [row for row in rows if row["event"] == "handshake.refused"]
    if mine := [row for row in rows if row["peer"] and row["peer"] == seen.own_address]:
        return mine[0], "the address it came from"
    if mine := [row for row in rows if serial and (row["presented"] or {}).get("serial") == serial]:
        return mine[0], "the certificate that it showed"
    if mine := [row for row in rows if not row["peer"]]:
        others = f"; {len(mine)} such refusals came meanwhile" if len(mine) > 1 else ""
        return mine[0], f"the time alone, since gRPC tells no more{others}"
    return None, ""


def _outcome(seen: Seen, logged: Row | None) -> str:
    """Say how it ended; a connection that was lost is no refusal unless the server says so."""
    if seen.outcome is Outcome.REFUSED and logged is None:
        return "unexplained"
    return str(seen.outcome)


def _step(seen: Seen, logged: Row | None) -> int | None:
    if seen.outcome is Outcome.REFUSED:
        return _STEPS.get(logged["reason"], _VERIFIED) if logged else None
    return _ASKED if seen.outcome is Outcome.DENIED else None


def _alert(number: int | None) -> Row | None:
    if number is None:
        return None
    alert = alert_named(number)
    return {"number": number, "name": alert.name, "means": alert.meaning}


INTRUDERS: Final = web.AppKey("INTRUDERS", Intruders)


def add(app: web.Application) -> None:
    """Add the routes, the channel to the queue's audit, and the one who tries."""
    app.cleanup_ctx.append(open_audits)
    app.on_startup.append(_start)
    app.add_routes(
        [
            web.get("/api/intruders", list_kinds),
            web.post("/api/intruders/attempt", make_attempt),
        ]
    )


async def _start(app: web.Application) -> None:
    app[INTRUDERS] = Intruders(app[CONFIG], app[IDENTITY], app[AUDITS])


async def list_kinds(request: web.Request) -> web.Response:
    """Answer who one can be, and whom one can attack."""
    config = request.app[CONFIG]
    return json_response(
        {
            "kinds": [{"id": name, **kind.as_json()} for name, kind in KINDS.items()],
            "targets": [
                {"id": name, "address": str(each.address(config)), "asks": each.action}
                for name, each in TARGETS.items()
            ],
            "impostors": config.impostors is not None,
        }
    )


async def make_attempt(request: web.Request) -> web.Response:
    """Make one attempt, and answer what came of it."""
    asked = await read_json(request)
    who, target = str(asked.get("who")), TARGETS.get(str(asked.get("whom")))
    if who not in KINDS or target is None:
        raise InvalidRequest("This page knows another intruder, or another server.")
    return json_response(await request.app[INTRUDERS].attempt(who, target))
