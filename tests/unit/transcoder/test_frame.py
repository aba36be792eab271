"""The frame stands alone: without media/ it works for its queue, at whatever is put in."""

import asyncio
import json
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

from mtls.certificates import Role
from mtls.identity import load_identity

import pytest

from demo_identities import IDENTITIES, identity_named
from pki.authority import Authority
from pki.identity_folder import write_identity
from tests.unit.transcoder.conftest import Server
from tests.unit.transcoder.fake_queue import PATIENCE_SECONDS, Call, FakeQueue
from tests.unit.transcoder.test_service import ended, started

SERVICES = Path("services").absolute()

SHOUT = '''\
"""The work of this service: a text in capital letters."""

import os

from transcoder.job import Job, Made, Output

JOB = Job(module="transcoder.shout", outputs=(Output("loud", "loud.txt", "text/plain", True),))


def convert(source, folder, limits, report):
    (folder / "loud.txt").write_bytes(os.read(source, 1000).upper())
    return (Made("loud", 1, 1, 0),)
'''


@pytest.fixture
def frame(tmp_path: Path) -> Path:
    """Do what a copier does: delete a folder, add a file, and name it in the entry point.

    The libraries that only the deleted folder needs are not there.
    """
    folder = tmp_path / "frame"
    ignored = shutil.ignore_patterns("media", "__pycache__")
    shutil.copytree(SERVICES / "transcoder", folder / "transcoder", ignore=ignored)
    for library in ("mtls", "runtime", "videoqueue_client"):
        (folder / library).symlink_to(SERVICES / library)
    (folder / "av.py").write_text("raise ImportError('PyAV is not installed')")
    (folder / "transcoder" / "shout.py").write_text(SHOUT)
    entry_point = folder / "transcoder" / "__main__.py"
    text = entry_point.read_text()
    assert text.count("from transcoder.media import JOB") == 1
    entry_point.write_text(
        text.replace("transcoder.media import JOB", "transcoder.shout import JOB")
    )
    return folder


@pytest.fixture
def variables(server: Server, certs: Path, frame: Path, tmp_path: Path) -> dict[str, str]:
    return {
        "PYTHONPATH": f"{frame}:{Path('protos/gen').absolute()}",
        "TRANSCODER_IDENTITY": str(certs / "transcoder"),
        "TRANSCODER_QUEUE": f"localhost:{server.port}",
        "TRANSCODER_WORK": str(tmp_path / "work"),
        "TRANSCODER_RETRY_SECONDS": "0.1",
        "LOG_FORMAT": "json",
    }


@pytest.fixture
async def stranger(tmp_path: Path) -> AsyncIterator[Server]:
    """A queue with the same names in its certificate, which another CA has issued."""
    authority, folder = Authority.create(IDENTITIES), tmp_path / "stranger"
    write_identity(folder, authority.issue(identity_named("video-queue")), authority.ca_pem)
    queue = FakeQueue()  # type: ignore[abstract]  # it has only the worker's calls
    server = Server(queue, load_identity(folder, roles=frozenset({Role.SERVER})))
    await server.start()
    yield server
    await server.stop()


async def test_it_works_for_its_queue_over_mutual_tls(
    queue: FakeQueue, variables: dict[str, str]
) -> None:
    queue.content = b"hello"
    queue.add("hello")
    async with started(variables) as process:
        await queue.completed("hello")
        process.send_signal(signal.SIGTERM)
        exit_code, stderr = await ended(process)
    assert exit_code == 0, stderr
    assert [published.content for published in queue.published] == [b"HELLO"]


async def test_it_does_not_talk_to_a_stranger_and_says_why(
    queue: FakeQueue, server: Server, stranger: Server, variables: dict[str, str]
) -> None:
    """The twin differs in the CA alone; at the same live servers it works."""
    for it in (queue, stranger.queue):
        it.add("a video")
    async with started(variables | {"TRANSCODER_QUEUE": f"localhost:{stranger.port}"}) as process:
        assert process.stderr
        wanted = {"event": "queue.unreachable", "reason": "unknown_ca"}
        async with asyncio.timeout(PATIENCE_SECONDS):
            while wanted:  # they come in any order: gRPC's log is read in a thread
                event = json.loads(await process.stderr.readline())
                wanted = {key: it for key, it in wanted.items() if event.get(key) != it}
    assert stranger.queue.calls == []
    async with started(variables):
        await queue.came(Call("UpdateVideoStatus", "a video", "PROCESSING"))
