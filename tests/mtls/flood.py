"""A flood of clients that are refused, while an honest one goes on: for how long is up to you.

    PYTHONPATH=services:protos/gen:scripts:. python -m tests.mtls.flood --rate 1000 --seconds 30

starts both servers, floods one after the other, and prints for each what it took. The last three
lines of each must agree: refusals made, refusals counted, and refusals logged or summed up.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from mtls.certificates import Role
from mtls.grpc_endpoint import channel_credentials
from mtls.http_endpoint import client_context
from mtls.identity import load_identity
from mtls.refusals import Reason

import aiohttp
import grpc.aio

from impostors import impostors
from local_stack import Service, Stack
from pki.identities import identity_named
from tests.mtls.attackers import Attacker, attack
from tests.mtls.scrape import Samples, sample, scrape
from videoqueue_api.v1 import video_queue_pb2, video_queue_pb2_grpc

METRICS: Final = "127.0.0.1:0"
_PROCESSES: Final = 2
_TIMEOUT_SECONDS: Final = 30
_PAUSE_SECONDS: Final = 0.05
_HONEST: Final = {"gateway": "client/uploader", "video-queue": "gateway"}
_ENDPOINTS: Final = {"gateway": "http", "video-queue": "grpc"}
_METHODS: Final = {"gateway": "GET /videos", "video-queue": "/videoqueue.v1.VideoQueue/ListVideos"}


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a flood: refusals by reason, and the honest calls; memory in MiB over time."""

    seconds: float
    made: Counter[str]
    counted: Counter[str]
    lines: Counter[str]
    left_out: Counter[str]
    honest_seconds: list[float]
    honest_counted: int
    resident_mib: list[float]


def attackers(stack: Stack, name: str) -> dict[str, Attacker]:
    """Return for each reason a client that is refused for it, and pretends to be `name`."""
    ca_pem = stack.authority.ca_pem
    return {
        kind.reason: Attacker(
            kind.reason,
            ca_pem,
            kind.certificate.key_pair_pem if kind.certificate else None,
            kind.speaks_tls,
        )
        for kind in impostors(stack.authority, name, unlisted="probe")
        if kind.reason != "not_listed"
    }


