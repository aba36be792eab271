"""What the queue tells of itself, to those whom its policy names: refusals, and the policy."""

from dataclasses import asdict
from typing import Any

from mtls import IdentitySource, MtlsError
from mtls.reporting import audit_of
from mtls.reporting.audit import Decision, RecentRefusal, parse_others

import grpc
import grpc.aio
from google.protobuf.timestamp_pb2 import Timestamp

from audit_api.v1 import audit_pb2 as api
from audit_api.v1.audit_pb2_grpc import AuditServicer, add_AuditServicer_to_server

_Context = grpc.aio.ServicerContext[Any, Any]


def add_audit(server: grpc.aio.Server, identity: IdentitySource) -> None:
    """Add the service of audit.proto; policy.py says who may call it."""
    add_AuditServicer_to_server(_Audit(identity), server)


class _Audit(AuditServicer):
    def __init__(self, identity: IdentitySource) -> None:
        self._identity = identity

    async def ListRefusals(  # noqa: N802  named by the contract
        self, request: api.ListRefusalsRequest, _context: _Context
    ) -> api.ListRefusalsResponse:
        refusals = audit_of(self._identity).refusals(request.after)
        return api.ListRefusalsResponse(refusals=map(_refusal, refusals))

    async def ListDecisions(  # noqa: N802  named by the contract
        self, request: api.ListDecisionsRequest, context: _Context
    ) -> api.ListDecisionsResponse:
        try:
            others = parse_others(request.identities)
        except MtlsError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        decisions = audit_of(self._identity).decisions(others)
        return api.ListDecisionsResponse(decisions=map(_decision, decisions))


def _refusal(refusal: RecentRefusal) -> api.Refusal:
    presented = refusal.presented
    return api.Refusal(
        number=refusal.number,
        time=_time(refusal.time),
        event=refusal.event,
        endpoint=refusal.endpoint,
        reason=refusal.reason,
        error=refusal.error,
        peer=refusal.peer,
        identity=refusal.identity,
        method=refusal.method,
        serial=refusal.serial,
        presented=api.Certificate(**asdict(presented)) if presented else None,
    )


def _decision(decision: Decision) -> api.Decision:
    return api.Decision(
        endpoint=decision.endpoint,
        identity=decision.identity,
        method=decision.method,
        rule=decision.rule,
        called_at=None if decision.called_at is None else _time(decision.called_at),
        code=decision.code or "",
    )


def _time(seconds: float) -> Timestamp:
    time = Timestamp()
    time.FromNanoseconds(int(seconds * 1e9))
    return time
