"""Under a flood the log stays short, the count stays exact, and honest clients are served.

The long run: `python -m tests.mtls.flood --floods`.
"""

import time
from collections.abc import Iterator
from typing import Final

import pytest

from tests.mtls.floodable import LINES_A_SECOND, Floodable, running_floodable
from tests.mtls.refusal_flood import flood

REFUSALS: Final = 1500


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Floodable]:
    """Servers that time nobody out: gRPC would not count him."""
    limits = {f"{name}_HANDSHAKE_SECONDS": "300" for name in ("VIDEO_QUEUE", "GATEWAY")}
    with running_floodable(tmp_path_factory.mktemp("patient"), limits) as patient:
        yield patient


@pytest.mark.parametrize("name", ["video-queue", "gateway"])
def test_a_flood_of_refusals_loses_nothing(patient: Floodable, name: str) -> None:
    began = time.monotonic()
    result = flood(patient.pool, patient.stack, patient.services[name], total=REFUSALS)
    seconds = time.monotonic() - began
    assert result.made.total() == REFUSALS
    assert result.counted == result.made
    assert result.lines + result.left_out == result.made  # each has a line or is in a sum
    assert max(result.lines.values()) <= LINES_A_SECOND * (seconds + 2)
    assert result.honest_counted == result.honest_calls > 0
