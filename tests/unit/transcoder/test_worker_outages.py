"""A worker outlives its queue, says once what is wrong, and waits before it tries again."""

import grpc
import pytest

from tests.unit.transcoder.conftest import Child, Events, Server, Start, named
from tests.unit.transcoder.fake_queue import Call, FakeQueue

DENIED = (grpc.StatusCode.PERMISSION_DENIED, "transcoder may not call this.")
BUSY = (grpc.StatusCode.RESOURCE_EXHAUSTED, "Too many calls are waiting.")


async def test_it_asks_first_without_waiting_and_then_lets_the_queue_wait(
    server: Server, queue: FakeQueue, start: Start
) -> None:
    await start()
    await queue.came(Call("ClaimVideo"), times=2)
    assert queue.waits == [0, 30]


async def test_a_queue_that_comes_late_is_found(
    server: Server, queue: FakeQueue, start: Start, events: Events
) -> None:
    await server.stop()
    queue.add("first")
    await start()
    await server.start()
    await queue.completed("first")
    assert len(named(events, "queue.reached")) == 1


async def test_an_outage_is_told_once_and_its_end_too(
    server: Server, queue: FakeQueue, start: Start, events: Events, child: Child
) -> None:
    await start()
    await queue.came(Call("ClaimVideo"), times=2)
    await server.stop()
    await server.start()
    queue.add("first")
    await queue.completed("first")
    names = [event["event"] for event in events if event["event"].startswith("queue.")]
    assert names == ["queue.reached", "queue.unreachable", "queue.reached"]


async def test_work_outlives_an_outage_that_is_shorter_than_the_lease(
    server: Server, queue: FakeQueue, child: Child, start: Start
) -> None:
    child.may_end.clear()
    queue.add("first")
    await start()
    await child.begins()
    await queue.came(Call("Heartbeat", "first", 0))
    await server.stop()
    await server.start()
    child.report(50)
    await queue.came(Call("Heartbeat", "first", 50))
    child.may_end.set()
    await queue.completed("first")
    assert child.cancelled == 0


@pytest.mark.parametrize("status", [DENIED, BUSY], ids=["denied", "busy"])
async def test_a_refusal_is_told_and_asked_again(
    server: Server,
    queue: FakeQueue,
    start: Start,
    events: Events,
    status: tuple[grpc.StatusCode, str],
) -> None:
    queue.fail("ClaimVideo", status)
    queue.add("first")
    await start()
    await queue.completed("first")
    [refused] = named(events, "queue.refused")
    assert status[1] in refused["reason"]
