"""The pictures are drawn from the facts of the repository, and everybody can read them."""

import re
import tomllib
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

import pytest

from drawing.chain import shown
from drawing.handshake import recorded
from drawing.pictures import FOLDER, PICTURES
from drawing.svg import COLOURS
from drawing.system import HOPS, draw_system
from gateway import policy as gateway_policy
from video_queue import policy as queue_policy

ROOT: Final = Path(__file__).resolve().parents[3]
DOCS: Final = ROOT / "docs"
SVG: Final = "{http://www.w3.org/2000/svg}"
WIDTH_OF_A_PHONE, SMALLEST_LETTERS = 400, 12
READABLE: Final = 4.5  # WCAG 2.2, 1.4.3: the contrast of text


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_what_the_script_draws_now(name: str) -> None:
    """After a change of the facts, run scripts/pictures."""
    assert (FOLDER / name).read_bytes() == PICTURES[name]().encode()


def test_no_other_drawing_lies_there() -> None:
    assert {path.name for path in FOLDER.glob("*.svg")} == set(PICTURES)


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_text_within_its_frame(name: str) -> None:
    root = ET.fromstring((FOLDER / name).read_text("utf-8"))  # noqa: S314 our own file
    _, _, width, height = map(int, root.attrib["viewBox"].split())
    assert width <= WIDTH_OF_A_PHONE
    assert len(root.findall(f"{SVG}text")) > 10
    for text in root.findall(f"{SVG}text"):
        assert 0 <= float(text.attrib["x"]) <= width
        assert 0 <= float(text.attrib["y"]) <= height
    styles = root.findtext(f"{SVG}style") or ""
    assert min(map(int, re.findall(r"(\d+)px", styles))) >= SMALLEST_LETTERS
    assert root.findtext(f"{SVG}title")
    assert root.findtext(f"{SVG}desc")


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_shown_with_words_for_those_who_do_not_see_it(name: str) -> None:
    pages = [ROOT / "README.md", *DOCS.glob("*.md")]
    shows = re.compile(rf"!\[([^\]]+)\]\([^)]*pictures/{re.escape(name)}\)")
    said = [words for page in pages for words in shows.findall(page.read_text("utf-8"))]
    assert said
    assert all(len(words) > 60 for words in said)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_colour_of_text_is_readable_on_every_ground(theme: str) -> None:
    colours = {row.name: getattr(row, theme) for row in COLOURS}
    for ground in ("ground", "card", "tint"):
        for text in ("ink", "soft", "green-fill", "blue-fill", "orange-fill", "violet-fill"):
            assert contrast(colours[ground], colours[text]) >= READABLE, (ground, text)
    assert contrast(colours["green-fill"], colours["on-green"]) >= READABLE


def contrast(one: str, other: str) -> float:
    """As WCAG 2.2 defines it."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return sum(share * part for share, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_the_system_has_the_hops_of_the_policies() -> None:
    """But for `probe`, which asks for health and metrics alone, and a health check of oneself."""
    allowed = {"gateway": gateway_policy.ALLOWED, "video-queue": queue_policy.ALLOWED}
    hops = {
        (caller, server)
        for server, table in allowed.items()
        for callers in table.values()
        for caller in callers
    }
    assert {hop for hop in hops if hop[0] not in {"probe", hop[1]}} == set(HOPS)


def test_the_system_follows_the_identities() -> None:
    facts = tomllib.loads((ROOT / "identities.toml").read_text("utf-8"))
    assert ">server and client certificate<" in draw_system(facts)
    next(each for each in facts["identity"] if each["name"] == "gateway")["use"] = ["server"]
    assert ">server and client certificate<" not in draw_system(facts)
    facts["identity"].append({"name": "mailer", "use": ["server"]})
    assert "mailer" in draw_system(facts)


def test_the_handshake_is_the_recorded_one() -> None:
    page = (DOCS / "what-mutual-tls-is.md").read_text("utf-8")
    steps = recorded(page)
    assert [step.number for step in steps] == list("1234567")
    messages = [message for step in steps for message in step.messages]
    assert len(messages) == len(re.findall(r"^ +[\d.]+ ms  (?:-->|<--)", page, re.MULTILINE))
    assert [m.name for m in messages if not m.encrypted] == ["ClientHello", "ServerHello"]
    mutual = [message.name for message in messages if message.only_in_mutual_tls]
    assert mutual == ["CertificateRequest", "Certificate", "CertificateVerify"]
    assert sum(message.uses_private_key for message in messages) == 2


def test_the_chain_is_linked_by_its_keys() -> None:
    leaf, issuing, root = shown((DOCS / "what-a-certificate-proves.md").read_text("utf-8"))
    assert leaf.keys["Authority"] == issuing.keys["Subject"]
    assert issuing.keys["Authority"] == root.keys["Subject"] == root.keys["Authority"]
    assert (leaf.issuer, issuing.issuer) == (issuing.subject, root.subject)
    assert root.issuer == root.subject
