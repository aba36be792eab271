"""Floods, and an honest client in the midst of them: how often, and for how long, is up to you.

    PYTHONPATH=services:protos/gen:scripts:. python -m tests.mtls.flood --seconds 10

starts both servers with their defaults and floods them in every way that there is, one after the
other. It prints a row for each: the honest client's times beside those of a quiet server, over a
new connection and over one that is kept, and the server's memory and sockets. At the end
come refusals for every reason: those that were made, counted, and logged or summed up must agree.
"""

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from demo_identities import identity_named
from local_stack import Service, Stack
from tests.mtls import attacks, http2_attacks, refusal_flood
from tests.mtls.honest import CALLERS, Honest, honest_client
from tests.mtls.scrape import METRICS, scrape
from tests.mtls.target import Target
from tests.mtls.vitals import resident_mib, sockets

_QUIET_CALLS: Final = 100
_RECOVERY_SECONDS: Final = 30
_CERTIFICATES: Final = 300  # of 0.7 KiB: a chain of 200 KiB

Attack = Callable[[Target, float, int], Counter[str]]


@dataclass(frozen=True, slots=True)
class Flood:
    """An attack on the services named in `on`, and what is shown there: a genuine certificate,
    none, or a genuine one with a chain that is far too long."""

    attack: Attack
    shows: str
    on: tuple[str, ...] = ("gateway", "video-queue")

    def target(self, stack: Stack, service: Service) -> Target:
        """Return the service as the attacker sees it."""
        issued = stack.authority.issue(identity_named(CALLERS[service.name]))
        key_pair = {
            "certificate": issued.key_pair_pem,
            "nothing": None,
            "long chain": issued.key_pair_pem + stack.authority.ca_pem * _CERTIFICATES,
        }
        return Target(service.address, stack.authority.ca_pem, key_pair[self.shows])


_GATEWAY: Final = ("gateway",)
_QUEUE: Final = ("video-queue",)
FLOODS: Final[Mapping[str, Flood]] = {
    "strangers": Flood(attacks.shake_hands, "nothing"),
    "half-open": Flood(attacks.half_open, "nothing"),
    "slow handshakes": Flood(attacks.slow_handshake, "nothing"),
    "silent": Flood(attacks.silent, "certificate"),
    "idle": Flood(http2_attacks.idle, "certificate", _QUEUE),
    "slow headers": Flood(attacks.slow_headers, "certificate", _GATEWAY),
    "long chain": Flood(attacks.shake_hands, "long chain"),
    "large header": Flood(attacks.large_header, "certificate", _GATEWAY),
    "endless headers": Flood(attacks.endless_headers, "certificate", _GATEWAY),
    "large metadata": Flood(http2_attacks.large_metadata, "certificate", _QUEUE),
    "calls without a request": Flood(http2_attacks.no_request, "certificate", _QUEUE),
    "CONTINUATION": Flood(http2_attacks.continuation, "certificate", _QUEUE),
    "CONTINUATION by strangers": Flood(http2_attacks.continuation, "nothing", _QUEUE),
    "rapid reset": Flood(http2_attacks.rapid_reset, "certificate", _QUEUE),
    "rapid reset by strangers": Flood(http2_attacks.rapid_reset, "nothing", _QUEUE),
    "SETTINGS": Flood(http2_attacks.settings, "certificate", _QUEUE),
    "SETTINGS, deaf": Flood(http2_attacks.deaf_settings, "certificate", _QUEUE),
    "PING": Flood(http2_attacks.pings, "certificate", _QUEUE),
}


@dataclass(slots=True)
class Times:
    """The seconds of each honest call, by its kind."""

    anew: list[float] = field(default_factory=list)
    again: list[float] = field(default_factory=list)

    def call(self, honest: Honest) -> None:
        """Make one call of each kind. Raises if one is not answered."""
        self.anew.append(honest.anew())
        self.again.append(honest.again())


@dataclass(frozen=True, slots=True)
class Survival:
    """What the flood did, and how the honest client and the server were before, during and after.

    `seconds` are those from its begin until the server had recovered: the log is of that time.
    Memory is in MiB: before, at most, and after; so are the sockets.
    """

    made: Counter[str]
    seconds: float
    quiet: Times
    flooded: Times
    memory: tuple[float, float, float]
    sockets: tuple[int, int, int]
    refused: Counter[str]
    dropped: Counter[str]
    lines: Counter[str]


