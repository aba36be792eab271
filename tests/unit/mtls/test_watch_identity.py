"""New files are taken over by themselves, at once or by time; broken ones are not."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mtls import identity_watch
from mtls.certificates import Role
from mtls.identity import Identity
from mtls.identity_source import IdentitySource
from mtls.identity_watch import watching

import pytest
import structlog

from pki.authority import Authority, Issued
from pki.identities import identity_named
from pki.identity_folder import write_identity

GATEWAY = identity_named("gateway")
BOTH = frozenset(Role)
NEVER = 3600.0
SOON = 0.01


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create()


@pytest.fixture
def folder(tmp_path: Path, authority: Authority) -> Path:
    folder = tmp_path / "gateway"
    write_identity(folder, authority.issue(GATEWAY), authority.ca_pem)
    return folder


@asynccontextmanager
async def told(source: IdentitySource, wanted: Callable[[Identity], bool]) -> AsyncIterator[None]:
    """Do the body, then wait until those who have subscribed are told of what is wanted."""
    event = asyncio.Event()
    unsubscribe = source.subscribe(lambda identity: event.set() if wanted(identity) else None)
    yield
    async with asyncio.timeout(30):
        await event.wait()
    unsubscribe()


def shows(issued: Issued) -> Callable[[Identity], bool]:
    return lambda identity: identity.certificate == issued.certificate


async def test_the_system_tells_of_a_change(folder: Path, authority: Authority) -> None:
    """The first is seen as soon as the watch stands, which is a moment after the body begins."""
    async with watching(folder, roles=BOTH, every_seconds=NEVER) as source:
        source.subscribe(lambda _: seen.set())
        seen = asyncio.Event()
        async with asyncio.timeout(30):
            while not seen.is_set():
                (folder / "touched").touch()
                await asyncio.sleep(SOON)
        renewed = authority.issue(GATEWAY)
        async with told(source, shows(renewed)):
            write_identity(folder, renewed, authority.ca_pem)


async def test_where_the_system_does_not_tell_time_does(
    folder: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_inotify(*_: Any, **__: Any) -> AsyncIterator[None]:
        raise OSError("OS file watch limit reached")
        yield

    monkeypatch.setattr(identity_watch, "awatch", no_inotify)
    async with watching(folder, roles=BOTH, every_seconds=SOON) as source:
        renewed = authority.issue(GATEWAY)
        async with told(source, shows(renewed)):
            write_identity(folder, renewed, authority.ca_pem)


def swap(folder: Path, new: Path) -> None:
    folder.rename(folder.with_name("old"))
    new.rename(folder)


async def test_a_folder_that_was_replaced_is_found_by_time(
    folder: Path, authority: Authority
) -> None:
    async with watching(folder, roles=BOTH, every_seconds=SOON) as source:
        renewed = authority.issue(GATEWAY)
        new = folder.with_name("new")
        write_identity(new, renewed, authority.ca_pem)
        async with told(source, shows(renewed)):
            await asyncio.to_thread(swap, folder, new)


async def test_whoever_waits_for_time_is_told_though_nothing_has_changed(folder: Path) -> None:
    async with watching(folder, roles=BOTH, every_seconds=SOON) as source:
        for _ in range(3):
            async with told(source, lambda _: True):
                pass


async def test_a_refusal_is_logged_once_and_again_after_a_good_one(
    folder: Path, authority: Authority
) -> None:
    with structlog.testing.capture_logs() as logs:
        async with watching(folder, roles=BOTH, every_seconds=SOON) as source:
            for _ in range(2):
                (folder / "key-pair.pem").write_bytes(b"half")
                for _ in range(3):
                    async with told(source, lambda _: True):
                        pass
                renewed = authority.issue(GATEWAY)
                async with told(source, shows(renewed)):
                    write_identity(folder, renewed, authority.ca_pem)
    events = [log["event"] for log in logs]
    assert events.count("identity.refused") == 2
    assert events.count("identity.renewed") == 2


async def test_a_subscriber_that_fails_does_not_end_the_watch(
    folder: Path, authority: Authority
) -> None:
    def fail(_: Identity) -> None:
        failed.set()
        raise ZeroDivisionError

    async with watching(folder, roles=BOTH, every_seconds=SOON) as source:
        failed = asyncio.Event()
        unsubscribe = source.subscribe(fail)
        await failed.wait()
        unsubscribe()
        renewed = authority.issue(GATEWAY)
        async with told(source, shows(renewed)):
            write_identity(folder, renewed, authority.ca_pem)
