"""docs/what-a-certificate-proves.md shows certificates as openssl shows them here."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import bootstrap_certs
from demo_identities import FILE
from tests.needs import require_program
from tests.pages import ROOT, normalised, steps_of, type_into_one_shell

PAGE: Final = ROOT / "docs/what-a-certificate-proves.md"
KEY_ID: Final = re.compile(r"(?:[0-9A-F]{2}:){19}[0-9A-F]{2}")
VARYING: Final = (
    (re.compile(r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4} GMT"), "TIME"),
    (re.compile(r"\b([A-Z]+) = "), r"\1="),  # names, up to OpenSSL 3.1
    (re.compile(r" +$", re.MULTILINE), ""),
)


def named(outputs: list[str]) -> list[str]:
    """Give each key a name, by its first place: what was the same key is the same still."""
    text = "\0".join(normalised(output, VARYING) for output in outputs)
    for number, key in enumerate(dict.fromkeys(KEY_ID.findall(text))):
        text = text.replace(key, f"KEY {number}")
    return text.split("\0")


def test_the_page_shows_the_certificates_that_are_made(tmp_path: Path) -> None:
    require_program("openssl", "openssl")
    script = Path(bootstrap_certs.__file__)
    certs = ["--folder", str(tmp_path / "certs"), "--identities", str(FILE)]
    subprocess.run([sys.executable, script, *certs], check=True, capture_output=True)
    steps = steps_of(PAGE)
    assert len(steps) == 3
    printed = type_into_one_shell(
        [step.command for step in steps], folder=tmp_path, environment=os.environ
    )
    shown = named([step.output for step in steps])
    assert named(printed) == shown
    assert "KEY 2" in shown[-1]
