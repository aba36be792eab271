"""What the pages point at is there, and the way in stays short."""

import re
from collections.abc import Mapping
from itertools import pairwise
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
FENCE: Final = re.compile(r"^```\w", re.MULTILINE)
# Each page with fenced commands, output or code, and the test that runs or compares all of it.
CHECKED_BY: Final[Mapping[str, str]] = {
    "README.md": "tests/compose/test_readme_tells_the_truth.py",
    "docs/certificate-life.md": "tests/unit/pki/test_certificate_life.py",
    "docs/certificates-by-hand.md": "tests/examples/test_certificates_by_hand.py",
    "docs/copy-it.md": "tests/examples/test_greeter.py",
    "docs/refusals-by-language.md": "tests/examples/test_matrix.py",
    "docs/what-can-go-wrong.md": "tests/failures/test_what_can_go_wrong.py",
    "docs/what-mutual-tls-is.md": "tests/mtls/test_doctor_shows_the_handshake.py",
    "examples/README.md": "tests/examples/test_readme.py",
    "examples/greeter/README.md": "tests/compose/test_a_copy_of_the_greeter_refuses_strangers.py",
    "services/doctor/README.md": "tests/compose/test_doctor_inside_and_outside.py",
}
# And those that nothing runs, with the reason.
NOT_RUN: Final[Mapping[str, str]] = {
    "services/mtls/README.md": "a part of a configuration of Prometheus, which is not installed",
}
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


def test_what_a_page_says_to_type_is_typed_by_a_test() -> None:
    """A page with a fenced block says here which test checks it, or why none does."""
    fenced = {str(page) for page in PAGES if FENCE.search((ROOT / page).read_text("utf-8"))}
    assert fenced == {*CHECKED_BY, *NOT_RUN}
    for page, test in CHECKED_BY.items():
        modules = [ROOT / test, *(ROOT / test).parent.glob("[!t]*.py")]  # or what it imports
        name = Path(page).name
        assert any(name in module.read_text("utf-8") for module in modules), (page, test)


def test_the_course_leads_from_page_to_page() -> None:
    """Each page ends with a link to the next, and docs/README.md has a line for every page."""
    contents = (ROOT / "docs/README.md").read_text("utf-8")
    listed = [(ROOT / "docs" / link).resolve() for link in LINK.findall(contents)]
    assert {*(ROOT / "docs").glob("*.md")} - {ROOT / "docs/README.md"} <= {*listed}
    course = contents.partition("## The course")[2].partition("\n## ")[0]
    pages = [(ROOT / "docs" / link).resolve() for link in LINK.findall(course)]
    assert len(pages) >= 9
    for page, following in pairwise(pages):
        last = page.read_text("utf-8").rstrip().rpartition("\n")[2]
        assert last.startswith("Next: "), page
        assert (page.parent / LINK.findall(last)[0]).resolve() == following, page
