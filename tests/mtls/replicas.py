"""Three queues, two gateways, three transcoders, and their stores: kill any at random.

    ./scripts/test_replicas --seconds 300

Uploaders send videos, each with a key until it is acknowledged. Then each watches its video
through the other gateway until it is done. At the end everything that was acknowledged has to be
there, whole, completed once, and every watch has to have heard of it.
"""

import argparse
import asyncio
import hashlib
import json
import os
import random
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from local_object_store import BUCKET, ObjectStore, local_object_store
from local_postgresql import QUEUE, LocalPostgresql, local_postgresql
from local_stack import Service, Stack, free_port
from pki.identity_folder import write_identity
from sample_video import make_sample_video

QUEUES, GATEWAYS, WORKERS = 3, 2, 3
UPLOADERS: Final = 3
PATIENCE_SECONDS: Final = 180
_PAUSE_SECONDS: Final = 0.2

# A name with three addresses, as Compose and Kubernetes give one: here by a library that answers in
# the C library's place (https://cwrap.org/nss_wrapper.html), for the processes that dial the name.
NSS_WRAPPER: Final = "libnss_wrapper.so"
_NAME: Final = "video-queue"

_QUEUE_SETTINGS: Final = {
    "VIDEO_QUEUE_LEASE_SECONDS": "3",
    "VIDEO_QUEUE_MAX_ATTEMPTS": "100",  # so many kills would use up any usual number
}
_WORKER_SETTINGS: Final = {"TRANSCODER_RETRY_SECONDS": "0.5", "TRANSCODER_WAIT_SECONDS": "2"}


def has_nss_wrapper() -> bool:
    """Whether a name can be given several addresses here."""
    return any(Path("/usr/lib").glob(f"*/{NSS_WRAPPER}"))


@dataclass
class Figures:
    """What a run has done, and what it has found."""

    seconds: float = 0
    kills: Counter[str] = field(default_factory=Counter)
    acknowledged: dict[str, str] = field(default_factory=dict)
    """The SHA-256 of each video that was acknowledged, by its ID."""
    lost: set[str] = field(default_factory=set)
    completed: Counter[str] = field(default_factory=Counter)
    watched: int = 0
    queues_used: Counter[str] = field(default_factory=Counter)

    @property
    def completed_twice(self) -> int:
        """How many videos were reported completed more than once."""
        return sum(times > 1 for times in self.completed.values())

    def __str__(self) -> str:
        kills = ", ".join(f"{kind} {times}" for kind, times in sorted(self.kills.items()))
        return (
            f"{self.seconds:.0f} s, {self.kills.total()} kills: {kills}\n"
            f"uploads acknowledged: {len(self.acknowledged)}, lost: {len(self.lost)}, "
            f"completed twice: {self.completed_twice}\n"
            f"watches that heard of the end, through the other gateway: {self.watched}\n"
            f"uploads stored by each queue: {', '.join(map(str, self.queues_used.values()))}"
        )


