"""Requests over warm connections, sent by autocannon (peer-node/load.js) from a core of its own."""

import json
import subprocess
from dataclasses import dataclass
from typing import Any, Final

from mtls.identity import Identity

from benchmarks.needs import NODE, NPM_FOLDER
from benchmarks.processes import on_core
from benchmarks.rounds import Sample
from benchmarks.stacks import Place, Stack

CONNECTIONS: Final = 16
VIDEO_BYTES: Final = 1024  # so few that a POST is about the metadata
_SECONDS: Final = 120


@dataclass(frozen=True, slots=True)
class Load:
    """What to send: `mix` is get, post, or both in turn."""

    mix: str
    requests: int


def measure_requests(place: Place, stack: Stack, load: Load, video_id: str = "") -> Sample:
    """Send the load; return requests/s, the percentiles in ms, and CPU ms of a request.

    Raises `RuntimeError` if a request fails: a refusal is quick, and would look good.
    """
    identity = place.client()
    gateway, queue = stack.gateway.cpu_seconds(), stack.queue.cpu_seconds()
    said = _run(
        place,
        {
            "url": stack.url,
            "mix": load.mix,
            "id": video_id,
            "requests": load.requests,
            "connections": CONNECTIONS,
            "video_bytes": VIDEO_BYTES,
            "tls": _files(identity) if stack.scheme == "https" else None,
        },
    )
    if said["failed"] or said["answers"] != load.requests:
        raise RuntimeError(f"{stack.name}: {said['failed']} of {load.requests} requests failed.")
    gateway = (stack.gateway.cpu_seconds() - gateway) * 1000 / load.requests
    queue = (stack.queue.cpu_seconds() - queue) * 1000 / load.requests
    return {
        "requests_per_second": said["requests_per_second"],
        "p50": said["p50_milliseconds"],
        "p99": said["p99_milliseconds"],
        "gateway_cpu": gateway,
        "queue_cpu": queue,
        "cpu": gateway + queue,
    }


def _run(place: Place, asked: dict[str, Any]) -> Any:
    with on_core(place.cores.client):
        done = subprocess.run(
            [NODE, NPM_FOLDER / "load.js"],
            input=json.dumps(asked).encode(),
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"The load generator has failed: {done.stderr.decode()[-2000:]}")
    return json.loads(done.stdout)


def _files(identity: Identity) -> dict[str, str]:
    folder = identity.folder
    return {
        "ca": str(folder / "ca-certificate.crt"),
        "certificate": str(folder / "certificate.crt"),
        "key": str(folder / "private-key.pem"),
    }
