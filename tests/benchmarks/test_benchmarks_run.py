"""The benchmarks do not rot: every row runs once, tiny. What it measures that way means nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.needs import missing
from benchmarks.rows.table import ROWS
from local_stack import ROOT


@pytest.mark.parametrize("row", ROWS)
def test_a_row_runs(row: str, tmp_path: Path) -> None:
    if lacking := missing(ROWS[row].needs):
        pytest.skip(f"needs {', '.join(lacking)}")
    results = tmp_path / "results.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--smoke", "--json", results, row],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": "services:protos/gen:scripts:."},
    )
    assert done.returncode == 0, done.stderr
    measures = json.loads(results.read_text())["measures"]
    assert measures
    for measure in measures:
        for side in ("ours", "theirs", "ratio"):
            assert 0 < measure[side]["min"] <= measure[side]["median"] <= measure[side]["max"]
