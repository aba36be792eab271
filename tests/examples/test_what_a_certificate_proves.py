"""docs/what-a-certificate-proves.md tells the truth: each cell of its tables is tried here."""

import re
from collections.abc import Iterator

import pytest

from local_stack import ROOT
from tests.examples.programs import LANGUAGES, missing
from tests.examples.spoilt import SIDES, Lab, lab, look, table

PAGE = ROOT / "docs/what-a-certificate-proves.md"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    if reason := "; ".join(filter(None, map(missing, LANGUAGES))):
        pytest.skip(reason)
    with lab(tmp_path_factory.mktemp("spoilt")) as here:
        yield here


@pytest.mark.parametrize("side", SIDES)
def test_every_verifier_refuses_what_the_page_says(here: Lab, side: str) -> None:
    """And takes the twin, which is not spoilt in this one fact."""
    seen = list(look(here, side))
    assert len(seen) >= 15
    for name, _, twin in seen:
        assert all(twin.values()), (name, twin)
    heading = rf"\| {re.escape(side)} \|.*\n(?:\|.*\n)+"
    (shown,) = re.findall(heading, PAGE.read_text("utf-8"))
    assert shown.strip() == table(side, [(name, spoilt) for name, spoilt, _ in seen])
