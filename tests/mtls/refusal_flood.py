"""A flood of clients that are refused, each for its reason, and what the server made of them."""

import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from dataclasses import dataclass
from typing import Final

from mtls.refusals import Reason

from impostors import impostors
from local_stack import Service, Stack
from tests.mtls.attackers import Attacker, attack
from tests.mtls.honest import CALLERS, honest_client
from tests.mtls.scrape import Samples, sample, scrape

_PROCESSES: Final = 2
_TIMEOUT_SECONDS: Final = 30
_PAUSE_SECONDS: Final = 0.05
_ENDPOINTS: Final = {"gateway": "http", "video-queue": "grpc"}
_METHODS: Final = {"gateway": "GET /videos", "video-queue": "/videoqueue.v1.VideoQueue/ListVideos"}
_LIMITS: Final = ("max_connections", "max_connections_per_address")


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a flood: refusals by reason, and how often the honest client was served."""

    seconds: float
    made: Counter[str]
    counted: Counter[str]
    lines: Counter[str]
    left_out: Counter[str]
    honest_calls: int
    honest_counted: int


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


def flood(
    pool: ProcessPoolExecutor,
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
    kinds = attackers(stack, CALLERS[service.name])
    chosen = [kinds[reason] for reason in reasons or kinds]
    shares = [total // _PROCESSES] * (_PROCESSES - 1)
    shares.append(total - sum(shares))
    with honest_client(stack, service) as honest:
        before, since, calls = scrape(stack, service), service.log.position(), 0
        attacking = [
            pool.submit(attack, chosen, service.address, share, rate and rate / _PROCESSES)
            for share in shares
        ]
        while wait(attacking, timeout=0).not_done:
            honest.anew()
            calls += 1
        attacks = [attack.result() for attack in attacking]
    made = sum((attack.made for attack in attacks), Counter[str]())
    lines, left_out = _settled_log(service, since, made.total())
    after = scrape(stack, service)
    counted, _ = growth(service, before, after)
    return Result(
        max(attack.seconds for attack in attacks),
        made,
        counted,
        lines,
        left_out,
        calls,
        _served(service, after) - _served(service, before),
    )


def growth(service: Service, before: Samples, after: Samples) -> tuple[Counter[str], Counter[str]]:
    """Return what was counted meanwhile: refusals by reason, and dropped connections by limit."""
    endpoint = _ENDPOINTS[service.name]

    def grown(name: str, **labels: str) -> int:
        labels["endpoint"] = endpoint
        return int(sample(after, name, **labels) - sample(before, name, **labels))

    refused = {
        reason.value: grown("mtls_handshakes_total", result="refused", reason=reason.value)
        for reason in Reason
    }
    dropped = {limit: grown("mtls_connections_dropped_total", limit=limit) for limit in _LIMITS}
    return +Counter(refused), +Counter(dropped)


def _served(service: Service, samples: Samples) -> int:
    endpoint = _ENDPOINTS[service.name]
    labels = {
        "endpoint": endpoint,
        "identity": CALLERS[service.name],
        "method": _METHODS[service.name],
        "code": "200" if endpoint == "http" else "OK",
    }
    return int(sample(samples, "mtls_calls_total", **labels))


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
        if event["event"] == "handshake.refused":
            lines[event["reason"]] += 1
        elif event["event"] == "log.suppressed" and event["what"] == "handshake.refused":
            left_out[event["like"].split()[1]] += event["lines"]
    return lines, left_out


def report(name: str, result: Result) -> str:
    """Return the figures of a flood, for people."""
    return (
        f"{name}\n"
        f"  {result.made.total()} refusals in {result.seconds:.1f} s: "
        f"{result.made.total() / result.seconds:.0f} a second\n"
        f"  honest calls: {result.honest_calls}, counted {result.honest_counted}\n"
        f"  log: {result.lines.total()} lines for refusals, {result.left_out.total()} left out\n"
        f"  made    {dict(sorted(result.made.items()))}\n"
        f"  counted {dict(sorted(result.counted.items()))}\n"
        f"  logged  {dict(sorted((result.lines + result.left_out).items()))}"
    )
