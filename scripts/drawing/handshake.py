"""The seven steps as a sequence: two lifelines, and every message of a recorded handshake."""

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from drawing.console_blocks import outputs
from drawing.svg import Drawing

_WIDTH: Final = 400
_CLIENT, _SERVER = 52, 362  # the lifelines
_MIDDLE: Final = (_CLIENT + _SERVER) / 2
_STEP, _MESSAGE, _NOTE = 30, 23, 15  # heights
_COLUMNS: Final = 44  # of a note
_TITLE: Final = re.compile(r"(\d)\. (.*)")
_SENT: Final = re.compile(r"\s+[\d.]+ ms  (-->|<--)  (\S+)\s+(\d+ bytes)")
_ONLY_MUTUAL: Final = {
    ("<--", "CertificateRequest"),
    ("-->", "Certificate"),
    ("-->", "CertificateVerify"),
}


@dataclass(frozen=True, slots=True)
class Message:
    """A message on the wire."""

    direction: str
    name: str
    size: str
    encrypted: bool

    @property
    def only_in_mutual_tls(self) -> bool:
        """Whether TLS with a server's certificate alone has no such message."""
        return (self.direction, self.name) in _ONLY_MUTUAL

    @property
    def uses_private_key(self) -> bool:
        """Whether its sender signs with the key of its certificate."""
        return self.name == "CertificateVerify"


@dataclass(frozen=True, slots=True)
class Step:
    """One of the seven: what is said of it, and its messages."""

    number: str
    title: str
    notes: list[str] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)

    @property
    def height(self) -> int:
        """Return how much room it takes."""
        return _STEP + _NOTE * len(self.notes) + _MESSAGE * len(self.messages)


def recorded(page: str) -> Sequence[Step]:
    """Return the steps of the handshake that a page shows, as the doctor printed it."""
    (printed,) = outputs(page, "./scripts/doctor handshake")
    steps: list[Step] = []
    encrypted = False
    for line in printed.splitlines():
        if match := _TITLE.fullmatch(line):
            steps.append(Step(match[1], match[2]))
        elif match := _SENT.fullmatch(line):
            steps[-1].messages.append(Message(match[1], match[2], match[3], encrypted))
        elif "everything is encrypted" in line:
            encrypted = True
        elif re.match(r" {3}\S", line):
            steps[-1].notes.extend(textwrap.wrap(line.strip(), _COLUMNS))
    return steps


def draw_handshake(page: str) -> str:
    """Return the picture of the handshake on the page."""
    steps = recorded(page)
    top = 62
    bottom = top + sum(step.height for step in steps) + 8
    drawing = Drawing(
        _WIDTH,
        bottom + 104,
        "A mutual TLS handshake in seven steps",
        " ".join(f"{step.number}. {step.title}: {_told(step)}." for step in steps),
    )
    rows = list(_rows(steps, top))
    first = next(y for y, message in rows if message.encrypted)
    drawing.box(_CLIENT - 9, first - 17, _SERVER - _CLIENT + 18, bottom - first + 17, "tint")
    for x, end, name in ((_CLIENT, "client", "a viewer"), (_SERVER, "server", "the gateway")):
        drawing.line(((x, 50), (x, bottom)), "edge")
        anchored = min(max(x, 48), _WIDTH - 48)
        drawing.text(anchored, 24, end, "ink title", anchor="middle")
        drawing.text(anchored, 41, name, "soft small", anchor="middle")
    _steps(drawing, steps, top)
    for y, message in rows:
        _message(drawing, y, message)
    _legend(drawing, bottom + 18)
    return drawing.svg()


def _told(step: Step) -> str:
    names = ", ".join(message.name for message in step.messages)
    return names or " ".join(step.notes)


def _rows(steps: Sequence[Step], y: float) -> Iterator[tuple[float, Message]]:
    """Yield each message with the height of its arrow."""
    for step in steps:
        start = y + _STEP + _NOTE * len(step.notes)
        for number, message in enumerate(step.messages):
            yield start + _MESSAGE * number + 14, message
        y += step.height


def _steps(drawing: Drawing, steps: Sequence[Step], y: float) -> None:
    for step in steps:
        drawing.circle(22, y + 16, 11, "ink")
        drawing.text(22, y + 20, step.number, "ground strong", anchor="middle")
        drawing.text(_CLIENT + 10, y + 20, step.title, "ink strong")
        for number, note in enumerate(step.notes):
            drawing.text(_CLIENT + 10, y + 37 + _NOTE * number, note, "soft small")
        y += step.height


def _message(drawing: Drawing, y: float, message: Message) -> None:
    ends = ((_CLIENT, y), (_SERVER, y))
    start, end = ends if message.direction == "-->" else ends[::-1]
    green = message.only_in_mutual_tls
    drawing.arrow(start, end, "green" if green else "grey")
    drawing.text(
        _MIDDLE + 22,
        y - 4,
        message.name,
        f"{'green-fill strong' if green else 'ink'}",
        anchor="middle",
    )
    drawing.text(
        _SERVER - 12, y - 4, message.size.replace(" bytes", ""), "soft small", anchor="end"
    )
    if message.uses_private_key:
        _key(drawing, _CLIENT + 12 if start[0] == _CLIENT else _SERVER - 66, y - 9)


def _key(drawing: Drawing, x: float, y: float) -> None:
    drawing.circle(x, y, 3.2, "line orange")
    drawing.line(((x + 3.2, y), (x + 12, y), (x + 12, y + 4)), "orange")
    drawing.line(((x + 8.5, y), (x + 8.5, y + 3)), "orange")


def _legend(drawing: Drawing, y: float) -> None:
    left, words = 22, 64
    drawing.arrow((left, y), (left + 30, y), "green")
    drawing.text(words, y + 4, "only in mutual TLS", "green-fill strong")
    _key(drawing, left + 10, y + 19)
    drawing.text(words, y + 24, "its sender signs with its private key", "ink small")
    drawing.box(left, y + 34, 30, 14, "tint edge", corner=3)
    drawing.text(words, y + 45, "encrypted: a wiretap cannot read it", "ink small")
    drawing.text(left, y + 65, "1222", "soft small")
    drawing.text(words, y + 65, "bytes on the wire", "soft small")
