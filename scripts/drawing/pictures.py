"""Which pictures there are, and the facts that each is drawn from."""

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from drawing.chain import draw_chain
from drawing.handshake import draw_handshake
from drawing.system import draw_system

_ROOT: Final = Path(__file__).resolve().parents[2]
_DOCS: Final = _ROOT / "docs"
FOLDER: Final = _DOCS / "pictures"


def _system() -> str:
    return draw_system(tomllib.loads((_ROOT / "identities.toml").read_text("utf-8")))


def _handshake() -> str:
    return draw_handshake((_DOCS / "what-mutual-tls-is.md").read_text("utf-8"))


def _chain() -> str:
    return draw_chain((_DOCS / "what-a-certificate-proves.md").read_text("utf-8"))


PICTURES: Final[Mapping[str, Callable[[], str]]] = {
    "system.svg": _system,
    "handshake.svg": _handshake,
    "chain.svg": _chain,
}
