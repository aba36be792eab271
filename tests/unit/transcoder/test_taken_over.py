"""Hostile code in the child, given a free hand, costs that one video and nothing else.

Here it stands in the place of the decoder: as the module of a `Job`. What it does in `convert` it
does confined, as what takes over a decoder does. What it does when it is imported it does before:
so the defences of the worker are tested without those of the kernel.
"""

import os
import resource
import select
import stat
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

from mtls.identity import Identity
from mtls.identity_source import IdentitySource

import pytest

from tests.unit.transcoder.conftest import Events, Server, named, names_in, running_worker
from tests.unit.transcoder.fake_queue import PATIENCE_SECONDS, FakeQueue
from transcoder.config import Config
from transcoder.errors import CannotStart, Crashed, MediaError
from transcoder.job import Job, MediaFile, Output
from transcoder.queue_client import QueueClient
from transcoder.sandbox import supervisor
from transcoder.sandbox.landlock import landlock_version
from transcoder.sandbox.limits import Limits
from transcoder.sandbox.orphans import children_of
from transcoder.sandbox.seccomp import has_seccomp
from transcoder.scratch import scratch_folder
from transcoder.worker import Worker
from videoqueue_client.channel import queue_channel

JOB: Final = Job(
    module="hostile",
    outputs=(
        Output("360p", "360p.mp4", "video/mp4"),
        Output("thumbnail", "thumbnail.jpg", "image/jpeg", is_required=True),
    ),
)
LIMITS: Final = Limits(stall_seconds=60)
SECRET: Final = b"a private key"
BEGIN: Final = """
import json, os, sys, time
from transcoder.job import Made
say = lambda it: os.write(1, json.dumps(it).encode() + b"\\n")
FILES = [dict(name=name, width=2, height=2, duration_seconds=1) for name in ("360p", "thumbnail")]
MADE = tuple(Made(**it) for it in FILES)
def fill():
    for name in ("360p.mp4", "thumbnail.jpg"):
        with open(name, "w") as file: file.write(name)
def convert(source, folder, limits, report):
"""
needs_the_kernel = pytest.mark.skipif(
    not (landlock_version() and has_seccomp()), reason="this kernel cannot confine a process"
)


