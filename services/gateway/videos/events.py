"""Server-sent events: the WHATWG HTML standard, section 9.2."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import orjson

from gateway.videos.errors import VideoNotFound
from gateway.videos.video_json import video_json
from videoqueue_api.v1.video_queue_pb2 import Video

RETRY: Final = b"retry: 3000\n\n"  # a browser that loses the connection comes back after 3 seconds
HEARTBEAT: Final = b": still here\n\n"


def event_id(video: Video) -> str:
    """Return the id of `status_event(video)`: a browser that comes back sends the last it saw."""
    return video.updated_at.ToJsonString()


def status_event(video: Video) -> bytes:
    """Return the event that says how `video` is."""
    return _event("status", video_json(video), f"id: {event_id(video)}\n")


def deleted_event(video_id: str) -> bytes:
    """Return the event that says that there is no such video any more."""
    return _event("deleted", {"id": video_id})


def _event(name: str, data: dict[str, Any], more: str = "") -> bytes:
    # JSON as orjson writes it has no line break in it, which would end the field.
    return b"event: %b\n%bdata: %b\n\n" % (name.encode(), more.encode(), orjson.dumps(data))


async def relay(
    video_id: str,
    videos: AsyncIterator[Video],
    write: Callable[[bytes], Awaitable[None]],
    *,
    heartbeat_seconds: float,
    until: Awaitable[object],
) -> None:
    """Write an event for each of `videos`, and a comment when there was none for a while.

    The comment keeps the connection open in proxies, and shows us whether the client is there.
    Ends with `videos`, or as soon as `until` is done.
    """
    ending = asyncio.ensure_future(until)
    following = asyncio.ensure_future(anext(videos, None))
    try:
        while True:
            done, _ = await asyncio.wait(
                {following, ending},
                timeout=heartbeat_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if following in done:
                if (video := following.result()) is None:
                    return
                await write(status_event(video))
                following = asyncio.ensure_future(anext(videos, None))
            elif ending in done:
                return
            else:
                await write(HEARTBEAT)
    except VideoNotFound:
        await write(deleted_event(video_id))
    finally:
        following.cancel()
        ending.cancel()
        await asyncio.gather(following, ending, return_exceptions=True)
