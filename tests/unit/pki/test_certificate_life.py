"""What the pages about certificates' and CAs' lives say to type, typed; the output, compared."""

import datetime as dt
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final

import bootstrap_certs
from demo_identities import FILE
from tests.needs import require_program
from tests.pages import normalised, steps_of

SCRIPT: Final = Path(bootstrap_certs.__file__)
NAME: Final = "scripts/bootstrap_certs.py"
DOCS: Final = SCRIPT.parents[1] / "docs"
PAGES: Final = (DOCS / "certificate-life.md", DOCS / "ca-life.md")  # the second goes on
A_MINUTE: Final = dt.timedelta(minutes=1)
VARYING: Final = (
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"), "TIME"),
    (re.compile(r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4} GMT"), "TIME"),
    (re.compile(r"until \d{4}-\d\d-\d\d\b"), "until DATE"),
    (re.compile(r"\b[0-9a-fA-F]{37,40}\b"), "SERIAL"),
    (re.compile(r"\b\d+s are left"), "SOME are left"),
    (re.compile(r"signs in \d+s"), "signs in SOME"),
    (re.compile(r" +$", re.MULTILINE), ""),
)


def complete(certs: Path, when: dt.datetime) -> None:
    """Say when the stage of a rollover was completed, if there is one."""
    path = certs / "ca" / "rollover.json"
    if path.exists():
        state = json.loads(path.read_bytes()) | {"completed": when.isoformat()}
        path.write_text(json.dumps(state))


def test_the_pages_tell_the_truth(tmp_path: Path) -> None:
    require_program("openssl", "openssl")
    certs = tmp_path / "certs"
    seen: set[str] = set()
    (tmp_path / FILE.name).write_bytes(FILE.read_bytes())
    plain = shlex.join(
        [sys.executable, str(SCRIPT), "--folder", "certs", "--identities", FILE.name]
    )
    for step in [step for page in PAGES for step in steps_of(page)]:
        command = step.command
        # The commands may take long to start. What is typed at once comes before the load time is
        # over, even so; what is typed again, or ends the rollover, comes "ten seconds later".
        is_later = command in seen or command.endswith("drop")
        complete(certs, dt.datetime.now(dt.UTC) + (-A_MINUTE if is_later else A_MINUTE))
        seen.add(command)
        ended = subprocess.run(
            [
                *("sh", "-c"),
                # The pause of a new issuing CA is for services, and there are none.
                command.replace(NAME, plain + " --load-time 1s" * (command == NAME)),
            ],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        assert normalised(ended.stdout, VARYING) == normalised(step.output, VARYING), command
    assert len(seen) > 10
