"""docs/issuers.md: what needs openssl alone. What needs SPIRE is in tests/cluster/spire.py."""

import shutil
from pathlib import Path

import pytest

from tests.examples.certificates import BY_HAND
from tests.examples.issuers_page import check_section
from tests.pages import ROOT

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def test_openssl_fills_a_folder_and_a_second_issuer_in_it_is_refused(tmp_path: Path) -> None:
    commands = {"bin/by_hand.sh": BY_HAND, "scripts/doctor": ROOT / "scripts/doctor"}
    check_section("openssl, by hand", tmp_path, commands)
