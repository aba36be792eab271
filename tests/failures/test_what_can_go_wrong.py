"""docs/what-can-go-wrong.md tells the truth: each entry happens, in the words that it gives.

Where a system has other words than the first, the page has both, and each system tests its own.
"""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.failures.clients import Client, Said
from tests.failures.failure import Failure, Seen, happen, look
from tests.failures.lab import Case, Lab, Server
from tests.failures.page import PAGE, page, records
from tests.failures.record import FAILURES, GROUPS, this_system, words_of
from tests.needs import is_ci, missing_programs

MISSING = missing_programs()
pytestmark = pytest.mark.skipif(
    bool(MISSING) and not is_ci(), reason=f"not installed: {', '.join(MISSING)}"
)


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.title)
def test_it_happens_as_the_page_says(failure: Failure, tmp_path: Path) -> None:
    seen = happen(failure, tmp_path)
    refused = [name for name, said in seen.clients.items() if not said.served]
    assert set(refused) == set(failure.refused), seen.clients
    if failure.doctor:
        assert failure.doctor in seen.doctor
    record = next((each for each in records() if each.system == this_system()), None)
    if record is None:
        end = pytest.fail if is_ci() else pytest.skip
        end(f"The page has not the words of {this_system()}: run scripts/what_can_go_wrong.")
    assert words_of(failure, seen) == record.words[failure.title]


def test_nothing_is_wrong_with_the_honest_twin(tmp_path: Path) -> None:
    """All failures are this, but for one fact."""
    honest = Failure(
        title="", did="", why="", fix="", unseen=" ", refused=(), arrange=lambda lab: lab.case()
    )
    with Lab(tmp_path).case() as case:
        seen = look(honest, case)
        assert case.server.log
        events = [event["event"] for event in case.server.log.events()]
    assert all(said.served for said in seen.clients.values()), seen.clients
    assert (seen.doctor, seen.loading) == ({}, "")
    assert set(events) - {"handshake.refused"} == {"server.listening"}


@pytest.mark.parametrize(
    "end",
    [
        "Socket closed",
        "recvmsg:Connection reset by peer (104)",
        "Delayed close due to in-progress write (Socket closed) (sendmsg: Broken pipe (32))",
    ],
)
def test_a_closed_socket_is_one_whatever_grpc_says_of_it(end: str) -> None:
    case = Case(Client(Path("lab/client")), Server("localhost:40001", "localhost:40002"))
    said = Said(served=False, words=f"UNAVAILABLE: ipv4:127.0.0.1:40002: {end}")
    words = words_of(FAILURES[0], Seen(case, {"gRPC": said}, {}, "", {}))
    assert words.said["gRPC"] == "UNAVAILABLE: ipv4:127.0.0.1:3128: Socket closed"


def test_the_page_has_every_group_and_nothing_else() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == page()
    assert _headings(text, "## ") == list(GROUPS)
    assert _headings(text, "### ") == [
        f"{number}. {failure.title}" for number, failure in enumerate(FAILURES, 1)
    ]
    assert len(FAILURES) >= 36


def _headings(page: str, mark: str) -> Sequence[str]:
    return [line.removeprefix(mark) for line in page.splitlines() if line.startswith(mark)]
