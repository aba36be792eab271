"""The benchmarks do not rot: every row runs once, tiny. What it measures that way means nothing."""

import json
import math
import os
import subprocess
import sys
from typing import Any

import pytest

from benchmarks.needs import missing
from benchmarks.rows.table import GROUPS, OPTIONAL, Group
from local_stack import ROOT

ALL = (*GROUPS, *OPTIONAL)
SECONDS = 540  # alone it takes some 60
Results = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """What one run says of every row whose needs are there, by row."""
    file = tmp_path_factory.mktemp("benchmarks") / "results.json"
    rows = [row for group in ALL if not missing(group.needs) for row in group.rows]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--smoke", "--json", file, *rows],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
        env={**os.environ, "PYTHONPATH": "services:protos/gen:scripts:."},
    )
    assert done.returncode == 0, done.stderr
    measures = json.loads(file.read_text())["measures"]
    return {row: [each for each in measures if each["row"] == row] for row in rows}


@pytest.mark.parametrize("group", ALL, ids=lambda group: group.name)
def test_a_row_runs(group: Group, results: Results) -> None:
    if lacking := missing(group.needs):
        # CI has it all, and its container has nothing but what shares OpenSSL with us.
        end = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        end(f"needs {', '.join(lacking)}")
    for row in group.rows:
        assert results[row]
        for measure in results[row]:
            for side in ("ours", "theirs", "ratio"):
                least, median, most = (measure[side][key] for key in ("min", "median", "max"))
                # Not above 0: row 16 subtracts, and a process of its stores may end meanwhile.
                assert -math.inf < least <= median <= most < math.inf
