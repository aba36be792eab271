"""A public name of services/mtls does not change unnoticed: it is documented, and so is its change.

public_names.txt has the names of the last release. It is replaced at the next one, with the version
in services/mtls/pyproject.toml and a heading of CHANGELOG.md, and not before.
"""

import re
import tomllib
from pathlib import Path
from typing import Final

import mtls
import mtls.reporting

import pytest

import mtls_api

ROOT: Final = Path(__file__).resolve().parents[3]
RELEASED: Final = Path(__file__).with_name("public_names.txt")


def unexplained(released: list[str], now: list[str], unreleased: str) -> set[str]:
    """Return the names that differ and that no entry names in backticks."""
    changed = {line.partition(":")[0] for line in {*released} ^ {*now}}
    quoted = " ".join(re.findall(r"`([^`]+)`", unreleased))
    return {name for name in changed if not re.search(rf"\b{name.split('.')[-1]}\b", quoted)}


def heading_of(version: str) -> str:
    return f"\n## services/mtls {version}\n"


def released_version() -> str:
    content = (ROOT / "services/mtls/pyproject.toml").read_text("utf-8")
    return str(tomllib.loads(content)["project"]["version"])


def test_the_page_is_what_the_source_says() -> None:
    text = mtls_api.PAGE.read_text("utf-8")
    assert text == mtls_api.page(), "docs/mtls-api.md is out of date: run scripts/mtls_api"


def test_every_public_name_is_there_and_has_a_docstring() -> None:
    for package in (mtls, mtls.reporting):
        described = mtls_api.public_names(package.__name__)
        assert {name.name for name in described} == set(package.__all__)
        for name in described:
            assert getattr(package, name.name)
            assert name.text, f"{package.__name__}.{name.name} has no docstring"


def test_every_change_since_the_release_is_in_the_changelog() -> None:
    first, *released = RELEASED.read_text("utf-8").splitlines()
    version = released_version()
    assert f"services/mtls {version}." in first
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert heading_of(version) in changelog
    unreleased = changelog.partition(heading_of(version))[0]
    missing = unexplained(released, mtls_api.names(), unreleased)
    assert not missing, f"CHANGELOG.md says nothing of {sorted(missing)}: add an entry"


@pytest.mark.parametrize(
    ("now", "entry", "missing"),
    [
        (["mtls.protect: def protect(app)"], "", set()),
        (["mtls.protect: def protect(app, source)"], "", {"mtls.protect"}),
        (["mtls.protect: def protect(app, source)"], "- `protect(app, source)`", set()),
        (["mtls.protect: def protect(app, source)"], "- we protect more", {"mtls.protect"}),
        (["mtls.guard: def guard(app)"], "- `protect` is gone", {"mtls.guard"}),
        ([], "- `protected`", {"mtls.protect"}),
    ],
)
def test_a_change_without_an_entry_is_found(now: list[str], entry: str, missing: set[str]) -> None:
    assert unexplained(["mtls.protect: def protect(app)"], now, entry) == missing
