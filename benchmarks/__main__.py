"""Measures what mutual TLS costs here, and how we compare: see benchmarks/README.md."""

import argparse
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog

from benchmarks.machine import environment
from benchmarks.needs import missing
from benchmarks.page import write_page
from benchmarks.processes import Cores
from benchmarks.rows.scale import FULL, SMOKE, Scale
from benchmarks.rows.table import GROUPS, OPTIONAL, ROWS, Group
from benchmarks.stacks import Place, keeping
from benchmarks.table import heading, line
from demo_identities import IDENTITIES
from pki.bootstrap import bootstrap
from pki.run import Options


def main() -> int:
    """Run the command line; return the exit code."""
    asked = _parser().parse_args()
    if asked.page:
        write_page(json.loads(asked.page.read_text("utf-8")))
        return 0
    rows = asked.rows or ROWS
    groups = [group for group in (*GROUPS, *OPTIONAL) if not set(rows).isdisjoint(group.rows)]
    if lacking := missing(need for group in groups for need in group.needs):
        print("These rows need, and this machine lacks:", *lacking, sep="\n  ", file=sys.stderr)
        return 2
    # For row 9 the store is in this process: what it has to say is no result.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    _measure(groups, SMOKE if asked.smoke else FULL, asked.json)
    return 0


def _measure(groups: Sequence[Group], scale: Scale, file: Path | None) -> None:
    """Measure, and write down after each group what there is by then."""
    results: dict[str, Any] = {
        "environment": environment(),
        "load_average_before": os.getloadavg()[0],
        "rounds": scale.rounds.measured,
        "measures": [],
    }
    print(*(f"{name}: {value}" for name, value in results["environment"].items()), sep="\n")
    with tempfile.TemporaryDirectory(prefix="mtls-bench-") as folder, keeping() as kept:
        certs = Path(folder) / "certs"
        bootstrap(certs, Options(IDENTITIES))
        place = Place(
            Path(folder), certs, Cores.of_this_machine(), kept if scale.is_smoke else None
        )
        for group in groups:
            begin = time.monotonic()
            print(f"\n{group.name}: {group.what}\n{heading()}", flush=True)
            for measure in group.measure(place.below(group.name), scale):
                results["measures"].append(measure.as_json())
                print(line(results["measures"][-1]), flush=True)
            print(f"({time.monotonic() - begin:.0f} s)")
            if file:
                file.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", "utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description=__doc__,
        epilog="\n".join(
            ["rows:", *(f"  {group.name:<6}{group.what}" for group in (*GROUPS, *OPTIONAL))]
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", type=_row, help="default: all")
    parser.add_argument(
        "--smoke", action="store_true", help="once, and tiny: shows that it runs, measures nothing"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there, too")
    parser.add_argument(
        "--page",
        type=Path,
        metavar="FILE",
        help="measure nothing: make docs/performance.md of these results",
    )
    return parser


def _described(group: Group) -> str:
    return f"  {group.name:<6}{group.what}"


def _row(text: str) -> str:
    known = (*ROWS, *(row for group in OPTIONAL for row in group.rows))
    if text not in known:
        raise argparse.ArgumentTypeError(f"there is no row {text}: choose of {', '.join(known)}")
    return text


if __name__ == "__main__":
    sys.exit(main())
