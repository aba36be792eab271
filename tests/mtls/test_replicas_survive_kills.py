"""Past one machine nothing is lost either: a short form of scripts/test_replicas."""

from pathlib import Path

import pytest

from tests.mtls.replicas import has_nss_wrapper, run
from tests.needs import is_ci, require_postgresql, require_seaweedfs

SECONDS = 3


async def test_what_was_acknowledged_is_kept_and_done_once_whoever_is_killed(
    tmp_path: Path,
) -> None:
    """Any of three queues, two gateways, three transcoders, the database, the object store."""
    require_postgresql()
    require_seaweedfs()
    if not has_nss_wrapper():
        end = pytest.fail if is_ci() else pytest.skip
        end("libnss-wrapper is not installed: apt-get install libnss-wrapper")
    figures = await run(tmp_path, SECONDS, seed=2)
    assert figures.kills.total() > 0
    assert figures.acknowledged
    assert not figures.lost
    assert set(figures.completed.values()) == {1}
    assert figures.watched == len(figures.acknowledged)
    assert len(figures.queues_used) > 1  # calls go to all of those that are there