def survive(
    pool: ProcessPoolExecutor,
    stack: Stack,
    service: Service,
    flood: Flood,
    *,
    seconds: float,
    connections: int,
    quiet_calls: int = _QUIET_CALLS,
) -> Survival:
    """Flood the service, calling it meanwhile. Raises if an honest call is not answered."""
    quiet, flooded = Times(), Times()
    with honest_client(stack, service) as honest:
        for _ in range(quiet_calls):
            quiet.call(honest)
        counted, since = scrape(stack, service), service.log.position()
        memory, open_sockets = [resident_mib(service)], [sockets(service)]
        started = time.monotonic()
        attack = pool.submit(flood.attack, flood.target(stack, service), seconds, connections)
        while not attack.done():
            flooded.call(honest)
            memory.append(resident_mib(service))
            open_sockets.append(sockets(service))
        made = attack.result()
        left_open = _recover(service, honest, open_sockets[0])
        honest.anew()
        refused, dropped = refusal_flood.growth(service, counted, scrape(stack, service))
        lines = Counter(event["event"] for event in service.log.events(since))
        return Survival(
            made,
            time.monotonic() - started,
            quiet,
            flooded,
            (memory[0], max(memory), resident_mib(service)),
            (open_sockets[0], max(open_sockets), left_open),
            refused,
            dropped,
            lines,
        )


def _recover(service: Service, honest: Honest, before: int) -> int:
    """Wait until the server has let go of what the flood has opened; return what is open then."""
    until = time.monotonic() + _RECOVERY_SECONDS
    while (left := sockets(service)) > before and time.monotonic() < until:
        honest.again()
    return left


def row(name: str, service: Service, result: Survival) -> str:
    """Return the figures of a flood: median / 99th percentile in ms, and their ratio to quiet."""
    cells = [name, service.name]
    for quiet, flooded in (
        (result.quiet.anew, result.flooded.anew),
        (result.quiet.again, result.flooded.again),
    ):
        for share in (0.5, 0.99):
            was, became = (_quantile(times, share) for times in (quiet, flooded))
            cells.append(f"{was * 1000:.1f} -> {became * 1000:.1f} (x{became / was:.1f})")
    cells.append(" -> ".join(f"{mib:.0f}" for mib in result.memory))
    cells.append(" -> ".join(str(count) for count in result.sockets))
    cells.append(", ".join(f"{what} {count}" for what, count in sorted(result.made.items())))
    counted = result.refused + result.dropped
    cells.append(", ".join(f"{what} {count}" for what, count in sorted(counted.items())))
    cells.append(str(result.lines.total()))
    return "| " + " | ".join(cells) + " |"


def _quantile(times: list[float], share: float) -> float:
    return sorted(times)[int((len(times) - 1) * share)]


_HEAD: Final = (
    "| flood | server | new connection, p50 ms | p99 | kept connection, p50 ms | p99 "
    "| memory MiB: before, most, after | sockets | the attack | counted | log lines |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|"
)


def main() -> None:
    """Start both servers, flood them, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--connections", type=int, default=300, help="of those that hold them")
    parser.add_argument("--floods", nargs="*", default=[*FLOODS], choices=FLOODS, metavar="NAME")
    parser.add_argument("--rate", type=float, default=1000, help="of refusals for every reason")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(2, get_context("spawn")) as pool,
    ):
        stack = Stack(Path(folder))
        stack.write_certificates()
        with (
            stack.start_queue(VIDEO_QUEUE_METRICS=METRICS) as queue,
            stack.start_gateway(queue.address, GATEWAY_METRICS=METRICS) as gateway,
        ):
            print(_HEAD, flush=True)
            for name in options.floods:
                for service in (queue, gateway):
                    if service.name in FLOODS[name].on:
                        result = survive(
                            pool,
                            stack,
                            service,
                            FLOODS[name],
                            seconds=options.seconds,
                            connections=options.connections,
                        )
                        print(row(name, service, result), flush=True)
            total = int(options.rate * options.seconds)
            for service in (queue, gateway):
                refused = refusal_flood.flood(pool, stack, service, total=total, rate=options.rate)
                print(refusal_flood.report(service.name, refused), flush=True)


if __name__ == "__main__":
    main()
