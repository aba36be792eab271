"""Generating the code of the contract installs what that needs, and no more."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_it_installs_the_generators_alone() -> None:
    script = (ROOT / "scripts" / "generate_protos").read_text()
    (name,) = re.findall(r"^use_venv (\S+)$", script, re.MULTILINE)
    requirements = (ROOT / "requirements" / f"{name}.txt").read_text()
    packages = set(re.findall(r"^([a-z0-9-]+)==", requirements, re.MULTILINE))
    assert {"grpcio-tools", "mypy-protobuf"} <= packages
    assert not {"aiohttp", "av", "mypy", "pytest", "rich", "sqlalchemy"} & packages