class Fleet:
    """All processes, each of which can be killed and started again."""

    def __init__(self, stack: Stack, database: LocalPostgresql, files: ObjectStore) -> None:
        self.stack, self.database, self.files = stack, database, files
        addresses = [f"127.0.0.{number + 1}" for number in range(QUEUES)]
        self._port = free_port(*addresses)
        self._gateway_ports: list[int] = []
        hosts = stack.folder / "hosts"
        lines = [f"{address} {_NAME}\n" for address in addresses]
        hosts.write_text("127.0.0.1 localhost\n" + "".join(lines))
        self._resolving = {
            "LD_PRELOAD": NSS_WRAPPER,
            "NSS_WRAPPER_HOSTS": str(hosts),
            "GRPC_DNS_RESOLVER": "native",
        }
        self.queues: list[Service] = []
        self.gateways: list[Service] = []
        self.workers: list[Service] = []

    def start(self) -> None:
        """Start everything."""
        for number in range(QUEUES):
            self.queues.append(self._queue(number))
        for number in range(GATEWAYS):
            self._gateway_ports.append(free_port())
            self.gateways.append(self._gateway(number))
        for number in range(WORKERS):
            self.workers.append(self._worker(number))

    def _queue(self, number: int) -> Service:
        return self.stack.start_queue(
            f"127.0.0.{number + 1}:{self._port}",
            f"video-queue-{number}",
            VIDEO_QUEUE_DATABASE_URL=self.database.url,
            VIDEO_QUEUE_FILES=f"s3://{BUCKET}",
            VIDEO_QUEUE_FILES_ENDPOINT=self.files.endpoint,
            **self.files.environment,
            **_QUEUE_SETTINGS,
        )

    def _gateway(self, number: int) -> Service:
        queue, listen = f"{_NAME}:{self._port}", f"127.0.0.1:{self._gateway_ports[number]}"
        return self.stack.start_gateway(queue, listen, f"gateway-{number}", **self._resolving)

    def _worker(self, number: int) -> Service:
        return self.stack.start_transcoder(
            f"{_NAME}:{self._port}", number, **_WORKER_SETTINGS, **self._resolving
        )

    def strike_behind(self, chance: random.Random) -> str:
        """Kill a queue or one of its stores, and start it again; return its kind."""
        victim = chance.randrange(QUEUES + 2)
        if victim < QUEUES:
            self.queues[victim].kill()
            self.queues[victim] = self._again(lambda: self._queue(victim))
            return "video-queue"
        is_database = victim == QUEUES
        store: LocalPostgresql | ObjectStore = self.database if is_database else self.files
        store.kill()
        time.sleep(chance.uniform(0, 1))
        store.start()
        return "database" if is_database else "object store"

    def strike_in_front(self, chance: random.Random) -> str:
        """Kill a client of the queues, and start it again; return its kind."""
        victim = chance.randrange(GATEWAYS + WORKERS)
        if victim < GATEWAYS:
            self.gateways[victim].kill()
            self.gateways[victim] = self._again(lambda: self._gateway(victim))
            return "gateway"
        victim -= GATEWAYS
        self.workers[victim].kill()
        self.workers[victim] = self._again(lambda: self._worker(victim))
        return "transcoder"

    @staticmethod
    def _again(start: Callable[[], Service]) -> Service:
        """Start a process; what its supervisor would do again if it ends, we do again."""
        for _ in range(5):
            with suppress(RuntimeError):
                return start()
        return start()

    def stop(self) -> None:
        """End everything in order."""
        for service in (*self.workers, *self.gateways, *self.queues):
            service.stop()