async def flood(
    stack: Stack,
    service: Service,
    *,
    total: int,
    rate: float | None = None,
    reasons: Sequence[str] = (),
) -> Result:
    """Make `total` refusals, `rate` a second or as many as go, and honest calls until they end.

    They take turns through `reasons`, or through all that there are.
    """
    kinds = attackers(stack, _HONEST[service.name])
    chosen = [kinds[reason] for reason in reasons or kinds]
    before, since = scrape(stack, service), service.log.position()
    honest_seconds: list[float] = []
    resident_mib = [_resident_mib(service)]
    call = _honest_caller(stack, service)
    with ProcessPoolExecutor(_PROCESSES, get_context("spawn")) as pool:
        shares = [total // _PROCESSES] * (_PROCESSES - 1)
        shares.append(total - sum(shares))
        attacking = asyncio.gather(
            *(
                asyncio.wrap_future(
                    pool.submit(attack, chosen, service.address, share, rate and rate / _PROCESSES)
                )
                for share in shares
            )
        )
        while not attacking.done():
            started = time.monotonic()
            await call()
            honest_seconds.append(time.monotonic() - started)
            resident_mib.append(_resident_mib(service))
            await asyncio.wait([attacking], timeout=_PAUSE_SECONDS)
        attacks = await attacking
    made = sum((attack.made for attack in attacks), Counter[str]())
    seconds = max(attack.seconds for attack in attacks)
    lines, left_out = await asyncio.to_thread(_settled_log, service, since, made.total())
    counted, honest_counted = _growth(service, before, scrape(stack, service))
    return Result(
        seconds, made, counted, lines, left_out, honest_seconds, honest_counted, resident_mib
    )


def _growth(service: Service, before: Samples, after: Samples) -> tuple[Counter[str], int]:
    """Return the refusals that were counted by reason, and the honest calls."""
    endpoint = _ENDPOINTS[service.name]

    def grown(name: str, **labels: str) -> int:
        labels["endpoint"] = endpoint
        return int(sample(after, name, **labels) - sample(before, name, **labels))

    refused = {
        reason.value: grown("mtls_handshakes_total", result="refused", reason=reason.value)
        for reason in Reason
    }
    honest = grown(
        "mtls_calls_total",
        identity=_HONEST[service.name],
        method=_METHODS[service.name],
        code="200" if endpoint == "http" else "OK",
    )
    return +Counter(refused), honest


def _settled_log(service: Service, since: int, total: int) -> tuple[Counter[str], Counter[str]]:
    """Wait until the log speaks of `total` refusals, or has had time enough for it."""
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while True:
        lines, left_out = _refusals_in_log(service, since)
        if (lines + left_out).total() >= total or time.monotonic() > deadline:
            return lines, left_out
        time.sleep(_PAUSE_SECONDS)


def _refusals_in_log(service: Service, since: int) -> tuple[Counter[str], Counter[str]]:
    """Return by reason the lines of the log, and those that it says were left out."""
    lines, left_out = Counter[str](), Counter[str]()
    for event in service.log.events(since):
        if event["event"] == "connection.refused":
            lines[event["reason"]] += 1
        elif event["event"] == "log.left_out" and event["what"] == "connection.refused":
            left_out[event["like"].split()[1]] += event["lines"]
    return lines, left_out


def _honest_caller(stack: Stack, service: Service) -> Callable[[], Awaitable[None]]:
    """Return a call that succeeds, over a connection of its own; it raises if it does not."""
    identity = load_identity(stack.certs / _HONEST[service.name], roles=frozenset({Role.CLIENT}))
    context = client_context(identity)

    async def over_http() -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"https://{service.address}/videos", ssl=context) as response,
        ):
            response.raise_for_status()

    async def over_grpc() -> None:
        credentials = channel_credentials(identity)
        # A pool of its own: gRPC would take the connection of the channel before.
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.secure_channel(service.address, credentials, options) as channel:
            await video_queue_pb2_grpc.VideoQueueStub(channel).ListVideos(
                video_queue_pb2.ListVideosRequest(),
                timeout=_TIMEOUT_SECONDS,
                metadata=(("on-behalf-of", identity_named("client/uploader").uri),),
            )

    return over_http if service.name == "gateway" else over_grpc


def _resident_mib(service: Service) -> float:
    pages = int(Path(f"/proc/{service.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 2**20


def report(name: str, result: Result) -> str:
    """Return the figures of a flood, for people."""
    honest, tenth = sorted(result.honest_seconds), max(1, len(result.resident_mib) // 10)
    begin, end = result.resident_mib[tenth : 2 * tenth], result.resident_mib[-tenth:]
    return (
        f"{name}\n"
        f"  {result.made.total()} refusals in {result.seconds:.1f} s: "
        f"{result.made.total() / result.seconds:.0f} a second\n"
        f"  resident memory: {result.resident_mib[0]:.1f} MiB before, "
        f"{statistics.mean(begin):.1f} in the second tenth of the time, "
        f"{statistics.mean(end):.1f} in the last\n"
        f"  honest calls: {len(honest)}, counted {result.honest_counted}; median "
        f"{statistics.median(honest) * 1000:.0f} ms, slowest {honest[-1] * 1000:.0f} ms\n"
        f"  log: {result.lines.total()} lines for refusals, {result.left_out.total()} left out\n"
        f"  made    {dict(sorted(result.made.items()))}\n"
        f"  counted {dict(sorted(result.counted.items()))}\n"
        f"  logged  {dict(sorted((result.lines + result.left_out).items()))}"
    )


def main() -> None:
    """Start both servers, flood them, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rate", type=float, default=1000, help="refusals a second")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--reasons", nargs="*", default=[], help="codes of mtls.refusals")
    options = parser.parse_args()
    total = int(options.rate * options.seconds)
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder))
        stack.write_certificates()
        queue = stack.start_queue(VIDEO_QUEUE_METRICS=METRICS)
        gateway = stack.start_gateway(queue.address, GATEWAY_METRICS=METRICS)
        try:
            for service in (queue, gateway):
                flooding = flood(
                    stack, service, total=total, rate=options.rate, reasons=options.reasons
                )
                print(report(service.name, asyncio.run(flooding)), flush=True)
        finally:
            gateway.stop()
            queue.stop()


if __name__ == "__main__":
    main()
