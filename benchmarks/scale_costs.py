"""What one video and one certificate cost, for docs/scale.md: measured on services that run.

The other costs there are those of benchmarks/results.json. All of this is CPU time, which hardly
depends on what else the machine does.
"""

import asyncio
import datetime as dt
import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, cast

from mtls.certificates import Role
from mtls.identity import load_identity

import aiohttp
import av
from av.video.frame import VideoFrame

from benchmarks.machine import environment
from demo_identities import IDENTITIES, identity_named
from local_stack import ROOT, Service, Stack, running_stack
from pki.authority import Authority
from sample_video import make_sample_video

COSTS: Final = ROOT / "benchmarks" / "scale.json"
SIZES: Final = {"1080p": (1920, 1080), "720p": (1280, 720)}
_SECONDS: Final = 10
_BITS_PER_SECOND: Final = {(1920, 1080): 8_000_000, (1280, 720): 4_000_000}  # as a phone records
_POLL_SECONDS: Final = 0.005
_MEGABYTES: Final = 100
_ROUNDS: Final = 3
_LEAVES: Final = 200
_PROBES: Final = 5
_NOISE: Final = "alls=8:allf=t"  # grain as of a small camera: a clean test picture is too easy
_WRITING: Final = ("Upload", "PublishRendition", "UpdateVideoStatus")  # a transaction each
_WAIT_SECONDS: Final = 900
_TICKS: Final = os.sysconf("SC_CLK_TCK")


def measure() -> Mapping[str, Any]:
    """Return all costs; times are CPU seconds or milliseconds, as their names say."""
    with tempfile.TemporaryDirectory(prefix="mtls-scale-") as folder:
        with running_stack(Path(folder)) as (stack, queue, gateway):
            transfers = asyncio.run(_transfers(stack, queue, gateway))
            probe = _probe_milliseconds(stack, queue)
        with running_stack_with_log(Path(folder) / "videos") as (stack, queue, gateway):
            videos = {
                name: _convert(Path(folder), stack, queue, gateway, size)
                for name, size in SIZES.items()
            }
        return {
            "measured": f"{dt.datetime.now(dt.UTC):%Y-%m-%d}",
            "processor": environment()["processor"],
            "transcoding": videos,
            "share_of_gateway": transfers,
            "probe_cpu_ms": probe,
            "leaf_cpu_ms": _leaf_milliseconds(),
            "load_identity_cpu_ms": _load_milliseconds(stack_folder=Path(folder)),
        }


def write_costs() -> None:
    """Measure, and write the file."""
    COSTS.write_text(json.dumps(measure(), indent=1) + "\n", "utf-8")


@contextmanager
def running_stack_with_log(folder: Path) -> Iterator[tuple[Stack, Service, Service]]:
    """Yield a stack whose queue has a line for each call that it answered."""
    folder.mkdir()
    stack = Stack(folder)
    stack.write_certificates()
    with (
        stack.start_queue(LOG_LEVEL="debug") as queue,
        stack.start_gateway(queue.address) as gateway,
    ):
        yield stack, queue, gateway


def _convert(
    folder: Path, stack: Stack, queue: Service, gateway: Service, size: tuple[int, int]
) -> Mapping[str, Any]:
    """Have one video converted by a worker; return what that cost for each second of it."""
    path = folder / f"{size[1]}.mp4"
    make_grainy_video(path, seconds=_SECONDS, size=size)
    since = queue.log.position()
    with (
        stack.start_transcoder(queue.address, TRANSCODER_THREADS="2") as worker,
        counting_commits(stack.folder / "data" / "video-queue.db") as commits,
    ):
        before, begin = cpu_seconds(worker.process.pid), time.monotonic()
        made = asyncio.run(_upload_and_wait(stack, gateway, path.read_bytes()))
        used, lasted = cpu_seconds(worker.process.pid) - before, time.monotonic() - begin
    calls = Counter(
        str(event["method"]).rpartition("/")[2]
        for event in queue.log.events(since)
        if event["event"] == "call.answered"
    )
    writes = {"ClaimVideo": 1, **{each: calls[each] for each in _WRITING}}
    return {
        "cpu_seconds_per_second": round(used / _SECONDS, 3),
        "source_megabytes_per_second": round(path.stat().st_size / 1e6 / _SECONDS, 3),
        "renditions_megabytes_per_second": {
            name: round(size_bytes / 1e6 / _SECONDS, 3) for name, size_bytes in made.items()
        },
        "writes": writes,
        "heartbeats_per_second": round((commits() - sum(writes.values())) / lasted, 2),
    }


@contextmanager
def counting_commits(database: Path) -> Iterator[Callable[[], int]]:
    """Count the transactions that other processes commit, from now on; two at once count as one.

    https://www.sqlite.org/pragma.html#pragma_data_version
    """
    seen: set[int] = set()
    ended = threading.Event()

    def count() -> None:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            while not ended.wait(_POLL_SECONDS):
                seen.add(int(connection.execute("PRAGMA data_version").fetchone()[0]))

    thread = threading.Thread(target=count)
    thread.start()
    try:
        yield lambda: len(seen) - 1
    finally:
        ended.set()
        thread.join()


