"""Who calls, and on behalf of whom."""

from typing import Any, Final

from mtls import SpiffeId, peer_of
from mtls.spiffe import SpiffeIdError

import grpc.aio

from video_queue.domain.errors import InvalidRequest, MayNotActForOthers
from video_queue.policy import MAY_ACT_FOR_OTHERS

ON_BEHALF_OF: Final = "on-behalf-of"

_Context = grpc.aio.ServicerContext[Any, Any]


def caller(context: _Context) -> str:
    """Return the SPIFFE ID in the caller's certificate."""
    return str(peer_of(context).spiffe_id)


def person_behind(context: _Context) -> str:
    """Return the SPIFFE ID of the person or program on whose behalf the caller calls.

    Only the gateway has seen that one's certificate, so policy.py names the gateway alone.
    Raises `MayNotActForOthers`, or `InvalidRequest` unless the metadata name exactly one.
    """
    if peer_of(context).name not in MAY_ACT_FOR_OTHERS:
        raise MayNotActForOthers
    named = _named_in(context)
    if len(named) != 1:
        raise InvalidRequest(f"Name the person behind this call: send {ON_BEHALF_OF} once.")
    try:
        return str(SpiffeId.parse(str(named[0])))
    except SpiffeIdError as error:
        raise InvalidRequest(f"{ON_BEHALF_OF} is not a SPIFFE ID. {error}") from None


def identity_behind(context: _Context) -> str:
    """Return whose share of the limits this call counts in: the person's, else the caller's.

    Raises as `person_behind` does when the metadata name anybody.
    """
    return person_behind(context) if _named_in(context) else caller(context)


def _named_in(context: _Context) -> list[str | bytes]:
    return [value for key, value in context.invocation_metadata() or () if key == ON_BEHALF_OF]
