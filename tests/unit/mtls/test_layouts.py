"""Any issuer can fill the folder: the file names of each, and how each replaces its files."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any, Final

from mtls import Observer, Role, identity_source
from mtls.identity import LAYOUTS, Identity, IdentityError, Layout, load_identity
from mtls.identity_source import watch_identity
from mtls.rehearsal import rehearse_client, rehearse_grpc_server, rehearse_http_server
from mtls.ssl_contexts import client_context, server_context

import pytest

from demo_identities import IDENTITIES, identity_named
from pki.authority import Authority, Issued
from pki.identity_folder import write_identity
from pki.store import write_atomically
from tests.unit.mtls.test_ssl_contexts import verdict

OURS, CERT_MANAGER, SPIRE = LAYOUTS
GATEWAY, UPLOADER = identity_named("gateway"), identity_named("client/uploader")
BOTH = frozenset(Role)
SOON: Final = 0.01

Write = Callable[[Path, Issued, bytes], object]


def write_ours(folder: Path, issued: Issued, ca_pem: bytes) -> None:
    write_identity(folder, issued, ca_pem)


def mount(folder: Path, issued: Issued, ca_pem: bytes) -> None:
    """Write a secret as Kubernetes does: a folder for each version, switched by one rename."""
    data = folder / f"..{issued.certificate.serial_number}"
    data.mkdir(parents=True)
    for name, content in zip(files_of(CERT_MANAGER), contents(issued, ca_pem), strict=True):
        (data / name).write_bytes(content)
        (data / name).chmod(0o600)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    (folder / "..data_tmp").symlink_to(data.name)
    (folder / "..data_tmp").rename(folder / "..data")


def write_in_place(folder: Path, issued: Issued, ca_pem: bytes) -> None:
    """Write over the files, one after the other, as spiffe-helper does."""
    folder.mkdir(exist_ok=True)
    for name, content in zip(files_of(SPIRE), contents(issued, ca_pem), strict=True):
        (folder / name).touch(mode=0o600)
        (folder / name).write_bytes(content)


def files_of(layout: Layout) -> tuple[str, str, str]:
    return layout.certificate, layout.key, layout.ca


def contents(issued: Issued, ca_pem: bytes) -> tuple[bytes, bytes, bytes]:
    return issued.chain_pem, issued.key_pem, ca_pem


WRITERS: Final = {OURS: write_ours, CERT_MANAGER: mount, SPIRE: write_in_place}
each_layout = pytest.mark.parametrize(
    ("layout", "write"), WRITERS.items(), ids=[each.issuer for each in WRITERS]
)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create(IDENTITIES)


@each_layout
def test_every_stack_takes_it(
    tmp_path: Path, authority: Authority, layout: Layout, write: Write
) -> None:
    issued = authority.issue(GATEWAY)
    write(tmp_path, issued, authority.ca_pem)
    identity = load_identity(tmp_path, roles=BOTH)
    assert identity.layout == layout
    assert (identity.chain_pem, identity.key_pem) == (issued.chain_pem, issued.key_pem)
    for rehearse in (rehearse_http_server, rehearse_grpc_server, rehearse_client):
        rehearse(identity)
    (tmp_path / layout.key).chmod(0o644)
    with pytest.raises(IdentityError, match="is open to others"):
        load_identity(tmp_path, roles=BOTH)


@pytest.mark.parametrize(
    ("layout", "missing"),
    [(each, name) for each in LAYOUTS for name in sorted({*files_of(each)})],
    ids=lambda value: value if isinstance(value, str) else value.issuer,
)
def test_half_of_one_is_an_error_that_names_the_file_and_its_issuer(
    tmp_path: Path, authority: Authority, layout: Layout, missing: str
) -> None:
    write, issued = WRITERS[layout], authority.issue(GATEWAY)
    write(tmp_path, issued, authority.ca_pem)
    (tmp_path / missing).unlink()
    with pytest.raises(IdentityError) as raised:
        load_identity(tmp_path, roles=BOTH)
    assert str(raised.value) == (
        f"{tmp_path / missing} cannot be read (No such file or directory): make the certificates "
        f"with {layout.issuer}, and run this program as the owner of the folder."
    )


@pytest.mark.parametrize("second", [CERT_MANAGER, SPIRE], ids=lambda layout: layout.issuer)
@pytest.mark.parametrize("leftover", ["certificate", "key"])
def test_two_in_one_folder_are_refused_and_one_file_of_the_other_is_enough(
    tmp_path: Path, authority: Authority, second: Layout, leftover: str
) -> None:
    """One that is renewed no more would win over the one that is. A CA's file alone is harmless."""
    write_ours(tmp_path, authority.issue(GATEWAY), authority.ca_pem)
    (tmp_path / second.ca).write_bytes(authority.ca_pem)
    load_identity(tmp_path, roles=BOTH)
    (tmp_path / getattr(second, leftover)).write_bytes(b"")
    with pytest.raises(IdentityError) as raised:
        load_identity(tmp_path, roles=BOTH)
    assert str(raised.value) == (
        f"{tmp_path} holds the files of scripts/bootstrap_certs.py (key-pair.pem) and of "
        f"{second.issuer} ({second.key}): keep those that are renewed, and remove the others."
    )


def test_an_expired_certificate_names_who_has_to_issue_another(
    tmp_path: Path, authority: Authority
) -> None:
    issued = authority.issue(GATEWAY)
    write_in_place(tmp_path, issued, authority.ca_pem)
    end = issued.certificate.not_valid_after_utc
    load_identity(tmp_path, roles=BOTH, now=end)
    with pytest.raises(IdentityError, match="have it issued again with SPIRE"):
        load_identity(tmp_path, roles=BOTH, now=end.replace(year=end.year + 1))


