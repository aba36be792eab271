"""What the pages point at is there, and the way in stays short."""

import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
PAGES: Final = sorted(
    page.relative_to(ROOT)
    for pattern in ("*.md", "docs/*.md", "certs/*.md", "examples/**/*.md", "services/*/*.md")
    for page in ROOT.glob(pattern)
    if "node_modules" not in page.parts
)
LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
MAX_CORE_FILES, MAX_READING_LINES, MAX_README_LINES = 20, 700, 110


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_to_this_repository_resolves(page: Path) -> None:
    broken = []
    for link in LINK.findall((ROOT / page).read_text("utf-8")):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


def test_the_way_in_is_short() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert len(readme.splitlines()) <= MAX_README_LINES
    path = readme.partition("**Learn from it**")[2].partition("**Copy it**")[0]
    files = [name for name in LINK.findall(path) if name.endswith(".py")]
    assert len(files) == 10
    lines = sum(len((ROOT / name).read_text("utf-8").splitlines()) for name in files)
    assert lines < MAX_READING_LINES


def test_the_core_fits_in_one_head() -> None:
    assert len(list((ROOT / "services/mtls").glob("*.py"))) <= MAX_CORE_FILES
