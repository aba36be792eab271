"""The system: who calls whom, over what, and the certificate of each."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from drawing.svg import Drawing

_WIDTH: Final = 400
_LEFT, _RIGHT, _ROOM = 16, 212, 172  # two columns: where each begins, and how wide it is
_LEFT_MIDDLE, _RIGHT_MIDDLE = _LEFT + _ROOM / 2, _RIGHT + _ROOM / 2
_TO_GATEWAY, _PAST_GATEWAY = 258, 336  # the console's two calls
_WHOLE: Final = _RIGHT + _ROOM - _LEFT

# Who calls whom over mutual TLS. A test compares this with the policies of the two servers.
HOPS: Final[Sequence[tuple[str, str]]] = (
    ("client/uploader", "gateway"),
    ("client/viewer", "gateway"),
    ("console", "gateway"),
    ("console", "video-queue"),
    ("gateway", "video-queue"),
    ("transcoder", "video-queue"),
)

_DESCRIPTION: Final = (
    "Programs call the gateway over HTTPS with a client certificate. A browser calls the console "
    "over plain HTTP on the same machine, and the console calls the gateway over HTTPS with its "
    "own certificate, and asks the video queue for its audit. The gateway calls the video queue "
    "over gRPC; so does the transcoder. All of these but the browser's hop are mutual TLS. The "
    "renewer holds the key of the issuing CA and writes the certificate of each into its folder."
)


def draw_system(facts: Mapping[str, Any]) -> str:
    """Return the picture; `facts` are those of identities.toml."""
    uses = {each["name"]: " and ".join(each["use"]) for each in facts["identity"]}
    drawing = Drawing(
        _WIDTH,
        612,
        "The system",
        _DESCRIPTION,
    )
    _callers(drawing, uses)
    _services(drawing, uses)
    _certificates(drawing, facts)
    _legend(drawing, 560, facts["trust_domain"])
    return drawing.svg()


def _callers(drawing: Drawing, uses: Mapping[str, str]) -> None:
    persons = [name for name in uses if name.startswith("client/")]
    _card(drawing, _LEFT, 16, _ROOM, 124, "curl, programs")
    for row, name in enumerate(persons):
        drawing.text(_LEFT + 14, 62 + 38 * row, name, "ink mono")
        drawing.text(_LEFT + 14, 78 + 38 * row, f"{uses[name]} certificate", "soft small")
    _card(drawing, _RIGHT, 16, _ROOM, 44, "browser", "no certificate")
    drawing.arrow((_RIGHT_MIDDLE, 60), (_RIGHT_MIDDLE, 96), "grey", "dashed")
    drawing.text(_RIGHT_MIDDLE + 10, 82, "HTTP", "soft small")
    _card(drawing, _RIGHT, 96, _ROOM, 44, "console", f"{uses['console']} certificate")


def _services(drawing: Drawing, uses: Mapping[str, str]) -> None:
    for middle in (_LEFT_MIDDLE, _TO_GATEWAY):
        _hop(drawing, middle, 140, 196, "HTTPS")
    _card(
        drawing,
        _LEFT,
        196,
        _PAST_GATEWAY - 22 - _LEFT,
        44,
        "gateway",
        f"{uses['gateway']} certificate",
    )
    _hop(drawing, _LEFT_MIDDLE, 240, 296, "gRPC")
    drawing.arrow((_PAST_GATEWAY, 140), (_PAST_GATEWAY, 296), "green")
    drawing.label(_PAST_GATEWAY - 3, 264, "gRPC, mTLS")
    _card(drawing, _LEFT, 296, _WHOLE, 44, "video-queue", f"{uses['video-queue']} certificate")
    _hop(drawing, _RIGHT_MIDDLE, 396, 340, "gRPC")
    _card(drawing, _RIGHT, 396, _ROOM, 44, "transcoder", f"{uses['transcoder']} certificate")


def _certificates(drawing: Drawing, facts: Mapping[str, Any]) -> None:
    _card(drawing, _LEFT, 396, _ROOM, 44, "renewer", "has the issuing CA's key")
    drawing.arrow((_LEFT_MIDDLE, 440), (_LEFT_MIDDLE, 474), "grey", "dotted")
    drawing.text(_LEFT_MIDDLE + 10, 461, "writes", "soft small")
    drawing.box(_LEFT, 474, _WHOLE, 66, "card edge")
    names = [each["name"] for each in facts["identity"]]
    drawing.text(_LEFT + 14, 492, "certs/: a folder for each, and no other's key", "soft small")
    half = (len(names) + 1) // 2
    for row, part in enumerate((names[:half], names[half:])):
        drawing.text(_LEFT + 14, 511 + 17 * row, " · ".join(part), "ink mono")


def _legend(drawing: Drawing, y: float, trust_domain: str) -> None:
    drawing.arrow((_LEFT, y + 4), (_LEFT + 34, y + 4), "green")
    drawing.text(
        _LEFT + 44, y + 8, "mutual TLS: each end checks the other's certificate", "ink small"
    )
    drawing.arrow((_LEFT, y + 22), (_LEFT + 34, y + 22), "grey", "dashed")
    drawing.text(_LEFT + 44, y + 26, "plain, and within this machine only", "ink small")
    drawing.text(_LEFT + 44, y + 42, f"names: spiffe://{trust_domain}/gateway, ...", "soft small")


def _hop(drawing: Drawing, x: float, start: float, end: float, protocol: str) -> None:
    drawing.arrow((x, start), (x, end), "green")
    drawing.label(x, (start + end) / 2 - (4 if end > start else -4), f"{protocol}, mTLS")


def _card(
    drawing: Drawing, x: float, y: float, width: float, height: float, title: str, below: str = ""
) -> None:
    drawing.box(x, y, width, height, "card edge")
    drawing.text(x + 14, y + 19, title, "ink title")
    drawing.text(x + 14, y + 35, below, "soft small")
