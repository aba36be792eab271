"""examples/greeter stays small, and docs/copy-it.md makes a system of one's own out of it."""

import subprocess
from pathlib import Path

from tests.checkout import ROOT
from tests.examples.greeter_copy import copy_greeter

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


def test_the_page_makes_a_copy_whose_own_test_passes(tmp_path: Path) -> None:
    """The commands are typed, and what they print is compared: the copy's test is one of them."""
    copy = copy_greeter(tmp_path)
    for file in copy.rglob("*"):
        if file.is_file() and file.suffix in {".yml", ".toml", ""} and ".git" not in file.parts:
            text = file.read_text("utf-8")
            assert "examples/" not in text, file
            assert "../" not in text, file
            assert "greeter.test" not in text, file
