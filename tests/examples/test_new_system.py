"""docs/copy-it.md makes a system of one's own: its commands are typed, in an empty home."""

import re
from pathlib import Path
from typing import Final

import pytest

from tests.checkout import ROOT
from tests.examples.clone import Clone, lending, make_clone
from tests.pages import Step, steps_of, type_into_one_shell

PAGE: Final = ROOT / "docs/copy-it.md"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return make_clone(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def typed(clone: Clone) -> list[tuple[Step, str]]:
    """Return each step of the page with what it prints; ~/hello is there afterwards."""
    steps = steps_of(PAGE)
    assert len(steps) > 5
    commands = (
        lending(step.command, ["~/hello"])
        if "new_system ~/hello --trust" in step.command
        else step.command
        for step in steps
    )
    printed = type_into_one_shell(commands, folder=clone.folder, environment=clone.environment)
    return list(zip(steps, printed, strict=True))


@pytest.fixture
def system(clone: Clone, typed: list[tuple[Step, str]]) -> Path:
    """The system, with everything committed."""
    assert typed
    folder = clone.home / "hello"
    if clone.changes(folder):
        clone.commit(folder)
    return folder


def test_the_page_prints_what_it_says(clone: Clone, typed: list[tuple[Step, str]]) -> None:
    """The lint and the tests of the new system are among its commands."""
    for step, output in typed:
        said = output.replace(str(clone.home), "/home/you")
        assert said.strip() == step.output.strip(), step.command


def test_nothing_of_this_demo_is_left(clone: Clone, system: Path) -> None:
    words = ("git", "grep", "--ignore-case", "--extended-regexp", "video|demo|transcod|ffmpeg")
    assert clone.run(*words, folder=system).stdout == ""
    assert clone.run(*words, folder=clone.folder).stdout != ""  # it finds what it looks for


def test_every_link_resolves(clone: Clone, system: Path) -> None:
    pages = [path for path in system.rglob("*.md") if ".venv" not in path.parts]
    assert len(pages) >= 4
    for page in pages:
        for link in re.findall(r"\]\(([^)\s#]+)", page.read_text("utf-8")):
            assert "://" in link or (page.parent / link).exists(), (page, link)


def test_the_folder_knows_which_files_are_yours(clone: Clone, system: Path) -> None:
    def whose(path: str) -> str:
        return clone.succeed("./scripts/whose", path, folder=system).split()[0]

    files = clone.succeed("git", "ls-files", folder=system).splitlines()
    owners = clone.succeed("./scripts/whose", folder=system).splitlines()
    assert sorted(line.split()[1] for line in owners) == sorted(files)
    assert {line.split()[0] for line in owners} == {"yours", "upstream", "made"}
    assert {whose("services/front/policy.py"), whose("identities.toml")} == {"yours"}
    policy = system / "services/mtls/policy.py"
    before = policy.read_text()
    assert whose("services/mtls/policy.py") == "upstream"
    policy.write_text(f"{before}# mine\n")
    assert whose("services/mtls/policy.py") == "changed"
    check = ("sha256sum", "--check", "--quiet", "UPSTREAM.sha256")
    assert "services/mtls/policy.py: FAILED" in clone.run(*check, folder=system).stdout
    policy.write_text(before)
    clone.succeed(*check, folder=system)


def test_an_update_replaces_what_is_not_yours(clone: Clone, system: Path) -> None:
    """Upstream has changed four files, and you have changed one of them, and one of your own."""
    upstream, mtls = clone.folder / "services/mtls", system / "services/mtls"
    for name in ("peer.py", "policy.py"):
        (upstream / name).write_text((upstream / name).read_text() + "# newer\n")
    (upstream / "spiffe.py").unlink()
    (upstream / "another.py").write_text('"""New."""\n')
    for mine in (mtls / "policy.py", mtls / "errors.py", system / "services/front/policy.py"):
        mine.write_text(mine.read_text() + "# mine\n")
    clone.commit(system)
    told = clone.succeed("scripts/new_system", str(system), "--update")
    assert re.findall(r"^    (\S+)$", told, re.MULTILINE) == ["services/mtls/policy.py"]
    changed = clone.succeed("git", "status", "--porcelain", folder=system).split()
    assert changed == [
        *("M", "UPSTREAM.sha256", "M", "services/mtls/peer.py", "D", "services/mtls/spiffe.py"),
        *("??", "services/mtls/another.py"),
    ]
    assert (mtls / "policy.py").read_text().endswith("# mine\n")
    assert (mtls / "peer.py").read_text() == (upstream / "peer.py").read_text()
    owners = clone.succeed("./scripts/whose", "services/mtls", folder=system)
    assert re.findall(r"^changed +(\S+)$", owners, re.MULTILINE) == [
        "services/mtls/errors.py",
        "services/mtls/policy.py",
    ]
    assert clone.succeed("scripts/new_system", str(system), "--update")  # and again: no harm
    clone.succeed("git", "checkout", ".", folder=clone.folder)
    clone.succeed("git", "clean", "--force", "services", folder=clone.folder)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("~/hello --trust-domain hello.example", "is not empty"),
        ("~/new --trust-domain Hello.Example", "trust_domain is 'Hello.Example'"),
        ("~/new --trust-domain", "expected one argument"),
        ("~/new", "give --trust-domain"),
        ("~/clone --update", "no system that scripts/new_system has made"),
        ("~/hello --update --trust-domain a.example", "or --update alone"),
    ],
)
def test_a_mistake_is_named_and_changes_nothing(
    clone: Clone, system: Path, arguments: str, said: str
) -> None:
    entries = {path.name for path in clone.home.iterdir()}
    ended = clone.run("sh", "-c", f"scripts/new_system {arguments}")
    assert ended.returncode != 0
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert {path.name for path in clone.home.iterdir()} == entries
    assert clone.changes(system) == ""
    assert clone.changes() == ""
