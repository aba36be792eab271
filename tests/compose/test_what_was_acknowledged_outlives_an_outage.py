"""The queue is away, in every way it can be: callers hear so, and it heals by itself.

Who repeats an upload with its key has uploaded it once, whether or not it had arrived before.
"""

import os
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import pytest

from tests.compose.fragile import cut_off, join, until_served
from tests.compose.project import Project
from tests.compose.waiting import wait_for

_QUEUE: Final = "video-queue"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is injected, how it is taken back, and the statuses that are seen meanwhile."""

    inject: Callable[[Project], None]
    end: Callable[[Project], None]
    seen: frozenset[int]


FAULTS: Final[Mapping[str, Fault]] = {
    # A process that ends closes its connections. Then nobody is at its address any more: who calls
    # is told so when the kernel gives up looking, or before that by its own deadline.
    "it is killed": Fault(
        lambda project: project.container(_QUEUE).kill(),
        lambda project: project.container(_QUEUE).start(),
        frozenset({503, 504}),
    ),
    "it is stopped": Fault(
        lambda project: project.container(_QUEUE).stop(),
        lambda project: project.container(_QUEUE).start(),
        frozenset({503, 504}),
    ),
    # The connection is open, and nobody answers.
    "it hangs": Fault(
        lambda project: project.container(_QUEUE).pause(),
        lambda project: project.container(_QUEUE).unpause(),
        frozenset({504}),
    ),
    # As if a cable was pulled: both sides have an open connection, and hear nothing.
    "its network is cut": Fault(
        lambda project: cut_off(project, _QUEUE),
        lambda project: join(project, _QUEUE),
        frozenset({503, 504}),
    ),
    "the gateway's network is cut": Fault(
        lambda project: cut_off(project, "gateway"),
        lambda project: join(project, "gateway"),
        frozenset({503, 504}),
    ),
}


def started_at(project: Project, service: str) -> str:
    return str(project.container(service).attrs["State"]["StartedAt"])


@pytest.mark.parametrize("name", FAULTS)
def test_it_is_told_it_heals_and_nothing_is_lost(fragile: Project, name: str) -> None:
    """Injected: one of FAULTS. Seen: its statuses, at the gateway's deadline and not the client's.

    That is 3 seconds here, where the client waits for 30.
    """
    fault, title, content = FAULTS[name], f"title {uuid.uuid4()}", os.urandom(300_000)
    until_served(fragile)
    since = started_at(fragile, "gateway")
    acknowledged = fragile.upload(f"{title}, acknowledged", content)
    key = {"Idempotency-Key": f'"{uuid.uuid4()}"'}

    fault.inject(fragile)
    try:
        with ThreadPoolExecutor() as at_once:
            asked = [
                at_once.submit(fragile.request, "GET", f"/videos/{acknowledged}"),
                at_once.submit(fragile.request, "GET", "/healthz"),
                at_once.submit(fragile.try_upload, title, content, **key),
            ]
        answers = [answer.result() for answer in asked]
    finally:
        fault.end(fragile)
    assert {answer.status for answer in answers} <= fault.seen, answers
    for answer in answers:
        assert ("Retry-After" in answer.headers) == (answer.status == 503)
        assert "try again" in answer.json["detail"]

    until_served(fragile)
    assert started_at(fragile, "gateway") == since
    assert fragile.source(acknowledged) == content

    def stored() -> bool:
        answer = fragile.try_upload(title, content, **key)
        assert answer.status in {201, 409}, answer  # 409: what was under way has not ended yet
        return answer.status == 201

    for _ in range(2):
        wait_for(stored, "the end of the attempt before")
    videos = fragile.request("GET", "/videos?page_size=200").json["videos"]
    assert [video["title"] for video in videos].count(title) == 1
