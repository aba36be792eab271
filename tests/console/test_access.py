"""Who may do what is what the servers do: called where the console has the key, told where not.

And so: nothing can be done through the console that its identity may not do.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest

from demo_identities import identity_named
from gateway.policy import ALLOWED as AT_THE_GATEWAY
from impostors import Impostor, upload_over_http
from tests.console.attempts import EXPECTED, SERVERS, Console, running_console
from video_queue.policy import ALLOWED as AT_THE_QUEUE

TABLES = {"gateway": AT_THE_GATEWAY, "video-queue": AT_THE_QUEUE}
DOMAIN = "spiffe://video-demo.test/"
T = TypeVar("T")
NOBODY = DOMAIN + "impostors/not-allowed"


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with running_console(tmp_path_factory.mktemp("access")) as console:
        yield console


def look(console: Console, whom: str) -> Any:
    status, answer = console.post("/api/access", {"whom": whom})
    assert status == 200, answer
    return answer


@pytest.mark.parametrize("whom", SERVERS)
def test_every_cell_is_what_the_table_says(console: Console, whom: str) -> None:
    answer = look(console, whom)
    assert set(answer["methods"]) == set(TABLES[whom])
    named = {name for table in TABLES.values() for names in table.values() for name in names}
    assert {row["identity"] for row in answer["rows"]} == {DOMAIN + name for name in named} | {
        NOBODY
    }
    for row in answer["rows"]:
        name = row["identity"].removeprefix(DOMAIN)
        for cell in row["cells"]:
            assert cell["allowed"] == (name in TABLES[whom][cell["method"]]), (name, cell)
            assert cell["agrees"], (name, cell)


@pytest.mark.parametrize("whom", SERVERS)
def test_as_the_console_and_as_the_impostor_everything_is_really_called(
    console: Console, whom: str
) -> None:
    since = console.server(whom).log.position()
    answer = look(console, whom)
    called = {
        (event["identity"], event["method"], event["code"])
        for event in console.server(whom).log.events(since)
        if event["event"] == "call.answered"
    }
    for row in answer["rows"]:
        is_ours = row["identity"] in {DOMAIN + "console", NOBODY}
        assert row["called"] == is_ours
        for cell in row["cells"]:
            assert (cell["how"] == "called") == is_ours, cell
            if is_ours:
                assert (row["identity"], cell["method"], cell["call"]["code"]) in called
                if not cell["allowed"]:
                    assert cell["call"]["reason"] == "not_listed"
                    assert cell["call"]["rule"] == cell["rule"]


def test_what_the_holder_of_a_key_has_called_is_seen(console: Console) -> None:
    look(console, "gateway")  # for which the gateway asks the queue
    rows = {row["identity"]: row["cells"] for row in look(console, "video-queue")["rows"]}
    seen = {cell["method"] for cell in rows[DOMAIN + "gateway"] if cell["how"] == "seen"}
    assert "/videoqueue.v1.VideoQueue/GetVideo" in seen
    assert not [cell for cell in rows[DOMAIN + "probe"] if cell["how"] != "told"]


def test_nothing_can_be_done_that_the_console_may_not_do(console: Console) -> None:
    """All that these two views can do is done, and somebody else's video is still there."""
    ca_pem, authority = console.stack.authority.ca_pem, console.stack.authority
    uploader = Impostor("uploader", authority.issue(identity_named("client/uploader")))
    upload = upload_over_http(console.gateway.address, ca_pem, uploader, "mine")
    assert in_a_thread(upload).accepted
    before = in_a_thread(videos(console))
    since = {whom: console.server(whom).log.position() for whom in SERVERS}
    for whom in SERVERS:
        for who in EXPECTED:
            console.attempt(who, whom)
        look(console, whom)
    said = {whom: console.server(whom).log.events(since[whom]) for whom in SERVERS}
    assert in_a_thread(videos(console)) == before
    for whom, table in TABLES.items():
        for event in said[whom]:
            if event["event"] != "call.answered" or not event["identity"]:
                continue
            name = event["identity"].removeprefix(DOMAIN)
            if event["code"] not in {"403", "PERMISSION_DENIED", "UNAUTHENTICATED"}:
                assert name in table[event["method"]], event
                assert name in {"console", "gateway"}, event


def in_a_thread(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run it there: a browser of other tests has an event loop of its own in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


async def videos(console: Console) -> list[Any]:
    async with (
        console.stack.session("client/viewer", console.gateway) as session,
        session.get("/videos") as response,
    ):
        listed: list[Any] = (await response.json())["videos"]
        return listed


def test_only_the_two_servers_can_be_asked(console: Console) -> None:
    status, problem = console.post("/api/access", {"whom": "localhost:22"})
    assert status == 400
    assert problem["fix"]
