"""What the gateway tells of itself, to those whom its policy names: refusals, and the policy."""

import datetime as dt
from dataclasses import asdict
from typing import Any, Final

from mtls import IdentitySource, MtlsError
from mtls.reporting import audit_of
from mtls.reporting.audit import Decision, RecentRefusal, parse_others

import orjson
from aiohttp import web

from gateway.errors import InvalidRequest

_MAX_DIGITS: Final = 15


def add_audit(app: web.Application, identity: IdentitySource) -> None:
    """Add both routes; policy.py says who may ask."""

    async def list_refusals(request: web.Request) -> web.Response:
        after = _number(request.query.get("after", "0"))
        return _json("refusals", [_refusal(each) for each in audit_of(identity).refusals(after)])

    async def list_decisions(request: web.Request) -> web.Response:
        try:
            others = parse_others(request.query.getall("identity", []))
        except MtlsError as error:
            raise InvalidRequest(str(error)) from error
        decisions = audit_of(identity).decisions(others)
        return _json("decisions", [_decision(each) for each in decisions])

    app.router.add_get("/audit/refusals", list_refusals)
    app.router.add_get("/audit/policy", list_decisions)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise InvalidRequest("`after` is the number of a refusal, as it stands in the answer.")
    return int(text)


def _refusal(refusal: RecentRefusal) -> dict[str, Any]:
    fields = asdict(refusal)
    del fields["leaf"]
    presented = refusal.presented
    return {
        **fields,
        "time": _time(refusal.time),
        "presented": asdict(presented) if presented else None,
    }


def _decision(decision: Decision) -> dict[str, Any]:
    called_at = decision.called_at
    return {**asdict(decision), "called_at": None if called_at is None else _time(called_at)}


def _time(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat()


def _json(name: str, rows: list[dict[str, Any]]) -> web.Response:
    body = orjson.dumps({name: rows})
    return web.Response(
        body=body, content_type="application/json", headers={"Cache-Control": "no-store"}
    )
