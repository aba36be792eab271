"""services/mtls is a package of its own: it is installed from its folder, and from git."""

import email
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

import pytest

from tests.checkout import ROOT
from tests.examples.clone import make_clone

UV: Final = Path(sys.executable).with_name("uv")
NAME: Final = "mtls-for-services"


def run(*command: str | Path) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def where_it_is_imported_from(target: Path) -> str:
    """Return the file of the package, imported by a Python that does not see this checkout."""
    program = (
        "import mtls, mtls.grpc_client, mtls.http_server, mtls.reporting; print(mtls.__file__)"
    )
    environment = {**os.environ, "PYTHONPATH": str(target)}
    command = [sys.executable, "-c", program]
    return subprocess.check_output(command, env=environment, cwd=target, text=True).strip()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    build = (UV, "build", "--quiet", "--no-build-isolation", "--python", sys.executable)
    run(*build, "--wheel", "--out-dir", folder, ROOT / "services/mtls")
    (file,) = folder.glob("*.whl")
    return zipfile.ZipFile(file)


def test_it_holds_the_library_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    mtls = ROOT / "services/mtls"
    code = {f"mtls/{file.relative_to(mtls)}" for file in mtls.rglob("*.py")} | {"mtls/py.typed"}
    assert {name for name in wheel.namelist() if ".dist-info/" not in name} == code


def test_it_says_what_it_needs_and_what_it_is(wheel: zipfile.ZipFile) -> None:
    (path,) = (name for name in wheel.namelist() if name.endswith("/METADATA"))
    metadata = email.message_from_bytes(wheel.read(path))
    assert metadata["Name"] == NAME
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload() == (ROOT / "services/mtls/README.md").read_text("utf-8")
    assert metadata.get_all("Provides-Extra") == ["grpc", "http", "reporting", "watch"]
    needed = metadata.get_all("Requires-Dist") or []
    assert [each for each in needed if "extra" not in each] == ["cryptography>=50"]


@pytest.mark.parametrize("source", ["folder", "git"])
def test_it_is_installed_and_imported(tmp_path: Path, source: str) -> None:
    address: str | Path = ROOT / "services/mtls"
    if source == "git":
        clone = make_clone(tmp_path)
        address = f"{NAME}[grpc,http] @ git+file://{clone.folder}#subdirectory=services/mtls"
    target = tmp_path / "installed"
    install = (UV, "pip", "install", "--quiet", "--no-deps", "--no-build-isolation")
    run(*install, "--python", sys.executable, "--target", target, str(address))
    assert where_it_is_imported_from(target) == str(target / "mtls/__init__.py")
