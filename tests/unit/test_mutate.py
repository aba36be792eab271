"""The list of scripts/mutate fits the code, and the script tells what a test notices.

The whole run takes minutes, and is no part of these tests.
"""

import ast
from dataclasses import replace
from pathlib import Path

import pytest

from mutate import LIST, Mutation, MutationError, load_mutations, survivors
from tests.checkout import ROOT

MUTATIONS = load_mutations()
CODE = "def is_allowed(name):\n    return name == 'gateway'\n"
SURVIVOR = Mutation(
    "a capital letter does", "policy.py", "name ==", "name.lower() ==", ("test.py",)
)
TEST = """
from policy import is_allowed

def test_a_stranger_is_not_allowed():
    assert is_allowed("gateway")
    assert not is_allowed("stranger")
"""


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda each: f"{each.file}: {each.name}")
def test_each_mutation_can_be_made(mutation: Mutation) -> None:
    """Its text is there once, what comes of it is Python, and its tests are there."""
    ast.parse(mutation.apply(ROOT))
    assert [name for name in mutation.tests if not (ROOT / name).is_file()] == []


def test_all_files_that_decide_who_may_come_in_are_on_the_list() -> None:
    assert len(MUTATIONS) > 100
    names = {"ssl_contexts", "peer", "certificates", "policy", "revocation", "identity"}
    assert {f"services/mtls/{name}.py" for name in names} <= {each.file for each in MUTATIONS}
    assert LIST.is_relative_to(ROOT / "tests")


def test_what_a_test_notices_is_no_survivor_and_nothing_stays_changed(tmp_path: Path) -> None:
    (tmp_path / "policy.py").write_text(CODE)
    (tmp_path / "test.py").write_text(TEST)
    noticed = replace(SURVIVOR, new="name !=")
    broken = replace(SURVIVOR, old="def is_allowed", new="def may")  # the import fails
    assert survivors([noticed, SURVIVOR, broken], tmp_path) == [SURVIVOR]
    assert (tmp_path / "policy.py").read_text() == CODE


@pytest.mark.parametrize("code", ["", CODE + CODE])
def test_a_text_that_is_not_there_once_is_an_error(tmp_path: Path, code: str) -> None:
    (tmp_path / "policy.py").write_text(code)
    with pytest.raises(MutationError, match="times, not once"):
        SURVIVOR.apply(tmp_path)
