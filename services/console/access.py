"""The view "Who may do what": every identity against every route and RPC, and how that is known.

    POST /api/access    {"whom": "gateway"}: ask and call that server, now

The console has the keys of two identities: its own, and one that is valid and that no policy
names. As these it really calls everything. The others' keys are their own affair, so for them there
is what the server says: when it last saw such a call from the holder of the key, and how its policy
decides. Both kinds are compared where both are known.
"""

import asyncio
import time
from contextlib import suppress
from typing import Any, Final

from mtls import IdentitySource

from aiohttp import web

from console.audit import AUDITS, Audits, Row
from console.calls import Answer, call_grpc, call_http
from console.config import Config
from console.context import CONFIG, IDENTITY
from console.errors import ConsoleError, InvalidRequest
from console.impostors import HONEST as OURSELVES
from console.impostors import KINDS, NOT_ALLOWED, NoImpostors, attacker
from console.intruders import TARGETS, Target, turn
from console.json_http import json_response, read_json
from console.sight import GATEWAY
from console.status import now

_MOST_OTHERS: Final = 30  # about whom a server is asked besides its own peers
_DENIED: Final = frozenset({"403", "PERMISSION_DENIED", "UNAUTHENTICATED"})


class Access:
    """Calls everything that a server offers, one server after the other."""

    def __init__(self, config: Config, identity: IdentitySource, audits: Audits) -> None:
        self._config, self._identity, self._audits = config, identity, audits
        self._one_at_a_time = asyncio.Lock()

    async def look(self, target: Target) -> Row:
        """Return a row for each identity. Raises a `ConsoleError`."""
        async with turn(self._one_at_a_time, "Calls of another window"):
            return await self._look(target)

    async def _look(self, target: Target) -> Row:
        begin = time.monotonic()
        own = self._identity.current
        nobody = f"spiffe://{own.spiffe_id.trust_domain}/impostors/{NOT_ALLOWED}"
        others = dict.fromkeys([*await self._named_elsewhere(target), nobody])
        decisions = [
            decision
            for decision in await self._audits.decisions(target.name, list(others))
            if decision["endpoint"] == target.endpoint
        ]
        methods = list(dict.fromkeys(decision["method"] for decision in decisions))
        identities = list(dict.fromkeys(decision["identity"] for decision in decisions))
        called = {str(own.spiffe_id): await self._call(target, OURSELVES, methods)}
        with suppress(NoImpostors):
            called[nobody] = await self._call(target, NOT_ALLOWED, methods)
        if nobody not in called:
            identities.remove(nobody)
        cells = {
            (decision["identity"], decision["method"]): _cell(
                decision, called.get(decision["identity"], {}).get(decision["method"])
            )
            for decision in decisions
        }
        return {
            "whom": target.name,
            "address": str(target.address(self._config)),
            "at": now(),
            "milliseconds": round((time.monotonic() - begin) * 1000, 1),
            "methods": methods,
            "rows": [
                {
                    "identity": identity,
                    "called": identity in called,
                    "cells": [cells[identity, method] for method in methods],
                }
                for identity in identities
            ],
        }

    async def _named_elsewhere(self, target: Target) -> list[str]:
        """Return whom the other servers' policies name; a server that is away names nobody."""
        names: list[str] = []
        for other in TARGETS.values():
            if other is not target:
                with suppress(ConsoleError):
                    decisions = await self._audits.decisions(other.name)
                    names += [decision["identity"] for decision in decisions]
        return list(dict.fromkeys(names))[:_MOST_OTHERS]

    async def _call(self, target: Target, who: str, methods: list[str]) -> dict[str, Row]:
        """Call each method as this client; return what was answered, and what was logged."""
        own = self._identity.current
        client = attacker(KINDS[who], self._config.impostors, own)
        before = await self._audits.last_number(target.name)
        call = call_http if target.name == GATEWAY else call_grpc
        address, seconds = target.address(self._config), self._config.call_seconds
        answers = await call(address, own.ca_pem, client, methods, seconds=seconds)
        refusals = await self._audits.refusals(target.name, before)
        logged = {(row["serial"], row["method"]): row for row in refusals}
        return {
            answer.method: _called(answer, logged.get((client.serial, answer.method)))
            for answer in answers
        }


def _called(answer: Answer, logged: Row | None) -> Row:
    return {
        "code": answer.code,
        "words": answer.words,
        "at": answer.at,
        "allowed": None if answer.failed else answer.code not in _DENIED,
        "reason": logged["reason"] if logged else "",
        "rule": logged["error"] if logged else "",
    }


def _cell(decision: Row, called: Row | None) -> Row:
    """Return one cell: what is known, how, and whether the server does what it says."""
    told = not decision["rule"]
    cell: Row = {"method": decision["method"], "told": told, "rule": decision["rule"]}
    if called and called["allowed"] is not None:
        return {
            **cell,
            "how": "called",
            "allowed": called["allowed"],
            "agrees": called["allowed"] == told,
            "call": called,
        }
    if decision["called_at"]:
        allowed = decision["code"] not in _DENIED
        return {
            **cell,
            "how": "seen",
            "allowed": allowed,
            "agrees": allowed == told,
            "call": {"code": decision["code"], "at": decision["called_at"], "words": ""},
        }
    return {**cell, "how": "told", "allowed": told, "agrees": True, "call": called}


ACCESS: Final = web.AppKey("ACCESS", Access)


def add(app: web.Application) -> None:
    """Add the route, and the one who calls."""
    app.on_startup.append(_start)
    app.add_routes([web.post("/api/access", look)])


async def _start(app: web.Application) -> None:
    app[ACCESS] = Access(app[CONFIG], app[IDENTITY], app[AUDITS])


async def look(request: web.Request) -> web.Response:
    """Answer what one server lets whom do."""
    asked: dict[str, Any] = await read_json(request)
    if (target := TARGETS.get(str(asked.get("whom")))) is None:
        raise InvalidRequest("This page knows another server.")
    return json_response(await request.app[ACCESS].look(target))