@pytest.fixture(autouse=True)
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the child finds the module."""
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.setattr(supervisor, "_PACKAGES", f"{supervisor._PACKAGES}:{folder}")  # noqa: SLF001
    return folder


def write_module(packages: Path, confined: str, before: str = "") -> None:
    body = "".join(f"    {line}\n" for line in confined.splitlines())
    (packages / "hostile.py").write_text(BEGIN + body + before)


async def run(folder: Path, confined: str, before: str = "") -> tuple[MediaFile, ...]:
    """Run this as the body of `convert`, and the other before the process is confined."""
    write_module(folder / "packages", confined, before)
    source = folder / "source"
    source.touch()
    return await supervisor.run_job(JOB, source, folder / "made", LIMITS, lambda _: None)


def content_of(files: tuple[MediaFile, ...]) -> list[bytes]:
    contents = []
    for file in files:
        with file.content as opened:
            contents.append(opened.read())
    return contents


async def test_it_is_believed_when_it_tells_the_truth(tmp_path: Path) -> None:
    assert content_of(await run(tmp_path, "fill(); return MADE")) == [b"360p.mp4", b"thumbnail.jpg"]


@pytest.mark.parametrize(
    "program",
    [
        "fill(); os._exit(0)",
        "while True: os.write(1, b'x' * 65536)",
        "while True: say({'progress': 1})",
        "say({'progress': 2}); say({'progress': 1}); time.sleep(60)",
        "say('hello'); time.sleep(60)",
        "say({'error': 'CannotStart', 'text': ''}); time.sleep(60)",
        "say({'error': 'SystemExit', 'text': ''}); time.sleep(60)",
        "return MADE",
        "fill(); return MADE[:1]",
        "fill(); return MADE[1:] * 2",
        "fill(); return MADE * 2",
        "fill(); return MADE[::-1]",
    ],
)
async def test_a_lie_fails_the_video(tmp_path: Path, program: str) -> None:
    with pytest.raises(MediaError) as failure:
        await run(tmp_path, program)
    assert type(failure.value) is Crashed
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "act",
    [
        "os.remove('{0}'); os.symlink('{1}', '{0}')",
        "os.remove('{0}'); os.link('{1}', '{0}')",
        "os.remove('{0}'); os.mkfifo('{0}')",
        "os.remove('{0}'); os.mkdir('{0}')",
        "os.remove('{0}')",
    ],
)
async def test_what_takes_the_place_of_an_output_is_not_published(tmp_path: Path, act: str) -> None:
    """Not even where the kernel has left it a free hand: outputs are never opened by name."""
    key = tmp_path / "key"
    key.write_bytes(SECRET)
    before = "fill()\n" + act.format("thumbnail.jpg", key)
    files = await run(tmp_path, "return MADE", before=before)
    assert content_of(files) == [b"360p.mp4", b"thumbnail.jpg"]


async def test_what_it_does_after_the_check_is_not_published_either(tmp_path: Path) -> None:
    """A process that it has left swaps the file when the worker has looked."""
    key = tmp_path / "key"
    key.write_bytes(SECRET)
    os.mkfifo(tmp_path / "done")
    done = os.open(tmp_path / "done", os.O_RDONLY | os.O_NONBLOCK)
    before = (
        "fill(); parent = os.getpid(); ready, said = os.pipe()\n"
        "if not os.fork():\n"
        "    os.setsid()\n"  # or it would end with the group
        f"    os.symlink('{key}', 'link')\n"
        "    os.write(said, b'.')\n"
        "    while os.path.exists(f'/proc/{parent}/fd'): time.sleep(0.001)\n"
        "    os.rename('link', 'thumbnail.jpg')\n"
        f"    open('{tmp_path / 'done'}', 'w').write('.')\n"
        "    os._exit(0)\n"
        "os.read(ready, 1)\n"
    )
    files = await run(tmp_path, "return MADE", before=before)
    swapped, _, _ = select.select([done], [], [], PATIENCE_SECONDS)
    os.close(done)
    assert swapped
    assert (tmp_path / "made" / "thumbnail.jpg").is_symlink()
    assert content_of(files) == [b"360p.mp4", b"thumbnail.jpg"]


@pytest.mark.parametrize(
    "act",
    [
        "for _ in range(5000): os.mkdir('d'); os.chdir('d')",
        "for _ in range(300): os.mkdir('d' * 200); os.chdir('d' * 200)",
        "os.mkfifo('fifo'); os.symlink('/', 'link'); os.mkdir('d'); os.symlink('/', 'd/link')",
        "os.makedirs('a/b/c'); open('a/b/f', 'w'); os.chmod('a/b', 0); os.chmod('a', 0)",
        "os.mkdir(b'\\xff\\n'); open(b'\\xff\\n/\\xfe', 'w')",
        "[os.makedirs(f'{n}/{m}') for n in range(20) for m in range(20)]",
    ],
    ids=["5,000 levels", "long names", "no files", "odd modes", "odd names", "many"],
)
def test_whatever_it_leaves_is_removed(tmp_path: Path, act: str) -> None:
    """By a worker that is not root, for whom the mode of a folder counts."""
    tmp_path.chmod(0o777)
    program = (
        "import os; from pathlib import Path; from transcoder.scratch import remove_tree\n"
        "if os.getuid() == 0: os.setgroups([]); os.setgid(10001); os.setuid(10001)\n"
        "here = os.open('.', os.O_PATH); os.mkdir('left'); os.chdir('left')\n"
        f"{act}\n"
        "os.fchdir(here); remove_tree(Path('left'))"
    )
    path = str(Path("services").absolute())
    try:
        subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, env={"PYTHONPATH": path}, check=True
        )
        assert not (tmp_path / "left").exists()
    finally:
        subprocess.run(["rm", "-rf", tmp_path / "left"], check=True)  # pytest could not


async def test_what_does_not_start_is_not_the_fault_of_the_video(tmp_path: Path) -> None:
    with pytest.raises(CannotStart) as failure:
        await run(tmp_path, "pass", before="import a_package_that_is_not_installed")
    assert not isinstance(failure.value, MediaError)
    assert "a_package_that_is_not_installed" in failure.value.__notes__[-1]


async def test_a_thread_that_would_keep_its_rights_stops_the_start(tmp_path: Path) -> None:
    before = (
        "import threading; threading.Thread(target=time.sleep, args=(60,), daemon=True).start()"
    )
    with pytest.raises(CannotStart) as failure:
        await run(tmp_path, "fill(); return MADE", before=before)
    assert "keep its rights" in failure.value.__notes__[-1]


async def test_its_last_words_are_kept_for_the_log_and_can_do_no_harm(tmp_path: Path) -> None:
    program = "os.write(2, b'x' * 10**6 + b'\\xff\\x1b[2J\\nthe end'); os._exit(1)"
    with pytest.raises(Crashed) as failure:
        await run(tmp_path, program)
    notes = failure.value.__notes__
    assert notes[-1] == "the end"
    assert sum(map(len, notes)) <= 4096
    assert all(note.isprintable() for note in notes)
    assert "the end" not in str(failure.value)


@needs_the_kernel
def test_it_ends_with_the_worker_even_if_it_says_nothing(tmp_path: Path, packages: Path) -> None:
    write_module(packages, "while True: time.sleep(1)")
    program = (
        "import asyncio, sys; from pathlib import Path; from transcoder.job import Job;"
        "from transcoder.sandbox.limits import Limits; from transcoder.sandbox import supervisor;"
        f"supervisor._PACKAGES += ':{packages}'; job = Job(module='hostile', outputs=());"
        "say = lambda percent: print(percent, flush=True);"
        "asyncio.run(supervisor.run_job(job, Path('/dev/null'), Path(sys.argv[1]), Limits(), say))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, tmp_path / "made"],
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": "services"},
    ) as worker:
        assert worker.stdout
        assert worker.stdout.readline() == b"0\n"
        [child] = children_of(worker.pid)
        descriptor = os.pidfd_open(child)
        worker.kill()
    ended, _, _ = select.select([descriptor], [], [], 30)
    os.close(descriptor)
    assert ended


# Each line is an attack on something that is not this video's; what succeeds is written down.
# Where it does succeed, the tests survive it.
ATTACKS: Final = r"""
import ctypes, resource, signal, socket, threading
libc = ctypes.CDLL(None, use_errno=True)
worker = os.getppid()
key = "{key}"
attacks = [
    lambda: open(key).read(),
    lambda: os.symlink(key, "360p.mp4.link"),
    lambda: (os.remove("thumbnail.jpg"), os.symlink(key, "thumbnail.jpg")),
    lambda: os.rename("360p.mp4", "thumbnail.jpg"),
    lambda: os.link(key, "link"),
    lambda: os.mkfifo("fifo"),
    lambda: os.mkdir("d"),
    lambda: open("another file", "w"),
    lambda: os.chmod(".", 0),
    lambda: os.chmod("..", 0),
    lambda: os.chmod(key, 0),
    lambda: os.chmod("{neighbour}", 0),
    lambda: open("{neighbour}/source", "w"),
    lambda: os.unlink("{neighbour}/source"),
    lambda: os.truncate("{neighbour}/source", 0),
    lambda: os.listdir("{neighbour}"),
    lambda: os.fork() or os._exit(0),
    lambda: os.setsid(),
    lambda: os.setpgid(0, os.getpgid(worker)),
    lambda: os.execv("/bin/sleep", ["sleep", "0"]),
    lambda: os.kill(worker, signal.SIGCONT),
    lambda: resource.prlimit(worker, resource.RLIMIT_CORE, (0, 0)),
    lambda: resource.setrlimit(resource.RLIMIT_DATA, (-1, -1)),
    lambda: os.setpriority(os.PRIO_PROCESS, worker, 0),
    lambda: os.sched_setaffinity(worker, {{0}}),
    lambda: signal.pidfd_send_signal(os.pidfd_open(worker), signal.SIGCONT),
    lambda: libc.ptrace(16, worker, 0, 0) and denied(),
    lambda: libc.process_vm_readv(worker, 0, 0, 0, 0, 0) and denied(),
    lambda: open("/proc/%d/environ" % worker).read(),
    lambda: open("/proc/%d/mem" % worker, "r+b"),
    lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
    lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
    lambda: os.memfd_create("memory"),
]
def denied():
    raise OSError(ctypes.get_errno(), "")
