"""How a server turned us away, and how much of the reason it let us know."""

import re
from dataclasses import dataclass
from typing import Final

from doctor.alert_words import alert_named
from doctor.attempt import Attempt, Ending
from doctor.calls import parse_response
from doctor.messages import alerts, has_presented
from doctor.watch import Direction

# nginx finishes every handshake and then answers: 400 "The SSL certificate error" or "No required
# SSL certificate was sent". It has codes of its own for it, 495 and 496, which others use openly.
_IN_HTTP: Final = (400, 495, 496)
_WORDS_IN_HTTP: Final = re.compile(rb"(SSL|TLS|client) certificate", re.IGNORECASE)
_SEE_THE_LOG: Final = "See the server's log."


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the server turned us away, as far as it can be known, and what mends it."""

    cause: str
    mend: str


def refusal_of(attempt: Attempt) -> Refusal | None:
    """Return how the server turned us away; None if it did not."""
    if said := [code for code in alerts(attempt.messages, Direction.RECEIVED) if code]:
        alert = alert_named(said[0])
        return Refusal(
            f"The server refused with the alert {alert.name}: {alert.meaning}.",
            alert.mend or _SEE_THE_LOG,
        )
    if _is_cut_off(attempt):
        shown = "with our certificate" if has_presented(attempt.messages) else "without certificate"
        other = "" if attempt.alpn else ", or that it does not speak our protocol (--grpc, --http)"
        return Refusal(
            f"The server closed the connection without a word, at the end of a handshake {shown}. "
            "gRPC servers refuse so: they send no alert, and the reason cannot be known from here: "
            f"that there is no certificate, its CA, its dates, its purpose, its names{other}.",
            f"{_SEE_THE_LOG} In C++ and Python, gRPC logs it only with GRPC_VERBOSITY=info.",
        )
    if words := _words_in_http(attempt):
        return Refusal(
            f"The server finished the handshake and then refused in HTTP: {words}.",
            f"Show a valid certificate from a CA that the server trusts. {_SEE_THE_LOG}",
        )
    return None


def _is_cut_off(attempt: Attempt) -> bool:
    """Closed after our last word of the handshake, with no sign that it was ever accepted."""
    is_closed = attempt.ending in {Ending.CLOSED, Ending.RESET}
    return is_closed and not attempt.answer and not attempt.has_ticket


def _words_in_http(attempt: Attempt) -> str:
    response = parse_response(attempt.answer)
    if response is None or response.status not in _IN_HTTP:
        return ""
    lines = (line for line in response.body.splitlines() if _WORDS_IN_HTTP.search(line))
    if not (line := next(lines, b"")):
        return ""
    text = " ".join(re.sub(r"<[^>]*>", " ", line.decode("utf-8", "replace")).split())[:200]
    return text if str(response.status) in text else f"{response.status} {text}"
