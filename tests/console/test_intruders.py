"""Every intruder is refused by both servers, for its own reason; the console itself is served.

The twin is the console: it asks the same of the same running server. The reason is the server's
own, from its log. That nothing was done is seen there too: it has a line for each call answered.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from console.catalogue import entries
from console.impostors import KINDS
from local_stack import Event
from pki.impostors import MAKERS
from tests.console.attempts import ACCEPTED, EXPECTED, REFUSED, SERVERS, Console, running_console
from tests.failures.failure import Failure
from tests.failures.record import FAILURES

ASKED = {"gateway": "GET /videos", "video-queue": "/audit.v1.Audit/ListRefusals"}
OK = {"200", "OK"}


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with running_console(tmp_path_factory.mktemp("intruders")) as console:
        yield console


def events(console: Console, whom: str, since: int) -> list[Event]:
    return console.server(whom).log.events(since)


def test_every_kind_is_expected_to_end_somehow() -> None:
    assert set(EXPECTED) == set(KINDS)
    assert {kind.shows for kind in KINDS.values()} - {"", "console"} == set(MAKERS)


@pytest.mark.parametrize("whom", SERVERS)
@pytest.mark.parametrize("who", EXPECTED)
def test_each_ends_as_it_has_to_and_the_server_says_why(
    console: Console, who: str, whom: str
) -> None:
    outcome, reason = EXPECTED[who][SERVERS.index(whom)]
    since = console.server(whom).log.position()
    answer = console.attempt(who, whom)
    assert (answer["outcome"], (answer["logged"] or {}).get("reason", "")) == (outcome, reason)
    said = [event for event in events(console, whom, since) if "reason" in event]
    assert [event["reason"] for event in said] == ([reason] if reason else [])
    answered = [
        event
        for event in events(console, whom, since)
        if event["event"] == "call.answered" and event["method"] == ASKED[whom]
    ]
    served = [event["identity"] for event in answered if event["code"] in OK]
    assert set(served) <= {"spiffe://video-demo.test/console"}
    if whom == "gateway":  # where the console itself asks another question
        assert len(served) == (outcome == ACCEPTED)


@pytest.mark.parametrize("who", [who for who in EXPECTED if who != "console"])
def test_the_twin_is_served_before_and_after(console: Console, who: str) -> None:
    for whom in SERVERS:
        assert console.attempt(who, whom)["outcome"] != ACCEPTED
        assert console.attempt("console", whom)["outcome"] == ACCEPTED


def test_what_the_gateway_says_belongs_to_this_attempt(console: Console) -> None:
    answer = console.attempt("expired", "gateway")
    assert answer["logged"]["peer"] == answer["saw"]["from"]
    assert answer["logged"]["presented"]["serial"] == answer["showed"]["serial"]
    assert answer["matched"] == "the address it came from"
    assert answer["saw"]["alert"]["name"] == "certificate_expired"
    assert "CERTIFICATE_EXPIRED" in answer["saw"]["words"]
    assert answer["step"] == 5


def test_of_a_refusal_by_grpc_the_intruder_learns_nothing(console: Console) -> None:
    answers = [console.attempt(who, "video-queue") for who in ("expired", "no-certificate")]
    for answer in answers:
        assert answer["outcome"] == REFUSED
        assert answer["saw"]["alert"] is None
        assert answer["saw"]["words"].startswith("UNAVAILABLE: ")
        assert answer["matched"].startswith("the time alone")
    assert len({answer["logged"]["reason"] for answer in answers}) == 2


def test_a_denied_call_is_known_by_the_certificate(console: Console) -> None:
    for whom in SERVERS:
        answer = console.attempt("two-names", whom)
        assert answer["logged"]["serial"] == answer["showed"]["serial"]
        assert answer["logged"]["method"] == answer["asked"] == ASKED[whom]


@pytest.mark.parametrize(
    "asked",
    [
        {"who": "client/uploader", "whom": "gateway"},
        {"who": "../console", "whom": "gateway"},
        {"who": "expired", "whom": "localhost:22"},
        {"who": ["expired"], "whom": "gateway"},
        {},
    ],
)
def test_nobody_else_can_be_chosen_and_nobody_else_attacked(
    console: Console, asked: dict[str, Any]
) -> None:
    status, problem = console.post("/api/intruders/attempt", asked)
    assert status == 400
    assert problem["fix"]


def test_every_entry_is_one_of_the_page_and_says_what_its_failure_says() -> None:
    failures: dict[str, Failure] = {failure.title: failure for failure in FAILURES}
    assert len(entries()) == len(failures)
    for kind in KINDS.values():
        if kind.entry:
            entry = entries()[kind.entry]
            assert entry.fix == failures[kind.entry].fix.replace("`", "")
            assert entry.why == failures[kind.entry].why.replace("`", "")
            assert FAILURES[entry.number - 1].title == entry.title
            assert "server" in entry.said


def test_without_impostors_it_says_how_to_make_them(console: Console) -> None:
    folder = console.stack.certs / "impostors"
    away = folder.with_name("away")
    folder.rename(away)
    try:
        status, problem = console.post(
            "/api/intruders/attempt", {"who": "expired", "whom": "gateway"}
        )
        _, access = console.post("/api/access", {"whom": "gateway"})
    finally:
        away.rename(folder)
    assert status == 500
    assert "--impostors" in problem["fix"]
    assert not [row for row in access["rows"] if "impostors" in row["identity"]]
    assert console.attempt("expired", "gateway")["outcome"] == REFUSED
