"""docs/scale.md says what the measured figures give; `./scripts/scale` makes it."""

import json
from dataclasses import replace

import pytest

from benchmarks.page import RESULTS
from benchmarks.scale import (
    LOADS,
    PAGE,
    RENEWED_AFTER_HOURS,
    Costs,
    Load,
    Use,
    bounds,
    page,
    renewals_simulated,
    simulated,
)
from benchmarks.scale_costs import COSTS

RESULTS_READ = json.loads(RESULTS.read_text("utf-8"))
OWN = json.loads(COSTS.read_text("utf-8"))


@pytest.fixture
def costs() -> Costs:
    return Costs.read(RESULTS_READ, OWN)


def test_the_page_and_the_figures_are_in_step() -> None:
    assert PAGE.read_text("utf-8") == page(RESULTS_READ, OWN), "run ./scripts/scale"


@pytest.mark.parametrize("uploads", LOADS)
def test_played_with_single_videos_the_workers_are_as_busy(costs: Costs, uploads: int) -> None:
    load = Load(uploads, costs, Use())
    days = max(1, 2000 // uploads)
    seen = simulated(load, load.workers, days=days)
    assert seen.busy_workers == pytest.approx(load.busy_workers, rel=0.1)
    on_paper = load.busy_workers * costs.heartbeats_per_second
    assert seen.heartbeats_per_second == pytest.approx(on_paper, rel=0.1)


def test_fewer_workers_wait_longer_and_are_as_busy_in_all(costs: Costs) -> None:
    """The twin: what is simulated depends on the workers, and the work does not."""
    load = Load(1000, costs, Use())
    few, many = (simulated(load, workers) for workers in (load.workers, 10 * load.workers))
    assert few.wait_seconds > many.wait_seconds == 0
    assert few.busy_workers == many.busy_workers


def test_renewals_come_at_the_rate_on_paper_and_in_waves() -> None:
    workloads = 10_000
    mean, wave = renewals_simulated(workloads, spread=0)
    assert mean == pytest.approx(workloads / (RENEWED_AFTER_HOURS * 3600), rel=0.1)
    _, calm = renewals_simulated(workloads, spread=0.05)
    assert wave > 5 * calm


def test_the_lowest_limit_comes_first_and_moves_with_its_cost(costs: Costs) -> None:
    first = bounds(costs, Use())
    assert [each.uploads for each in first] == sorted(each.uploads for each in first)
    by_name = {each.what: each.uploads for each in first}
    twice = {
        each.what: each.uploads
        for each in bounds(replace(costs, transcode=2 * costs.transcode), Use())
    }
    assert twice["transcoder"] == pytest.approx(by_name["transcoder"] / 2)
    assert twice["gateway"] == by_name["gateway"]


@pytest.mark.parametrize("uploads", LOADS)
def test_a_limit_is_where_one_of_it_is_enough(costs: Costs, uploads: int) -> None:
    """The two tables say the same: as many are needed as the load is larger than the bound."""
    load = Load(uploads, costs, Use())
    bound = {each.what: each.uploads for each in bounds(costs, Use())}
    assert (load.workers == 1) == (uploads <= bound["transcoder"])
    assert (load.queue_cores <= 0.6) == (uploads <= bound["queue"])
    assert (load.gateway_cores <= 0.6) == (uploads <= bound["gateway"])
