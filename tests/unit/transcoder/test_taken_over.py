"""A decoding process that a video has taken over can do no more than fail that video."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from transcoder.errors import CannotStart, Crashed, MediaError
from transcoder.sandbox import supervisor
from transcoder.sandbox.limits import Limits

BEGIN = (
    "import os, sys, time, json; say = lambda it: os.write(1, json.dumps(it).encode() + b'\\n')\n"
)
FILES = [
    {"name": name, "width": 2, "height": 2, "duration_seconds": 1} for name in ("360p", "thumbnail")
]
MAKE = "[open(name, 'w').close() for name in ('360p.mp4', 'thumbnail.jpg')]\n"
REMOVE = "os.remove('360p.mp4'); "


async def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> Sequence[object]:
    """Run the program as if it were the decoding process."""
    package = tmp_path / "packages" / "transcoder"
    package.mkdir(parents=True)
    (package / "child.py").write_text(BEGIN + program)
    monkeypatch.setattr(supervisor, "_PACKAGES", package.parent)
    source = tmp_path / "source"
    source.touch()
    limits = Limits(stall_seconds=5)
    return await supervisor.transcode(source, tmp_path / "made", limits, lambda _: None)


async def test_it_is_believed_when_it_tells_the_truth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = await run(
        tmp_path, monkeypatch, f"say({{'progress': 0}})\n{MAKE}say({{'files': {FILES}}})"
    )
    assert len(files) == len(FILES)


@pytest.mark.parametrize(
    "program",
    [
        f"{MAKE}",
        "while True: os.write(1, b'x' * 65536)",
        "while True: say({'progress': 1})",
        "say({'progress': 2}); say({'progress': 1}); time.sleep(60)",
        "say('hello'); time.sleep(60)",
        "sys.exit(0)",
        f"say({{'files': {FILES}}})",
        f"{MAKE}say({{'files': {FILES[:1]}}})",
        f"{MAKE}say({{'files': {FILES[1:] * 2}}})",
        f"{MAKE}say({{'files': {FILES * 2}}})",
        f"{MAKE}{REMOVE}os.symlink('/etc/passwd', '360p.mp4'); say({{'files': {FILES}}})",
        f"{MAKE}{REMOVE}os.mkdir('360p.mp4'); say({{'files': {FILES}}})",
        f"{MAKE}{REMOVE}os.mkfifo('360p.mp4'); say({{'files': {FILES}}})",
    ],
)
async def test_a_lie_fails_the_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    with pytest.raises(MediaError) as failure:
        await run(tmp_path, monkeypatch, "say({'progress': 0})\n" + program)
    assert type(failure.value) is Crashed
    assert not (tmp_path / "made").exists()


async def test_what_does_not_start_is_not_the_fault_of_the_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CannotStart) as failure:
        await run(tmp_path, monkeypatch, "import a_package_that_is_not_installed")
    assert not isinstance(failure.value, MediaError)
    assert "a_package_that_is_not_installed" in failure.value.__notes__[-1]


async def test_its_last_words_are_kept_for_the_log_and_can_do_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (
        "say({'progress': 0}); os.write(2, b'x' * 10**6 + b'\\xff\\x1b[2J\\nthe end'); sys.exit(1)"
    )
    with pytest.raises(Crashed) as failure:
        await run(tmp_path, monkeypatch, words)
    notes = failure.value.__notes__
    assert notes[-1] == "the end"
    assert sum(map(len, notes)) <= 4096
    assert all(note.isprintable() for note in notes)
    assert "the end" not in str(failure.value)