for number, attack in enumerate(attacks):
    try:
        attack()
    except (OSError, ValueError):
        continue
    os.write(2, b"attack %d succeeded\n" % number)
os.write(2, b"all attacks were tried\n")
fill()
say({{"progress": 500}})
while True:
    os.write(1, b"{{\n")
"""
HONEST: Final = "if os.read(source, 7) != b'hostile':\n    fill()\n    return MADE\n"


@needs_the_kernel
async def test_it_costs_that_one_video_and_nothing_else(
    tmp_path: Path,
    packages: Path,
    server: Server,
    queue: FakeQueue,
    config: Config,
    identities: Mapping[str, Identity],
    events: Events,
) -> None:
    """Its key, its limits, a replica's folder and its next start are as they were."""
    folder = identities["transcoder"].folder
    key = next(it for it in folder.iterdir() if "private-key" in it.name or "key" in it.suffix)
    neighbour = config.work / "transcoder-neighbour"
    neighbour.mkdir()
    (neighbour / "source").write_text("another video")
    body = ATTACKS.format(key=key, neighbour=neighbour)
    write_module(packages, HONEST + body)
    limits = {it: resource.getrlimit(it) for it in (resource.RLIMIT_NOFILE, resource.RLIMIT_CORE)}
    queue.content = b"hostile"
    queue.add("hostile")
    async with queue_channel(config.queue, IdentitySource(identities["transcoder"])) as channel:
        with scratch_folder(tmp_path / "own") as scratch:
            transcode = partial(supervisor.run_job, JOB)
            worker = Worker(QueueClient(channel, config), scratch, config, transcode)
            async with running_worker(worker):
                await queue.until(lambda: len(queue.reports("hostile")) == 2)
                queue.content = b"a video"
                queue.add("another")
                await queue.completed("another")
                assert not names_in(scratch)
    assert queue.reports("hostile")[-1].startswith("FAILED")
    [failed] = named(events, "video.failed")
    assert failed["notes"] == ["all attacks were tried"]
    contents = {published.content for published in queue.published}
    assert contents == {b"360p.mp4", b"thumbnail.jpg"}
    assert {it: resource.getrlimit(it) for it in limits} == limits
    assert (neighbour / "source").read_text() == "another video"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    with scratch_folder(tmp_path / "own"):
        pass
