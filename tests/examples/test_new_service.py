"""scripts/new_service makes services that are whole at once, and takes them out without a trace."""

from pathlib import Path
from typing import Final

import pytest

from tests.examples.clone import Clone, make_clone

# Names so short and so long that lines break in other places.
MADE: Final = {
    "b": ("--kind", "grpc"),
    "order-book-abcdefghi": ("--kind", "grpc", "--calls", "b"),
    "shop-abcdefghijklmno": ("--kind", "http", "--calls", "order-book-abcdefghi"),
    "auditor": ("--kind", "worker", "--calls", "order-book-abcdefghi"),
    "alone": ("--kind", "http"),
}
WRONG: Final = {
    "Shop --kind http": "is no name for a service",
    "an-order-book-without-end --kind grpc": "at most 20 characters",
    "../evil --kind grpc": "is no name for a service",
    "json --kind grpc": "a word of Python's own",
    "mtls --kind grpc": "is there already: services/mtls/",
    "aiohttp --kind http": "There is a Python package aiohttp",
    "greeter --kind http": "There is a Python package greeter",  # in examples/greeter
    "gateway --kind http": "the identity in identities.toml, the service in docker-compose.yml",
    "client --kind http": "client/uploader would lie in the folder of client",
    "clerk --kind worker": "add --calls OTHER",
    "clerk --kind http --calls nobody": "no gRPC service that new_service has made",
    "clerk --kind http --calls video-queue": "no gRPC service that new_service has made",
    "clerk --kind http --calls alone": "it serves no gRPC",
    "alone --kind http": "is there already",
    "left --kind grpc": "is there already: services/left/notes",
    "--remove gateway": "has not made 'gateway'",
    "--remove b": "calls b: remove that first",
    "clerk": "give --kind",
}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone with all kinds of services in it, and half of one that nobody has finished."""
    clone = make_clone(tmp_path_factory.mktemp("home"))
    for name, options in MADE.items():
        told = clone.succeed("scripts/new_service", name, *options)
        first = told.partition("Edit first:\n")[2].splitlines()[0].strip()
        assert (clone.folder / first).is_file()
    (clone.folder / "services/left").mkdir()
    (clone.folder / "services/left/notes").write_text("Half of a service.\n")
    return clone


def of_each(pattern: str) -> list[str]:
    return [pattern.format(name.replace("-", "_")) for name in MADE]


def claims() -> list[str]:
    """Return the claim tests of all that is made; they lie among those of this repository."""
    return [
        f"{stem}_{'calls_no_impostor' if 'worker' in MADE[name] else 'refuses_strangers'}.py"
        for name, stem in zip(MADE, of_each("tests/mtls/test_{}"), strict=True)
    ]


def test_they_are_formatted_and_typed(clone: Clone) -> None:
    python, code = ".venv/bin/python", [*of_each("services/{}"), *of_each("tests/unit/{}")]
    clone.succeed(python, "-m", "ruff", "check", ".")
    clone.succeed(python, "-m", "ruff", "format", "--check", ".")
    clone.succeed(python, "-m", "mypy", *code, *claims())


def test_their_contracts_are_compiled(clone: Clone) -> None:
    """`scripts/generate_protos` makes the same code; its parts for other languages are not run."""
    made = {path: path.read_bytes() for path in (clone.folder / "protos/gen").rglob("*_pb2*")}
    script = (
        (clone.folder / "scripts/generate_protos").read_text().partition("python_of examples")[0]
    )
    clone.succeed("sh", "-c", script, "scripts/generate_protos")
    assert {path: path.read_bytes() for path in made} == made


def test_their_own_tests_pass(clone: Clone) -> None:
    told = clone.succeed("scripts/test", "--quiet", *of_each("tests/unit/{}"), *claims())
    assert f"{len(MADE) * 3} passed" in told, told


@pytest.mark.parametrize("arguments", WRONG)
def test_a_mistake_is_named_and_changes_nothing(clone: Clone, arguments: str) -> None:
    before = clone.changes()
    ended = clone.run("scripts/new_service", *arguments.split())
    assert ended.returncode != 0
    assert WRONG[arguments] in ended.stderr
    assert "Traceback" not in ended.stderr
    assert clone.changes() == before


def test_work_that_git_does_not_have_is_not_removed(clone: Clone) -> None:
    handlers = clone.folder / "services/alone/handlers.py"
    made = handlers.read_text()
    handlers.write_text(f"{made}# mine\n")
    ended = clone.run("scripts/new_service", "--remove", "alone")
    assert "You have changed services/alone/handlers.py" in ended.stderr
    assert handlers.read_text() == f"{made}# mine\n"
    handlers.write_text(made)


def test_what_is_removed_leaves_no_trace(clone: Clone) -> None:
    """The last of the tests here: nothing is left for others."""
    (clone.folder / "services/left/notes").unlink()
    for name in reversed(MADE):
        assert name in clone.changes()
        clone.succeed("scripts/new_service", "--remove", name)
    assert clone.changes() == ""
    assert not [path for path in of_each("services/{}") if (clone.folder / path).exists()]


def test_a_failure_half_way_puts_everything_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scaffold.changes import Changes

    (tmp_path / "mine.toml").write_text("a = 1\n")
    (tmp_path / "in-the-way").write_text("a file\n")
    changes = Changes(tmp_path)
    changes.create("services/new/server.py", "")
    changes.edit("mine.toml", "a = 2\n")
    changes.create("in-the-way/file", "")
    with pytest.raises(OSError, match="in-the-way"):
        changes.apply()
    assert {path.name for path in tmp_path.rglob("*")} == {"mine.toml", "in-the-way"}
    assert (tmp_path / "mine.toml").read_text() == "a = 1\n"
