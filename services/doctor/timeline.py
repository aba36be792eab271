"""The handshake as it happened, next to the seven steps of the textbook picture."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, TextIO

from doctor.calls import refusal_of
from doctor.codes import TLS_1_3, VERSIONS, named
from doctor.connection import Attempt
from doctor.decode import Decoded, decode, is_retry
from doctor.messages import Kind, certificate_request, has_presented, kind_of
from doctor.report import printable
from doctor.watch import ContentType, Direction, Message


class Step(IntEnum):
    """A textbook's picture of mutual TLS. Two of its steps send nothing over the network."""

    CLIENT_HELLO = 1
    SERVER_PRESENTS = 2
    CLIENT_VERIFIES = 3
    CLIENT_PRESENTS = 4
    SERVER_VERIFIES = 5
    ACCESS = 6
    DATA = 7


TITLES: Final = {
    Step.CLIENT_HELLO: "Client hello",
    Step.SERVER_PRESENTS: "Server presents its certificate",
    Step.CLIENT_VERIFIES: "Client verifies the server's certificate",
    Step.CLIENT_PRESENTS: "Client presents its certificate",
    Step.SERVER_VERIFIES: "Server verifies the client's certificate",
    Step.ACCESS: "Access granted, or refused",
    Step.DATA: "Data",
}


@dataclass(frozen=True, slots=True)
class Event:
    """A message within its step."""

    step: Step
    message: Message
    decoded: Decoded


def events_of(attempt: Attempt) -> Iterator[Event]:
    """Yield every message with the step that it belongs to."""
    step = Step.CLIENT_HELLO
    for message in attempt.messages:
        step = max(step, _step_of(message, step))
        yield Event(step, message, decode(message))


def _step_of(message: Message, now: Step) -> Step:
    """Return the step of a message. Steps only go forward, so a repeated message keeps its step."""
    if message.content_type is ContentType.DATA:
        return Step.DATA
    if message.content_type is ContentType.ALERT:
        return _step_of_alert(message, now)
    if kind_of(message) == Kind.CLIENT_HELLO or is_retry(message):
        return Step.CLIENT_HELLO
    if kind_of(message) == Kind.NEW_SESSION_TICKET:
        return Step.ACCESS
    if message.direction is Direction.SENT:
        return now if now is Step.CLIENT_HELLO else Step.CLIENT_PRESENTS
    # TLS 1.2: only after it has verified us does the server send its ChangeCipherSpec and Finished.
    return Step.ACCESS if now >= Step.CLIENT_PRESENTS else Step.SERVER_PRESENTS


def _step_of_alert(message: Message, now: Step) -> Step:
    if message.direction is Direction.SENT:
        return Step.CLIENT_VERIFIES if now <= Step.SERVER_PRESENTS else now
    return Step.ACCESS if now >= Step.CLIENT_PRESENTS else now


def is_complete(attempt: Attempt) -> bool:
    """Whether the handshake was finished, and the server did not refuse us after it."""
    return attempt.is_finished and refusal_of(attempt) is None


def outcome_of(attempt: Attempt, step: Step) -> str:
    """Return the outcome of a step for which there is no message; empty if there is none."""
    return _OUTCOMES[step](attempt) if step in _OUTCOMES else ""


_RESUMED: Final = "left out: the session is resumed, and this was done when it began"


def _server_presents(attempt: Attempt) -> str:
    return _RESUMED if attempt.is_resumed else ""


def _client_verifies(attempt: Attempt) -> str:
    if attempt.is_resumed:
        return _RESUMED
    if attempt.verdict:
        return f"refused: {attempt.verdict}"
    if attempt.has_verified:
        return f'valid: chain, dates, purpose, and the name "{attempt.target.server_hostname}"'
    return "not reached"


def _client_presents(attempt: Attempt) -> str:
    if attempt.is_resumed:
        return _RESUMED
    if not attempt.has_verified:
        return "not reached"
    if certificate_request(attempt.messages) is None:
        return "left out: the server did not ask. This is TLS, not mutual TLS"
    return "" if has_presented(attempt.messages) else "asked, and we have none to send"


def _server_verifies(attempt: Attempt) -> str:
    if attempt.is_resumed:
        return _RESUMED
    if not attempt.has_verified:
        return "not reached"
    if certificate_request(attempt.messages) is None:
        return "left out: the server did not ask"
    if attempt.hello_version == TLS_1_3:
        return "unseen: our own handshake is over before it, so the answer comes with what follows"
    return "unseen: in TLS 1.2 its Finished, or an alert, is the answer"


def _access(attempt: Attempt) -> str:
    if not attempt.has_verified:
        return "not reached"
    if refusal := refusal_of(attempt):
        return f"refused. {refusal.cause}"
    if attempt.answer:
        return "granted: the server answers"
    if attempt.has_ticket or attempt.hello_version != TLS_1_3:
        return "granted, as far as TLS goes"
    return "not refused; the server says nothing before it is asked something (--http, --grpc)"


_OUTCOMES: Final = {
    Step.SERVER_PRESENTS: _server_presents,
    Step.CLIENT_VERIFIES: _client_verifies,
    Step.CLIENT_PRESENTS: _client_presents,
    Step.SERVER_VERIFIES: _server_verifies,
    Step.ACCESS: _access,
}


def print_timeline(attempt: Attempt, out: TextIO) -> None:
    """Print the seven steps, each with its messages and their fields."""
    events = list(events_of(attempt))
    for step in Step:
        print(f"{step.value}. {TITLES[step]}", file=out)
        for event in events:
            if event.step is step:
                print(_line(event), file=out)
                for name, text in event.decoded.fields:
                    print(printable(f"{'':26}{name}: {text}"), file=out)
        if outcome := outcome_of(attempt, step):
            print(printable(f"   {outcome}"), file=out)
    version = named(attempt.hello_version, VERSIONS) if attempt.hello_version else "no TLS"
    print(f"\n{version} {attempt.cipher}; the connection was left {attempt.ending}.", file=out)


def _line(event: Event) -> str:
    arrow = "-->" if event.message.direction is Direction.SENT else "<--"
    milliseconds = event.message.seconds * 1000
    size = f"{len(event.message.body)} bytes"
    return f"   {milliseconds:8.1f} ms  {arrow}  {event.decoded.name:22} {size:>12}"


def as_dict(attempt: Attempt) -> dict[str, Any]:
    """Return the handshake as JSON's types."""
    return {
        "target": str(attempt.target),
        "version": VERSIONS.get(attempt.hello_version),
        "cipher": attempt.cipher,
        "alpn": attempt.alpn,
        "ending": attempt.ending.value,
        "messages": [
            {
                "step": event.step.value,
                "direction": event.message.direction.value,
                "name": event.decoded.name,
                "bytes": len(event.message.body),
                "milliseconds": round(event.message.seconds * 1000, 3),
                "fields": [list(each) for each in event.decoded.fields],
            }
            for event in events_of(attempt)
        ],
        "steps": [
            {"step": step.value, "title": TITLES[step], "outcome": outcome_of(attempt, step)}
            for step in Step
        ],
    }
