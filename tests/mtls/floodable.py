"""Both servers, with limits that a short flood reaches."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from local_stack import Service, Stack
from tests.mtls.flood import FLOODS, Survival, survive
from tests.mtls.scrape import METRICS

CONNECTIONS: Final = 60  # that an attacker wants to hold
PER_ADDRESS: Final = 40  # that the gateway lets it have
FEW: Final[Mapping[str, str]] = {"GATEWAY_MAX_CONNECTIONS_PER_ADDRESS": str(PER_ADDRESS)}
# The honest client has as little time: only where the flood leaves the server something to do.
SHORT: Final[Mapping[str, str]] = {
    "VIDEO_QUEUE_HANDSHAKE_SECONDS": "1.5",
    "VIDEO_QUEUE_MAX_CONNECTION_IDLE_SECONDS": "2",
    "GATEWAY_HANDSHAKE_SECONDS": "1.5",
    "GATEWAY_KEEPALIVE_SECONDS": "2",
}
_SECONDS: Final = 0.8
_QUIET_CALLS: Final = 5
LINES_A_SECOND: Final = 10  # of each kind: mtls.reporting.log_rate_limiter


@dataclass(frozen=True, slots=True)
class Floodable:
    """The running servers, and the processes from which they are flooded."""

    stack: Stack
    services: Mapping[str, Service]
    pool: ProcessPoolExecutor

    def survives(
        self, server: str, flood: str, *, seconds: float = _SECONDS, mib: float = 64
    ) -> Survival:
        """Assert that all honest calls succeed, memory grows by less, and everything ends.

        The server writes down what happens, a few lines of each kind.
        """
        result = survive(
            self.pool,
            self.stack,
            self.services[server],
            FLOODS[flood],
            seconds=seconds,
            connections=CONNECTIONS,
            quiet_calls=_QUIET_CALLS,
        )
        assert result.flooded.again
        before, most, _ = result.memory
        assert most - before < mib
        open_before, _, open_after = result.sockets
        assert open_after <= open_before
        for event, lines in result.lines.items():
            assert lines <= LINES_A_SECOND * (result.seconds + 2), event
        return result


@contextmanager
def running_floodable(folder: Path, limits: Mapping[str, str] = FEW) -> Iterator[Floodable]:
    """Yield both servers; they have to end well."""
    stack = Stack(folder)
    stack.write_certificates()
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        queue = stack.start_queue(VIDEO_QUEUE_METRICS=METRICS, **limits)
        try:
            gateway = stack.start_gateway(queue.address, GATEWAY_METRICS=METRICS, **limits)
            try:
                yield Floodable(stack, {queue.name: queue, gateway.name: gateway}, pool)
            finally:
                assert gateway.stop() == 0
        finally:
            assert queue.stop() == 0
