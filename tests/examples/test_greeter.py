"""examples/greeter stays small: it is read in one sitting."""

import subprocess

from tests.checkout import ROOT

MAX_LINES = 300


def test_the_greeter_has_at_most_300_lines() -> None:
    listing = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "examples/greeter"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    files = [ROOT / name for name in listing.splitlines() if (ROOT / name).is_file()]
    assert {"front.py", "greeter.py", "docker-compose.yml"} <= {file.name for file in files}
    assert sum(len(file.read_text("utf-8").splitlines()) for file in files) <= MAX_LINES
