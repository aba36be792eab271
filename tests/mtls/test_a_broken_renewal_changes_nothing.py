"""What a failed renewal leaves in the folder is refused with a reason; the old files serve on."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

from mtls.identity import load_identity

import pytest

from demo_identities import IDENTITIES, identity_named
from pki.authority import Authority
from pki.bootstrap import bootstrap
from pki.layout import KEY_PAIR, REVOKED, ROOT_CERTIFICATE
from pki.run import Options
from pki.store import write_atomically
from tests.mtls.load import steady_load
from tests.mtls.rotating import Rotating, serial_of

HOUR = dt.timedelta(hours=1)

Spoil = Callable[[Path, Authority, str], object]


def write_pair(folder: Path, content: bytes, mode: int = KEY_PAIR.mode) -> None:
    """Write it in one step: a service that reads in between would see something else."""
    write_atomically(folder / KEY_PAIR.name, content, mode)


def half_written(folder: Path, authority: Authority, name: str) -> None:
    pair = authority.issue(identity_named(name)).key_pair_pem
    write_pair(folder, pair[: len(pair) // 2])


def mismatched(folder: Path, authority: Authority, name: str) -> None:
    one, other = (authority.issue(identity_named(name)) for _ in range(2))
    write_pair(folder, one.key_pem + other.chain_pem)


def expired(folder: Path, authority: Authority, name: str) -> None:
    now = dt.datetime.now(dt.UTC)
    issued = authority.issue(identity_named(name), not_before=now - 2 * HOUR, not_after=now - HOUR)
    write_pair(folder, issued.key_pair_pem)


def open_to_all(folder: Path, authority: Authority, name: str) -> None:
    write_pair(folder, authority.issue(identity_named(name)).key_pair_pem, mode=0o644)


def somebody_else(folder: Path, authority: Authority, _name: str) -> None:
    issued = authority.issue(
        identity_named("gateway"), uris=["spiffe://video-demo.test/somebody-else"]
    )
    write_pair(folder, issued.key_pair_pem)


def of_another_ca(folder: Path, _authority: Authority, name: str) -> None:
    write_pair(folder, Authority.create(IDENTITIES).issue(identity_named(name)).key_pair_pem)


def gone(folder: Path, _authority: Authority, _name: str) -> None:
    (folder / ROOT_CERTIFICATE.name).unlink()


def lists_gone(folder: Path, _authority: Authority, _name: str) -> None:
    (folder / REVOKED.name).unlink()


def lists_out_of_date(folder: Path, authority: Authority, _name: str) -> None:
    stale = authority.crl(next_update=dt.datetime.now(dt.UTC) - HOUR)
    write_atomically(folder / REVOKED.name, stale, REVOKED.mode)


@pytest.mark.parametrize("name", ["video-queue", "gateway", "transcoder"])
@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (half_written, "holds no readable PEM certificate"),
        (mismatched, "the key is not that of the first certificate"),
        (expired, "expired at"),
        (open_to_all, "is open to others (mode 0644): chmod 600"),
        (somebody_else, "The folder now holds spiffe://video-demo.test/somebody-else"),
        (of_another_ca, "does not lead to ca-certificate.crt"),
        (gone, "ca-certificate.crt cannot be read"),
        (lists_gone, "revoked.crl is missing, and revocation lists are required"),
        (lists_out_of_date, "a newer list was due at"),
    ],
)
async def test_is_refused_and_the_old_files_serve_on(
    rotating: Rotating, name: str, spoil: Spoil, reason: str
) -> None:
    folder, authority = rotating.stack.certs / name, rotating.authority
    issued = authority.issue(identity_named(name))
    since = rotating.positions()
    rotating.write(name, issued)
    serial = serial_of(issued.certificate)
    renewed = {"event": "identity.renewed", "serial": serial}
    await rotating.said(name, renewed, since=since[name])
    try:
        since = rotating.positions()
        spoil(folder, authority, name)
        refused = await rotating.said(
            name, {"event": "identity.refused", "kept": serial}, since=since[name]
        )
        assert reason in refused["error"]
        if name != "transcoder":
            assert rotating.served_serial(name) == serial
        async with steady_load(rotating.stack, rotating.gateway) as load:
            await load.more()
        assert load.failed == []
    finally:
        since = rotating.positions()
        bootstrap(
            rotating.stack.certs, Options(IDENTITIES)
        )  # repairs what is broken, with a new leaf if it must
        fixed = load_identity(folder, roles=frozenset()).serial
        if fixed != serial:
            renewed["serial"] = fixed
            await rotating.said(name, renewed, since=since[name])