def make_grainy_video(path: Path, *, seconds: int, size: tuple[int, int]) -> None:
    """Write a moving test picture with grain, and a tone."""
    clean = path.with_suffix(".clean.mp4")
    make_sample_video(clean, seconds=seconds, width=size[0], height=size[1])
    with av.open(clean) as source, av.open(path, "w") as target:
        pictures, sound = source.streams.video[0], source.streams.audio[0]
        video = target.add_stream("libx264", rate=25, options={"preset": "veryfast"})
        video.bit_rate = _BITS_PER_SECOND[size]
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        copied = target.add_stream_from_template(sound)
        graph = av.filter.Graph()
        chain = (graph.add_buffer(template=pictures), graph.add("noise", _NOISE))
        graph.link_nodes(*chain, graph.add("buffersink")).configure()
        for packet in source.demux(pictures, sound):
            if packet.stream is sound:
                if packet.dts is not None:
                    packet.stream = copied
                    target.mux(packet)
                continue
            for frame in packet.decode():
                graph.push(cast("VideoFrame", frame))
                grainy = cast("VideoFrame", graph.pull())
                target.mux(video.encode(grainy))
        target.mux(video.encode())


async def _upload_and_wait(stack: Stack, gateway: Service, content: bytes) -> Mapping[str, int]:
    """Upload a video; return the size of each rendition once it is completed."""
    async with asyncio.timeout(_WAIT_SECONDS), stack.session("client/uploader", gateway) as session:
        form = aiohttp.FormData({"title": "Measured"})
        form.add_field("file", content, filename="video.mp4", content_type="video/mp4")
        async with session.post("/videos", data=form) as response:
            video = await response.json()
        while video["status"] not in {"completed", "failed"}:
            await asyncio.sleep(0.5)
            async with session.get(f"/videos/{video['id']}") as response:
                video = await response.json()
        if video["status"] != "completed":
            raise RuntimeError(video)
        return {each["name"]: each["size_bytes"] for each in video["renditions"]}


async def _transfers(stack: Stack, queue: Service, gateway: Service) -> Mapping[str, float]:
    """Return the gateway's share of the CPU of an upload and a download; the queue has the rest."""
    shares: dict[str, list[float]] = {"upload": [], "download": []}
    async with stack.session("client/uploader", gateway) as session:
        for _ in range(_ROUNDS):
            before = _both(gateway, queue)
            form = aiohttp.FormData({"title": "Large"})
            content = os.urandom(_MEGABYTES * 1_000_000)
            form.add_field("file", content, filename="video.mp4", content_type="video/mp4")
            async with session.post("/videos", data=form) as response:
                video = await response.json()
            between = _both(gateway, queue)
            async with session.get(f"/videos/{video['id']}/source") as response:
                async for _chunk in response.content.iter_any():
                    pass
            after = _both(gateway, queue)
            shares["upload"].append(_share(before, between))
            shares["download"].append(_share(between, after))
            async with session.delete(f"/videos/{video['id']}"):
                pass
    return {way: round(sorted(each)[len(each) // 2], 2) for way, each in shares.items()}


def _both(gateway: Service, queue: Service) -> tuple[float, float]:
    return cpu_seconds(gateway.process.pid), cpu_seconds(queue.process.pid)


def _share(before: tuple[float, float], after: tuple[float, float]) -> float:
    gateway, queue = after[0] - before[0], after[1] - before[1]
    return gateway / (gateway + queue)


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and of its children that have ended (proc(5), stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS


def _probe_milliseconds(stack: Stack, queue: Service) -> float:
    """Return the CPU time of one health check, from the start of Python to its end."""
    command = [sys.executable, "-m", "runtime.healthcheck", f"tls://{queue.address}"]
    identity = ["--identity", str(stack.certs / "video-queue")]
    before = _children_seconds()
    for _ in range(_PROBES):
        subprocess.run([*command, *identity], check=True, env={"PYTHONPATH": "services"}, cwd=ROOT)
    return round((_children_seconds() - before) * 1000 / _PROBES, 1)


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _leaf_milliseconds() -> float:
    """Return the CPU time of a key and a leaf, signed by the issuing CA."""
    authority, gateway = Authority.create(IDENTITIES), identity_named("gateway")
    before = time.process_time()
    for _ in range(_LEAVES):
        authority.issue(gateway)
    return round((time.process_time() - before) * 1000 / _LEAVES, 3)


def _load_milliseconds(stack_folder: Path) -> float:
    """Return the CPU time in which a service reads and checks its new files."""
    folder = stack_folder / "certs" / "gateway"
    before = time.process_time()
    for _ in range(_LEAVES):
        load_identity(folder, roles=frozenset({Role.SERVER, Role.CLIENT}))
    return round((time.process_time() - before) * 1000 / _LEAVES, 3)
