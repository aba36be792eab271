"""docs/performance.md says what the committed results say; `scripts/bench --page` makes it."""

import json
from pathlib import Path

import pytest

from benchmarks.page import RESULTS, files_of
from benchmarks.rows.table import ROWS

RESULTS_READ = json.loads(RESULTS.read_text("utf-8"))


@pytest.mark.parametrize("path", files_of(RESULTS_READ), ids=lambda path: path.name)
def test_the_page_and_the_results_are_in_step(path: Path) -> None:
    assert path.read_text("utf-8") == files_of(RESULTS_READ)[path]


def test_every_row_has_its_rounds() -> None:
    measured = {each["row"] for each in RESULTS_READ["measures"]}
    assert measured <= set(ROWS)  # the page says which the run has left out
    for each in RESULTS_READ["measures"]:
        assert len(each["ours"]["rounds"]) == len(each["theirs"]["rounds"]) >= 5
