"""A certificate chain: who signs what, and by which key ids the links are found."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from drawing.console_blocks import outputs
from drawing.svg import Drawing

_WIDTH: Final = 400
_MARGIN, _LABELS, _WORDS = 16, 30, 98  # from the left
_ROW, _GAP = 19, 46  # heights
_SHOWN_OF_A_KEY: Final = 17
_KEY_COLOURS: Final = ("blue", "violet", "orange")
_KEY_LABELS: Final = (("its key", "Subject"), ("signed by", "Authority"))


@dataclass(frozen=True, slots=True)
class Certificate:
    """What openssl prints of one."""

    subject: str
    issuer: str
    keys: Mapping[str, str]  # of the subject, and of the authority that has signed it
    constraints: str
    names: Sequence[str]


def shown(page: str) -> Sequence[Certificate]:
    """Return the chain that a page shows, from the leaf to the root."""
    return [_parse(printed) for printed in outputs(page, "openssl x509")]


def _parse(printed: str) -> Certificate:
    def find(pattern: str) -> str:
        match = re.search(pattern, printed, re.MULTILINE)
        return match[1].strip() if match else ""

    keys = re.findall(r"(Subject|Authority) Key Identifier: *\n +(\S+)", printed)
    return Certificate(
        find(r"^subject=.*CN ?= ?(.*)"),
        find(r"^issuer=.*CN ?= ?(.*)"),
        dict(keys),
        find(r"Basic Constraints:.*\n(.*)"),
        [name for name in find(r"Subject Alternative Name:.*\n(.*)").split(", ") if name],
    )


def draw_chain(page: str) -> str:
    """Return the picture of the chain on the page."""
    chain = shown(page)
    colours = {each.keys["Subject"]: c for each, c in zip(chain, _KEY_COLOURS, strict=True)}
    drawing = Drawing(
        _WIDTH,
        2 * _MARGIN + sum(map(_height, chain)) + _GAP * (len(chain) - 1),
        "A certificate chain",
        " ".join(f"{each.subject} is signed by {each.issuer}." for each in chain),
    )
    y = _MARGIN
    for each in reversed(chain):
        if y > _MARGIN:
            drawing.arrow((70, y - _GAP), (70, y), "grey")
            signer = colours[each.keys["Authority"]]
            drawing.text(84, y - _GAP / 2 + 4, "signs, with its key", f"{signer}-fill strong")
        _card(drawing, y, each, colours)
        y += _height(each) + _GAP
    return drawing.svg()


def _facts(each: Certificate) -> Sequence[tuple[str, str, str]]:
    """Return what is said of a certificate below its keys: a label, words, and their style."""
    if each.constraints == "CA:FALSE":
        names = [name.partition(":")[2] for name in each.names]
        return (
            ("it is", "no CA: it may sign no certificate", "ink small"),
            ("names", names[0], "ink mono"),
            ("", ", ".join(names[1:]), "ink mono"),
        )
    below = int(each.constraints.rpartition(":")[2])
    room = f"at most {below} CA" if below else "no CA"
    return (
        ("it is", f"a CA, with {room} below it", "ink small"),
        ("", each.constraints, "ink mono"),
    )


def _height(each: Certificate) -> int:
    return 98 + _ROW * len(_facts(each))


def _card(drawing: Drawing, y: float, each: Certificate, colours: Mapping[str, str]) -> None:
    own = each.subject == each.issuer
    drawing.box(_MARGIN, y, _WIDTH - 2 * _MARGIN, _height(each), "card edge")
    drawing.text(_LABELS, y + 24, each.subject, "ink title")
    known = "the client has it: ca-certificate.crt" if own else "sent in the handshake"
    drawing.text(_LABELS, y + 42, known, "soft small")
    base = y + 64
    for label, kind in _KEY_LABELS:
        key = each.keys[kind]
        drawing.text(_LABELS, base, label, "soft small")
        drawing.box(_WORDS, base - 10, 11, 11, f"{colours[key]}-fill", corner=2)
        own_key = " (its own)" if own and kind == "Authority" else ""
        drawing.text(
            _WORDS + 17, base, f"{key[:_SHOWN_OF_A_KEY]}...{own_key}", f"{colours[key]}-fill mono"
        )
        base += _ROW
    for label, words, style in _facts(each):
        drawing.text(_LABELS, base, label, "soft small")
        drawing.text(_WORDS, base, words, style)
        base += _ROW
