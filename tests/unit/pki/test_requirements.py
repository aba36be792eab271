"""Without what it needs, the script says in one line what to install, and never a traceback."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import bootstrap_certs

SCRIPT = Path(bootstrap_certs.__file__)
ROOT = SCRIPT.parents[1]


def run(*options: str, path: Path | None = None) -> str:
    """Run the script with such a Python; return its one line."""
    ended = subprocess.run(
        [sys.executable, *options, SCRIPT, "--show"],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(path)} if path else {},
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.count("\n") == 1, ended.stderr
    return ended.stderr


def test_cryptography_is_missing() -> None:
    told = run("-S")  # without site-packages
    assert "cryptography 42 or newer, and it is not installed. Install it" in told


def test_cryptography_is_that_of_debian_12(tmp_path: Path) -> None:
    (tmp_path / "cryptography").mkdir()
    (tmp_path / "cryptography" / "__init__.py").write_text('__version__ = "38.0.4"\n')
    told = run(path=tmp_path)
    assert "cryptography 42 or newer, and 38.0.4 is installed. Install it" in told


def test_what_it_says_to_type_is_there() -> None:
    """The virtual environment is made by what is typed; it need not exist before."""
    told = run("-S")
    assert told.index("python3 -m venv .venv") < told.index(".venv/bin/pip")
    assert told.index(".venv/bin/pip") < told.index(".venv/bin/python scripts")
    (requirements,) = re.findall(r"-r (\S+),", told)
    assert "cryptography==" in (ROOT / requirements).read_text()
    assert (ROOT / "scripts" / "bootstrap_certs.py").exists()
    assert "docker compose run --rm certs" in told


def test_python_is_too_old(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ast.parse(SCRIPT.read_text(), feature_version=(3, 8))  # so it gets as far as saying so
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    monkeypatch.setattr(sys, "version", "3.9.2 (default)")
    assert bootstrap_certs.main(["--show"]) == 1
    assert "needs Python 3.11 or newer, and this is 3.9.2" in capsys.readouterr().err
