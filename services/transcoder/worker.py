"""The worker: takes one video after the other, makes its renditions, and says what became of it."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, aclosing
from dataclasses import replace
from functools import partial
from math import inf
from pathlib import Path
from typing import Final, NoReturn, Protocol

import structlog

from transcoder.config import Config
from transcoder.errors import MediaError, TranscoderError
from transcoder.job import MediaFile
from transcoder.lease import Backoff, Progress, keep_lease, while_kept
from transcoder.queue_client import QueueClient
from transcoder.queue_errors import QueueError, TryAgain, WorkLost
from transcoder.sandbox.limits import Limits
from transcoder.scratch import temporary_folder
from videoqueue_api.v1 import video_queue_pb2 as api

_log = structlog.get_logger(__name__)

_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_TROUBLE: Final = 20  # times the longest pause of an outage


class WrongSource(TranscoderError):
    """The queue sent other bytes than it said: see whether its disk is damaged."""


class Transcode(Protocol):
    """What `transcoder.sandbox.supervisor.run_job` does with a job."""

    async def __call__(  # noqa: D102
        self, source: Path, folder: Path, limits: Limits, on_progress: Callable[[int], None]
    ) -> tuple[MediaFile, ...]: ...


class Worker:
    """Works on one video at a time, in `folder`."""

    def __init__(
        self,
        queue: QueueClient,
        folder: Path,
        config: Config,
        transcode: Transcode,
    ) -> None:
        self._queue = queue
        self._folder = folder
        self._config = config
        self._transcode = transcode

    async def run(self) -> NoReturn:
        """Work until cancelled.

        A worker in trouble, its disk full perhaps, would use up the attempts of one video after
        the other. So it pauses, and leaves them to workers that are well.
        """
        trouble = self._trouble()
        while True:
            claim = await self._claim()
            log = _log.bind(video=claim.video.id, attempt=claim.attempt)
            log.info("video.claimed", size_bytes=claim.video.size_bytes)
            try:
                await self._work_on(claim, log)
                trouble.reset()
            except WorkLost as error:
                log.warning("work.lost", reason=str(error))
            except (TranscoderError, OSError) as error:
                log.warning("work.given_up", reason=str(error), notes=_notes(error))
                await trouble.pause()
            except Exception:  # a surprise costs one video and not the worker
                log.exception("work.given_up")
                await trouble.pause()

    async def _claim(self) -> api.Claim:
        outage, trouble = self._outage(), self._trouble()
        while True:
            try:
                if claim := await self._queue.claim():
                    return claim
                outage.reset()
            except TryAgain:
                await outage.pause()
            except QueueError as error:
                _log.error("queue.refused", reason=str(error))
                await trouble.pause()

    async def _work_on(self, claim: api.Claim, log: structlog.stdlib.BoundLogger) -> None:
        """Make the renditions, and report that they are complete, or why there are none.

        After any other exception than `MediaError` nothing is reported: the lease runs out, and
        another attempt is made.
        """
        begin, progress = time.monotonic(), Progress()
        keeping = keep_lease(self._queue, claim, progress, self._config)
        # No heartbeat after the report: the report ends the lease.
        try:
            renditions = await while_kept(keeping, self._make(claim, progress))
        except MediaError as error:
            await self._report(claim, api.VIDEO_STATUS_FAILED, str(error))
            log.warning("video.failed", reason=str(error), notes=_notes(error))
        else:
            await self._report(claim, api.VIDEO_STATUS_COMPLETED)
            seconds = round(time.monotonic() - begin, 1)
            log.info("video.completed", renditions=renditions, seconds=seconds)

    async def _make(self, claim: api.Claim, progress: Progress) -> list[str]:
        """Fetch the source, make the files, publish them; return their names."""
        await self._report(claim, api.VIDEO_STATUS_PROCESSING)
        with temporary_folder(self._folder) as folder, ExitStack() as opened:
            source, made = folder / "source", folder / "made"
            await self._insist(claim, partial(self._fetch, claim, source))
            files = await self._transcode(source, made, self._limits(claim), progress.report)
            for file in files:
                opened.enter_context(file.content)
            for file in files:
                await self._insist(claim, partial(self._queue.publish, claim.lease, file))
            return [file.name for file in files]

    def _limits(self, claim: api.Claim) -> Limits:
        """Return our limits, or the queue's where that is lower: what it refuses is not made."""
        ours = self._config.limits
        of_queue = claim.max_rendition_bytes or ours.output_bytes  # an older queue names none
        return replace(ours, output_bytes=min(ours.output_bytes, of_queue))

    async def _fetch(self, claim: api.Claim, path: Path) -> None:
        async with aclosing(self._queue.fetch_source(claim.lease)) as chunks:
            await download(chunks, path, claim.video)

    async def _report(
        self, claim: api.Claim, status: "api.VideoStatus.ValueType", failure_reason: str = ""
    ) -> None:
        call = partial(self._queue.report, claim.lease, status, failure_reason=failure_reason)
        await self._insist(claim, call)

    async def _insist(self, claim: api.Claim, call: Callable[[], Awaitable[None]]) -> None:
        """Call again after a call that broke off, but for no longer than a lease lasts."""
        now, backoff = asyncio.get_running_loop().time, self._outage()
        give_up_at = inf
        while True:
            try:
                return await call()
            except TryAgain:
                give_up_at = min(give_up_at, now() + claim.lease_seconds)
                if now() >= give_up_at:
                    raise
                await backoff.pause()

    def _outage(self) -> Backoff:
        return Backoff(_FIRST_PAUSE_SECONDS, self._config.retry_seconds)

    def _trouble(self) -> Backoff:
        longest = self._config.retry_seconds
        return Backoff(longest, _LONGEST_TROUBLE * longest)


async def download(chunks: AsyncIterator[bytes], path: Path, video: api.Video) -> None:
    """Write the chunks to a file. Raises `WrongSource` if they are not those of the video."""
    digest, size_bytes = hashlib.sha256(), 0
    with path.open("wb") as file:
        async for chunk in chunks:
            size_bytes += len(chunk)
            if size_bytes > video.size_bytes:
                raise WrongSource
            await asyncio.to_thread(file.write, chunk)
            digest.update(chunk)
    if (size_bytes, digest.digest()) != (video.size_bytes, video.sha256):
        raise WrongSource


def _notes(error: Exception) -> list[str]:
    """Return the last lines that the process which worked on the video has written."""
    return getattr(error, "__notes__", [])
