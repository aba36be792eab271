"""Who calls, and for whom."""

from typing import Any, Final

from mtls.peer import peer_of_call
from mtls.spiffe import SpiffeId, SpiffeIdError

import grpc.aio

from video_queue.errors import InvalidRequest, NotTheGateway

ON_BEHALF_OF: Final = "on-behalf-of"

_Context = grpc.aio.ServicerContext[Any, Any]


def caller(context: _Context) -> str:
    """Return the SPIFFE ID in the caller's certificate."""
    return str(peer_of_call(context).spiffe_id)


def person_behind(context: _Context) -> str:
    """Return the SPIFFE ID of the person or program for whom the gateway calls.

    Only the gateway has seen that one's certificate, so only the gateway is believed.
    Raises `NotTheGateway`, or `InvalidRequest` when it does not name exactly one.
    """
    if peer_of_call(context).name != "gateway":
        raise NotTheGateway
    named = [value for key, value in context.invocation_metadata() or () if key == ON_BEHALF_OF]
    if len(named) != 1:
        raise InvalidRequest(f"Say for whom you call: send {ON_BEHALF_OF} once, as metadata.")
    try:
        return str(SpiffeId.parse(str(named[0])))
    except SpiffeIdError as error:
        raise InvalidRequest(f"{ON_BEHALF_OF} is not a SPIFFE ID. {error}") from error
