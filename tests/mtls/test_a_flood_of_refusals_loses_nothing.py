"""Under a flood the log stays short, the count stays exact, and honest clients are served.

The long run, with memory and times: `python -m tests.mtls.flood --help`.
"""

from collections.abc import Iterator
from typing import Final

import pytest

from local_stack import Service, Stack
from tests.mtls.flood import METRICS, flood

REFUSALS: Final = 1500


@pytest.fixture(scope="module")
def counting(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Stack, dict[str, Service]]]:
    stack = Stack(tmp_path_factory.mktemp("flood"))
    stack.write_certificates()
    queue = stack.start_queue(VIDEO_QUEUE_METRICS=METRICS)
    try:
        gateway = stack.start_gateway(queue.address, GATEWAY_METRICS=METRICS)
        try:
            yield stack, {service.name: service for service in (queue, gateway)}
        finally:
            assert gateway.stop() == 0
    finally:
        assert queue.stop() == 0


@pytest.mark.parametrize("name", ["video-queue", "gateway"])
async def test_a_flood_of_refusals_loses_nothing(
    counting: tuple[Stack, dict[str, Service]], name: str
) -> None:
    stack, services = counting
    result = await flood(stack, services[name], total=REFUSALS)
    assert result.made.total() == REFUSALS
    assert result.counted == result.made
    assert result.lines + result.left_out == result.made  # each has a line or is in a sum
    assert set(result.left_out) == set(result.made)
    assert result.honest_counted == len(result.honest_seconds) > 0
