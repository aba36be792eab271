"""New files are taken over by themselves, at once or by time; broken ones are not."""

import asyncio
import sys
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from mtls import Observer, Role, identity_source
from mtls.identity import Identity, IdentityError, load_identity
from mtls.identity_source import watch_identity

import pytest

from demo_identities import IDENTITIES, identity_named
from pki.authority import Authority, Issued
from pki.identity_folder import write_identity

GATEWAY = identity_named("gateway")
NEVER = 3600.0
SOON = 0.01


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create(IDENTITIES)


@cache
def lists_of(authority: Authority) -> bytes:
    """Return the same lists each time, so that new files are one change."""
    return authority.crl()


@pytest.fixture
def folder(tmp_path: Path, authority: Authority) -> Path:
    folder = tmp_path / "gateway"
    write_identity(folder, authority.issue(GATEWAY), authority.ca_pem, crl_pem=lists_of(authority))
    return folder


class Events(Observer):
    """Keeps what is reported, and wakes who waits for it."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.news = asyncio.Event()

    def identity_renewed(self, identity: Identity) -> None:
        self._add(f"renewed {identity.serial}")

    def identity_refused(self, current: Identity, error: str) -> None:
        self._add("refused")

    def failed(self, what: str, error: Exception) -> None:
        self._add(f"{what}: {type(error).__name__}")

    def _add(self, event: str) -> None:
        self.events.append(event)
        self.news.set()

    async def until(self, event: str) -> None:
        """Wait until the newest event is this one."""
        async with asyncio.timeout(30):
            while self.events[-1:] != [event]:
                self.news.clear()
                await self.news.wait()


@pytest.fixture
def events() -> Events:
    return Events()


def renewal(issued: Issued) -> str:
    return f"renewed {issued.certificate.serial_number:x}"


async def test_the_system_tells_of_a_change(
    folder: Path, authority: Authority, events: Events
) -> None:
    """The first is seen as soon as the watch stands, which is a moment after the body begins."""
    async with watch_identity(folder, *Role, observer=events, poll_seconds=NEVER):
        async with asyncio.timeout(30):
            while not events.events:
                write_identity(
                    folder, authority.issue(GATEWAY), authority.ca_pem, crl_pem=lists_of(authority)
                )
                await asyncio.sleep(SOON)
        renewed = authority.issue(GATEWAY)
        write_identity(folder, renewed, authority.ca_pem, crl_pem=lists_of(authority))
        await events.until(renewal(renewed))


async def no_inotify(*_: Any, **__: Any) -> AsyncIterator[None]:
    raise OSError("OS file watch limit reached")
    yield


@pytest.mark.parametrize("module", [SimpleNamespace(awatch=no_inotify), None])
async def test_without_word_from_the_system_files_are_read_by_time(
    folder: Path,
    authority: Authority,
    events: Events,
    monkeypatch: pytest.MonkeyPatch,
    module: SimpleNamespace | None,
) -> None:
    """It has no more watches, or watchfiles is not installed."""
    monkeypatch.setitem(sys.modules, "watchfiles", module)
    async with watch_identity(folder, *Role, observer=events, poll_seconds=SOON):
        renewed = authority.issue(GATEWAY)
        write_identity(folder, renewed, authority.ca_pem, crl_pem=lists_of(authority))
        await events.until(renewal(renewed))


def swap(folder: Path, new: Path) -> None:
    folder.rename(folder.with_name("old"))
    new.rename(folder)


async def test_a_folder_that_was_replaced_is_found_by_time(
    folder: Path, authority: Authority, events: Events
) -> None:
    async with watch_identity(folder, *Role, observer=events, poll_seconds=SOON):
        renewed = authority.issue(GATEWAY)
        new = folder.with_name("new")
        write_identity(new, renewed, authority.ca_pem, crl_pem=lists_of(authority))
        await asyncio.to_thread(swap, folder, new)
        await events.until(renewal(renewed))


async def test_a_refusal_is_reported_once_and_again_after_a_good_one(
    folder: Path, authority: Authority, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[None] = []
    third_read = asyncio.Event()
    loop = asyncio.get_running_loop()

    def counting(*args: Any, **kwargs: Any) -> Identity:  # in a thread
        reads.append(None)
        if len(reads) == 3:
            loop.call_soon_threadsafe(third_read.set)
        return load_identity(*args, **kwargs)

    monkeypatch.setattr(identity_source, "load_identity", counting)
    async with watch_identity(folder, *Role, observer=events, poll_seconds=SOON):
        for _ in range(2):
            (folder / "key-pair.pem").write_bytes(b"half")
            await events.until("refused")
            reads.clear()
            third_read.clear()
            await asyncio.wait_for(third_read.wait(), 30)
            renewed = authority.issue(GATEWAY)
            write_identity(folder, renewed, authority.ca_pem, crl_pem=lists_of(authority))
            await events.until(renewal(renewed))
    assert [event.partition(" ")[0] for event in events.events] == ["refused", "renewed"] * 2


async def test_a_subscriber_that_fails_does_not_end_the_watch(
    folder: Path, authority: Authority, events: Events
) -> None:
    def fail(_: Identity) -> None:
        raise ZeroDivisionError

    async with watch_identity(folder, *Role, observer=events, poll_seconds=SOON) as source:
        source.subscribe(fail)
        for _ in range(2):
            renewed = authority.issue(GATEWAY)
            write_identity(folder, renewed, authority.ca_pem, crl_pem=lists_of(authority))
            await events.until(renewal(renewed))
    failure = "A subscriber of the identity failed: ZeroDivisionError"
    assert [event for event in events.events if ":" in event] == [failure] * 2


@pytest.mark.parametrize(
    ("case", "advice"),
    [
        ("another name", "put its own certificate back"),
        ("no lists", "lists have gone"),
        ("older lists", "holds an older list"),
    ],
)
async def test_a_renewal_that_takes_something_away_is_refused(
    folder: Path, authority: Authority, case: str, advice: str
) -> None:
    """The twin has a new certificate, the same name, and the same lists."""
    errors: list[str] = []

    class Refused(Events):
        def identity_refused(self, current: Identity, error: str) -> None:
            errors.append(error)
            super().identity_refused(current, error)

    older, newer = (authority.crl(number=number) for number in (1, 2))
    issued = authority.issue(GATEWAY)
    write_identity(folder, issued, authority.ca_pem, crl_pem=newer)
    events = Refused()
    watching = watch_identity(
        folder, *Role, observer=events, poll_seconds=SOON, require_revocation_lists=False
    )
    async with watching as source:
        match case:
            case "another name":
                issued = authority.issue(GATEWAY, uris=["spiffe://video-demo.test/another"])
                write_identity(folder, issued, authority.ca_pem, crl_pem=newer)
            case "no lists":
                (folder / "revoked.crl").unlink()
            case _:
                write_identity(folder, issued, authority.ca_pem, crl_pem=older)
        await events.until("refused")
        assert advice in errors[-1]
        assert source.current.spiffe_id.path == GATEWAY.name
        renewed = authority.issue(GATEWAY)
        write_identity(folder, renewed, authority.ca_pem, crl_pem=newer)
        await events.until(renewal(renewed))


async def test_missing_lists_are_refused_unless_it_is_said_that_there_are_none(
    folder: Path,
) -> None:
    (folder / "revoked.crl").unlink()
    with pytest.raises(IdentityError, match="revocation lists are required"):
        async with watch_identity(folder, *Role):
            pass
    async with watch_identity(folder, *Role, require_revocation_lists=False) as source:
        assert source.current.revocations is None
