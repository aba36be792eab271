"""The pace of heartbeats: a flood is slowed down, a silence and the end of the server end them."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.unit.video_queue.conftest import until
from video_queue.api import streams
from video_queue.api.streams import paced
from video_queue.domain.errors import ShuttingDown, StreamStalled
from video_queue.domain.notifier import Notifier


async def silence() -> AsyncIterator[str]:
    await asyncio.Event().wait()
    yield "never"


async def flood() -> AsyncIterator[str]:
    while True:
        yield "beat"


async def test_a_flood_is_read_at_the_pace_of_the_pauses() -> None:
    """What is not read stays with its sender."""
    requests = paced(flood(), Notifier(), longest_pause_seconds=60)
    begun = asyncio.get_running_loop().time()
    for _ in range(4):
        await anext(requests)
    took = asyncio.get_running_loop().time() - begun
    assert took >= 3 * streams._SHORTEST_PAUSE_SECONDS - 0.01  # noqa: SLF001  a lower bound
    await requests.aclose()


async def test_a_stream_that_the_client_ends_ends() -> None:
    async def two() -> AsyncIterator[int]:
        yield 1
        yield 2

    requests = paced(two(), notifier := Notifier(), longest_pause_seconds=60)
    assert [request async for request in requests] == [1, 2]
    assert notifier.subscribers == 0


async def test_a_silent_stream_is_ended() -> None:
    notifier = Notifier()
    with pytest.raises(StreamStalled):
        await anext(paced(silence(), notifier, longest_pause_seconds=0.01))
    assert notifier.subscribers == 0


async def test_a_stream_is_sent_away_at_the_end() -> None:
    notifier = Notifier()
    waiting = asyncio.ensure_future(anext(paced(silence(), notifier, longest_pause_seconds=60)))
    await until(lambda: notifier.subscribers == 1)
    notifier.close()
    with pytest.raises(ShuttingDown):
        await waiting


async def test_the_pause_after_a_heartbeat_is_cut_short_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streams, "_SHORTEST_PAUSE_SECONDS", 3600)
    requests = paced(flood(), notifier := Notifier(), longest_pause_seconds=3600)
    await anext(requests)
    notifier.close()
    async with asyncio.timeout(30):
        with pytest.raises(ShuttingDown):
            await anext(requests)


async def test_a_stream_that_is_cancelled_leaves_nothing_behind() -> None:
    notifier = Notifier()
    waiting = asyncio.ensure_future(anext(paced(silence(), notifier, longest_pause_seconds=60)))
    await until(lambda: notifier.subscribers == 1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.sleep(0)
    assert notifier.subscribers == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}
