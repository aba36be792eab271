"""Recording a handshake, over the network or with both ends here."""

import datetime as dt
import ssl
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from mtls.identity import Identity

from doctor.both_ends import NAME, record_both_ends
from doctor.calls import Protocol, question_for
from doctor.connection import Attempt, Target, converse
from doctor.files import readable_certificate
from doctor.messages import DecodeError, Kind, certificates_in, of_kind
from doctor.names import names_of
from doctor.recording import Recording
from doctor.watch import Direction, Message

VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_PATIENCE_SECONDS: Final = 0.3  # an alert that comes later is read, if the server half-closes
_NOBODY: Final = "nobody"


def record(
    target: Target,
    context: ssl.SSLContext,
    *,
    server: str,
    protocol: Protocol,
    path: str,
    timeout: float,
    version: str = "",
) -> Recording:
    """Shake hands over the network, with secrets. `context` is for this one connection.

    `server` is how the server is called, `version` limits TLS to a key of VERSIONS. Whether the
    server was reached, `Recording.attempt.not_reached` says.
    """
    if version:
        context.minimum_version = VERSIONS["1.2"]  # first: the lower may not be above the higher
        context.maximum_version = context.minimum_version = VERSIONS[version]
    question = replace(question_for(protocol, target, path), patience=_PATIENCE_SECONDS)
    attempt = converse(target, context, question, timeout, with_secrets=True)
    return recording_of(attempt, server=server)


def record_in_memory(identity: Identity, version: str, *, is_resumed: bool) -> Recording:
    """Shake hands with a server of our own, in this process. `version` is a key of VERSIONS."""
    attempt = record_both_ends(identity, VERSIONS[version], is_resumed=is_resumed)
    recording = recording_of(attempt, server=NAME)
    return replace(recording, client=identity.spiffe_id.path.lstrip("/"), is_in_memory=True)


def recording_of(attempt: Attempt, *, server: str = "") -> Recording:
    """Return the recording of an attempt made just now; without `server` it has what it showed."""
    return Recording(
        client=_shown(attempt.messages, Direction.SENT) or _NOBODY,
        server=server or _shown(attempt.messages, Direction.RECEIVED) or str(attempt.target),
        recorded_at=dt.datetime.now(dt.UTC),
        attempt=attempt,
    )


def _shown(messages: Iterable[Message], direction: Direction) -> str:
    """Return the name in the leaf that was shown: a SPIFFE ID's path, or another name."""
    for message in of_kind(messages, direction, Kind.CERTIFICATE, Kind.COMPRESSED_CERTIFICATE):
        try:
            names = names_of(readable_certificate(certificates_in(message)[0]))
        except (DecodeError, ValueError, IndexError):
            continue
        for uri in names.uris:
            return uri.removeprefix("spiffe://").partition("/")[2] or uri
        return next(iter([*names.dns, *map(str, names.addresses), *names.common]), "")
    return ""
