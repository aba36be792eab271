"""docs/what-can-go-wrong.md tells the truth: each entry happens, in the words that it gives."""

import os
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.failures.failure import Failure, happen, look
from tests.failures.lab import Lab
from tests.failures.page import FAILURES, GROUPS, PAGE, contents, entry, versions

LOCALHOST = {str(found[4][0]) for found in socket.getaddrinfo("localhost", None)}
MISSING = [program for program in ("curl", "openssl") if shutil.which(program) is None]
pytestmark = pytest.mark.skipif(
    bool(MISSING) and os.environ.get("CI") != "true", reason=f"not installed: {MISSING}"
)


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.title)
def test_it_happens_as_the_page_says(failure: Failure, tmp_path: Path) -> None:
    seen = happen(failure, tmp_path)
    refused = [name for name, said in seen.clients.items() if not said.served]
    assert set(refused) == set(failure.refused), seen.clients
    if failure.doctor:
        assert failure.doctor in seen.doctor
    page = PAGE.read_text(encoding="utf-8")
    if versions() not in page or {"127.0.0.1"} != LOCALHOST:
        pytest.skip(f"the facts hold; its words are not those of {versions()} at {LOCALHOST}")
    assert f"\n{entry(failure, seen)}\n" in page


def test_nothing_is_wrong_with_the_honest_twin(tmp_path: Path) -> None:
    """All failures are this, but for one fact."""
    honest = Failure(
        title="", did="", why="", mend="", unseen=" ", refused=(), arrange=lambda lab: lab.case()
    )
    with Lab(tmp_path).case() as case:
        seen = look(honest, case)
        assert case.server.log
        events = [event["event"] for event in case.server.log.events()]
    assert all(said.served for said in seen.clients.values()), seen.clients
    assert (seen.doctor, seen.loading) == ({}, "")
    assert set(events) - {"handshake.refused"} == {"server.listening"}


def test_the_page_has_every_group_and_nothing_else() -> None:
    page = PAGE.read_text(encoding="utf-8")
    if versions() in page:
        assert page.startswith(contents())
    assert _headings(page, "## ") == list(GROUPS)
    assert _headings(page, "### ") == [
        f"{number}. {failure.title}" for number, failure in enumerate(FAILURES, 1)
    ]
    assert len(FAILURES) >= 36


def _headings(page: str, mark: str) -> Sequence[str]:
    return [line.removeprefix(mark) for line in page.splitlines() if line.startswith(mark)]
