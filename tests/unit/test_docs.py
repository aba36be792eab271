"""What the pages point at is there, and the way in stays short."""

import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from tests.pages import PAGES, ROOT, blocks_of

LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
# Each page with fenced commands, output or code, and the tests that run or compare all of it. A
# block that nothing runs says why on the page, `<!-- not run: ... -->`: see tests/pages.py.
CHECKED_BY: Final[Mapping[str, tuple[str, ...]]] = {
    "README.md": ("tests/compose/test_readme_tells_the_truth.py",),
    "docs/ca-life.md": ("tests/unit/pki/test_certificate_life.py",),
    "docs/certificate-life.md": ("tests/unit/pki/test_certificate_life.py",),
    "docs/certificates-by-hand.md": ("tests/examples/test_certificates_by_hand.py",),
    "docs/copy-it.md": ("tests/examples/test_new_system.py",),
    "docs/issuers.md": ("tests/examples/issuers_page.py",),
    "docs/refusals-by-language.md": ("tests/examples/page.py",),
    "docs/the-usual-tutorial.md": (
        "tests/examples/test_certificates_by_hand.py",
        "tests/examples/verdicts.py",
    ),
    "docs/what-a-certificate-proves.md": ("tests/unit/pki/test_a_certificate_shown.py",),
    "docs/what-can-go-wrong.md": ("tests/failures/page.py",),
    "docs/what-mutual-tls-is.md": ("tests/mtls/test_doctor_shows_the_handshake.py",),
    "examples/README.md": (
        "tests/examples/test_readme.py",
        "tests/examples/test_gateway_clients.py",
    ),
    "examples/greeter/README.md": ("tests/compose/test_systems_to_copy_refuse_strangers.py",),
    "examples/library/README.md": ("tests/mtls/test_readmes_of_the_services.py",),
    "services/doctor/README.md": ("tests/compose/test_doctor_inside_and_outside.py",),
    "services/gateway/README.md": ("tests/mtls/test_readmes_of_the_services.py",),
    "services/video_queue/README.md": ("tests/mtls/test_readmes_of_the_services.py",),
}
# Made by a program, and compared with what it makes now.
MADE: Final = frozenset(
    {
        "docs/mtls-api.md",
        "docs/performance.md",  # and so as long as its tables
        "docs/refusals-by-language.md",
        "docs/what-can-go-wrong.md",
    }
)
INDENTED: Final = re.compile(r"^\n((?: {4}.*\n)+)", re.MULTILINE)
DRAWN: Final = re.compile("[─└]")
MAX_COURSE_LINES: Final = 200
RFC: Final = re.compile(r"\bRFC (\d+)")
ISSUE: Final = re.compile(r"\b[\w-]+/[\w.-]+#(\d+)")
MAX_CORE_FILES, MAX_READING_LINES, MAX_README_LINES = 20, 700, 110


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


WRITTEN: Final = [
    page
    for page in PAGES
    if page.relative_to(ROOT).parts[0] in {"README.md", "docs", "examples"}
    and name_of(page) not in MADE
]


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_to_this_repository_resolves(page: Path) -> None:
    broken = []
    for link in LINK.findall(page.read_text("utf-8")):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_what_a_page_cites_can_be_looked_up(page: Path) -> None:
    """An RFC or an issue that it names has, somewhere on the page, a link."""
    text = page.read_text("utf-8")
    links = " ".join(link for link in LINK.findall(text) if "://" in link)
    rfcs = {number for number in RFC.findall(text) if f"rfc{number}" not in links}
    issues = {number for number in ISSUE.findall(LINK.sub("]", text)) if f"/{number}" not in links}
    assert not rfcs | issues


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


def test_every_block_is_run_or_says_why_not() -> None:
    """A page whose blocks are run has its tests in CHECKED_BY, and they take all of its blocks."""
    to_run = {}
    for page in PAGES:
        blocks = blocks_of(page)
        assert all(block.kind for block in blocks), f"{page}: a block has no language"
        assert page.read_text("utf-8").count("\n```") == 2 * len(blocks), f"{page}: a lost fence"
        assert all(len(block.not_run) > 20 for block in blocks if block.not_run), page
        if kinds := {block.kind for block in blocks if not block.not_run}:
            to_run[name_of(page)] = kinds
    assert to_run.keys() == CHECKED_BY.keys()
    for page_name, kinds in to_run.items():
        checked_by = "".join((ROOT / test).read_text("utf-8") for test in CHECKED_BY[page_name])
        assert Path(page_name).name in checked_by, page_name
        if page_name not in MADE:
            for kind in kinds:
                assert taken(kind, checked_by), f"no test takes the {kind} blocks of {page_name}"


def taken(kind: str, test: str) -> bool:
    if kind == "console":
        return "steps_of(" in test
    return re.search(rf'blocks_of\(\w+(?: / "[^"]+")?, (?:"{kind}"|language)', test) is not None


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_command_hides_in_an_indented_block(page: Path) -> None:
    """There it would be typed by nobody; what is drawn with lines is no command."""
    fences = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
    indented = INDENTED.findall(fences.sub("", page.read_text("utf-8")))
    hidden = [block for block in indented if not DRAWN.search(block)]
    assert not hidden


def test_the_course_leads_from_page_to_page() -> None:
    """Each page ends with a link to the next, and docs/README.md has a line for every page."""
    contents = (ROOT / "docs/README.md").read_text("utf-8")
    listed = [(ROOT / "docs" / link).resolve() for link in LINK.findall(contents)]
    assert {*(ROOT / "docs").glob("*.md")} - {ROOT / "docs/README.md"} <= {*listed}
    course = contents.partition("## The course")[2].partition("\n## ")[0]
    rows = "".join(line for line in course.splitlines() if line.startswith("|"))
    pages = [(ROOT / "docs" / link).resolve() for link in LINK.findall(rows)]
    assert len(pages) >= 11
    for page, following in pairwise(pages):
        last = page.read_text("utf-8").rstrip().rpartition("\n")[2]
        assert last.startswith("Next: "), page
        assert (page.parent / LINK.findall(last)[0]).resolve() == following, page
        if name_of(page) not in MADE:
            assert len(page.read_text("utf-8").splitlines()) <= MAX_COURSE_LINES, page