class People:
    """Clients of both gateways, who do not give up."""

    def __init__(self, fleet: Fleet, source: bytes, figures: Figures) -> None:
        self._fleet, self._source, self._figures = fleet, source, figures
        self.is_over = asyncio.Event()

    async def upload_and_watch(self, number: int) -> None:
        """Upload one video after the other, each watched to its end."""
        count = 0
        while not self.is_over.is_set():
            content = self._source + f"\nuploader {number}, video {count}".encode()
            count += 1
            video_id = await self._upload(number % GATEWAYS, content)
            self._figures.acknowledged[video_id] = hashlib.sha256(content).hexdigest()
            await self._watch((number + 1) % GATEWAYS, video_id)
            self._figures.watched += 1

    async def _upload(self, gateway: int, content: bytes) -> str:
        headers = {"Idempotency-Key": f'"{uuid.uuid4()}"'}
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                form = aiohttp.FormData({"title": "survivor"})
                form.add_field("file", content, filename="a.mp4", content_type="video/mp4")
                with suppress(aiohttp.ClientError):
                    async with (
                        self.session(gateway) as session,
                        session.post("/videos", data=form, headers=headers) as response,
                    ):
                        body = await response.json(content_type=None)
                        if response.status == 201:
                            return str(body["id"])
                        assert response.status in {409, 503, 504}, body
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _watch(self, gateway: int, video_id: str) -> None:
        """Return when a stream of events has said that the video is completed."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                with suppress(aiohttp.ClientError):
                    async with (
                        self.session(gateway) as session,
                        session.get(f"/videos/{video_id}/events") as response,
                    ):
                        assert response.status in {200, 503, 504}, await response.text()
                        if response.status == 200 and await _hears_the_end(response):
                            return
                await asyncio.sleep(_PAUSE_SECONDS)

    async def check(self, video_id: str, sha256: str) -> bool:
        """Return whether a video is there, whole, completed, and has all of its renditions."""
        video = await self._json(f"/videos/{video_id}")
        if video.get("status") != "completed":
            return False
        names = [rendition["name"] for rendition in video["renditions"]]
        hashes = [(f"/videos/{video_id}/source", sha256)]
        hashes += [(rendition["url"], rendition["sha256"]) for rendition in video["renditions"]]
        found = [await self._sha256(path) == expected for path, expected in hashes]
        return names == ["360p", "thumbnail"] and all(found)

    async def _json(self, path: str) -> dict[str, Any]:
        async with self.session(0) as session, session.get(path) as response:
            body: dict[str, Any] = await response.json(content_type=None)
            return body

    async def _sha256(self, path: str) -> str:
        async with self.session(0) as session, session.get(path) as response:
            return hashlib.sha256(await response.read()).hexdigest()

    def session(self, gateway: int) -> aiohttp.ClientSession:
        """Return a session with a gateway as the uploader."""
        return self._fleet.stack.session("client/uploader", self._fleet.gateways[gateway])


async def _hears_the_end(response: aiohttp.ClientResponse) -> bool:
    async for line in response.content:
        if line.startswith(b"data: "):
            video = json.loads(line.removeprefix(b"data: "))
            assert video.get("status") != "failed", video
            if video.get("status") == "completed":
                return True
    return False


async def _kill_at_random(
    strike: Callable[[random.Random], str], figures: Figures, seconds: float, seed: int
) -> None:
    end = time.monotonic() + seconds
    chance = random.Random(seed)  # noqa: S311  no secret
    while time.monotonic() < end:
        await asyncio.sleep(chance.uniform(0, 2))
        figures.kills[await asyncio.to_thread(strike, chance)] += 1


async def run(folder: Path, seconds: float, seed: int) -> Figures:
    """Kill at random for so long, then see what is left. Raises when something does not end."""
    stack, figures = Stack(folder), Figures()
    stack.write_certificates()
    authority = stack.authority
    write_identity(
        stack.certs / _NAME, authority.issue(QUEUE), authority.ca_pem, crl_pem=authority.crl()
    )
    make_sample_video(folder / "source.mp4", seconds=1, width=320, height=180)
    (folder / "store").mkdir()
    with ExitStack() as servers:
        database = servers.enter_context(local_postgresql(authority, fast=False))
        files = servers.enter_context(local_object_store(folder / "store", authority))
        begin = time.monotonic()
        fleet = Fleet(stack, database, files)
        try:
            await asyncio.to_thread(fleet.start)
            people = People(fleet, (folder / "source.mp4").read_bytes(), figures)
            async with asyncio.TaskGroup() as group:
                for number in range(UPLOADERS):
                    group.create_task(people.upload_and_watch(number))
                async with asyncio.TaskGroup() as killers:
                    for strike in (fleet.strike_behind, fleet.strike_in_front):
                        killers.create_task(_kill_at_random(strike, figures, seconds, seed))
                people.is_over.set()
            for video_id, sha256 in figures.acknowledged.items():
                if not await people.check(video_id, sha256):
                    figures.lost.add(video_id)
        finally:
            await asyncio.to_thread(fleet.stop)
        figures.seconds = time.monotonic() - begin
    _read_logs(fleet, figures)
    return figures


def _read_logs(fleet: Fleet, figures: Figures) -> None:
    for queue in fleet.queues:
        for event in queue.log.events():
            if event["event"] == "video.status" and event["status"] == "completed":
                figures.completed[event["video"]] += 1
            if event["event"] == "video.stored":
                figures.queues_used[queue.name] += 1


def main() -> None:
    """Run for as long as the command line says, and print the figures."""
    parser = argparse.ArgumentParser(prog="scripts/test_replicas", description=__doc__)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(run(Path(folder), arguments.seconds, arguments.seed))
    print(figures)
    sys.exit(bool(figures.lost or figures.completed_twice))


if __name__ == "__main__":
    os.environ.pop("LD_PRELOAD", None)
    main()