class Seen(Observer):
    """What the watch has reported, and the serial numbers that were taken over."""

    def __init__(self) -> None:
        self.refused: list[str] = []
        self.serials: list[str] = []
        self.news = asyncio.Event()

    def identity_renewed(self, identity: Identity) -> None:
        self.serials.append(identity.serial)
        self.news.set()

    def identity_refused(self, current: Identity, error: str) -> None:
        self.refused.append(error)
        self.news.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not holds():
                self.news.clear()
                await self.news.wait()

    async def until_renewed(self, issued: Issued) -> None:
        await self.until(lambda: serial_of(issued) in self.serials)


def serial_of(issued: Issued) -> str:
    return f"{issued.certificate.serial_number:x}"


@each_layout
async def test_each_renewal_is_taken_over(
    tmp_path: Path, authority: Authority, layout: Layout, write: Write
) -> None:
    seen = Seen()
    write(tmp_path, authority.issue(GATEWAY), authority.ca_pem)
    async with watch_identity(
        tmp_path, *Role, observer=seen, require_revocation_lists=False, poll_seconds=SOON
    ) as source:
        for _ in range(3):
            renewed = authority.issue(GATEWAY)
            await asyncio.to_thread(write, tmp_path, renewed, authority.ca_pem)
            await seen.until_renewed(renewed)
            assert source.current.serial == serial_of(renewed)
            assert source.current.layout == layout


def failing_first(monkeypatch: pytest.MonkeyPatch, then: Callable[[], object]) -> Event:
    """Have `then` done after the first read that fails; return what says that it is done."""
    done = Event()

    def loading(*args: Any, **kwargs: Any) -> Identity:
        try:
            return load_identity(*args, **kwargs)
        except IdentityError:
            if not done.is_set():
                then()
                done.set()
            raise

    monkeypatch.setattr(identity_source, "load_identity", loading)
    return done


@pytest.mark.parametrize("torn", ["an empty certificate", "another's key", "another's CA"])
async def test_files_that_are_written_one_after_the_other_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, authority: Authority, torn: str
) -> None:
    """Between the first reading and the second the writer ends: nothing is reported."""
    old = Authority.create(IDENTITIES)
    write_in_place(tmp_path, old.issue(GATEWAY), old.ca_pem)
    seen, renewed = Seen(), authority.issue(GATEWAY)
    rest = failing_first(monkeypatch, lambda: write_in_place(tmp_path, renewed, authority.ca_pem))
    async with watch_identity(
        tmp_path, *Role, observer=seen, require_revocation_lists=False, poll_seconds=SOON
    ):
        if torn == "another's CA":
            write_atomically(tmp_path / SPIRE.key, renewed.key_pem, 0o600)
        certificate = b"" if torn == "an empty certificate" else renewed.chain_pem
        write_atomically(tmp_path / SPIRE.certificate, certificate, 0o600)
        await seen.until(lambda: bool(seen.serials or seen.refused))
        assert rest.is_set()
    assert (seen.refused, seen.serials) == ([], [serial_of(renewed)])


async def test_a_key_that_does_not_come_is_reported_and_the_old_identity_stays(
    tmp_path: Path, authority: Authority
) -> None:
    """Its twin above is the same but for the rest, which comes."""
    issued, renewed, seen = authority.issue(GATEWAY), authority.issue(GATEWAY), Seen()
    write_in_place(tmp_path, issued, authority.ca_pem)
    async with watch_identity(
        tmp_path, *Role, observer=seen, require_revocation_lists=False, poll_seconds=SOON
    ) as source:
        write_atomically(tmp_path / SPIRE.certificate, renewed.chain_pem, 0o600)
        await seen.until(lambda: bool(seen.refused))
        assert source.current.serial == serial_of(issued)
        write_atomically(tmp_path / SPIRE.key, renewed.key_pem, 0o600)
        await seen.until_renewed(renewed)
    assert len(seen.refused) == 1
    assert "svid_key.pem: the key is not that of the first certificate" in seen.refused[0]


@pytest.mark.parametrize("turned", [False, True])
def test_a_bundle_of_several_roots_lets_in_leaves_of_each(
    tmp_path: Path, authority: Authority, *, turned: bool
) -> None:
    """As SPIRE's is while its CA changes; a root that is not in it stays a stranger's."""
    new, stranger = Authority.create(IDENTITIES), Authority.create(IDENTITIES)
    bundle = new.ca_pem + authority.ca_pem if turned else authority.ca_pem + new.ca_pem

    def identity(issuer: Authority, who: Any, ca_pem: bytes) -> Identity:
        folder = tmp_path / f"{id(issuer)}-{who.name.replace('/', '-')}"
        write_in_place(folder, issuer.issue(who), ca_pem)
        return load_identity(folder, roles=frozenset())

    servers = [identity(issuer, GATEWAY, bundle) for issuer in (authority, new)]
    clients = [identity(issuer, UPLOADER, bundle) for issuer in (authority, new)]
    foreign = identity(stranger, UPLOADER, stranger.ca_pem)
    foreign = replace(foreign, ca_pem=bundle)  # it accepts us, and is refused by us
    for server in servers:
        for client in clients:
            assert verdict(client_context(client), server_context(server)) == ""
        assert "unable to get local issuer" in verdict(
            client_context(foreign), server_context(server)
        )
