"""The CAs below ca/: each is written whole, and read back only if it can still do its work."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography import x509

from pki.authority import Authority
from pki.errors import AuthorityUnusable
from pki.extensions import NAME_CONSTRAINTS
from pki.layout import (
    CA_FILES,
    CA_FOLDER,
    ISSUING_CERTIFICATE,
    ISSUING_KEY,
    OFFLINE_FOLDER,
    ROOT_CERTIFICATE,
    ROOT_KEY,
    generations,
)
from pki.pem import certificate_pem, key_pem, parse_certificates, parse_key
from pki.signing import Signer, is_issued_by
from pki.store import discard, replace_folder

# A rollover takes minutes, but it needs somebody who thinks of it.
RESERVE: Final = dt.timedelta(days=90)


def write_authority(folder: Path, authority: Authority) -> None:
    """Write a CA below `folder` in one step: a run that is killed leaves no half of it.

    The root's key goes to a place of its own, and goes first: the CA is there once ca/ holds it.
    """
    name = str(authority.generation)
    if authority.root_key:
        (folder / OFFLINE_FOLDER).mkdir(mode=0o700, exist_ok=True)
        content = key_pem(authority.root_key)
        replace_folder(folder / OFFLINE_FOLDER / name, {ROOT_KEY.name: (content, ROOT_KEY.mode)})
    contents = {
        ROOT_CERTIFICATE: authority.ca_pem,
        ISSUING_CERTIFICATE: certificate_pem(authority.issuing.certificate),
        ISSUING_KEY: key_pem(authority.issuing.key),
    }
    (folder / CA_FOLDER).mkdir(mode=0o700, exist_ok=True)
    replace_folder(
        folder / CA_FOLDER / name,
        {file.name: (contents[file], file.mode) for file in CA_FILES},
    )


def remove_authority(folder: Path, generation: int) -> None:
    """Remove a CA that nobody trusts any longer, and its root's key if that still lies here."""
    for name in (OFFLINE_FOLDER, CA_FOLDER):  # gone is a CA when ca/ holds it no longer
        discard(folder / name / str(generation))


def load_authorities(folder: Path, *, now: dt.datetime) -> list[Authority]:
    """Read the CAs below `folder`, the oldest first: none yet, one, or two during a rollover.

    Raises `AuthorityUnusable`.
    """
    ca = folder / CA_FOLDER
    found = generations(ca)
    if not found and ca.exists() and any(ca.iterdir()):
        raise _unusable(ca, "it is not of this program, or of an older version of it")
    return [_load(ca, generation, now) for generation in found]


def _load(ca: Path, generation: int, now: dt.datetime) -> Authority:
    home = ca / str(generation)
    try:
        authority = _read(home, generation)
        fault = next((reason for reason, found in _FAULTS if found(authority, now)), None)
    except FileNotFoundError as error:
        fault = f"{Path(error.filename).name} is missing"
    except (ValueError, x509.ExtensionNotFound):
        fault = "a file in it is damaged"
    if fault:
        raise _unusable(home, fault)
    return authority


def _unusable(path: Path, fault: str) -> AuthorityUnusable:
    return AuthorityUnusable(
        f"{path} cannot be used: {fault}. Put the right files back, or run this with `--force`: "
        "that makes a new CA and issues every certificate again."
    )


def _read(home: Path, generation: int) -> Authority:
    return Authority(
        root=parse_certificates((home / ROOT_CERTIFICATE.name).read_bytes())[0],
        issuing=Signer(
            parse_certificates((home / ISSUING_CERTIFICATE.name).read_bytes())[0],
            parse_key((home / ISSUING_KEY.name).read_bytes()),
        ),
        generation=generation,
    )


def end_of(authority: Authority) -> dt.datetime:
    """Return when the CA expires: with its root or its issuing CA, whichever is first."""
    return min(
        authority.root.not_valid_after_utc, authority.issuing.certificate.not_valid_after_utc
    )


def _constraints(certificate: x509.Certificate) -> x509.NameConstraints:
    return certificate.extensions.get_extension_for_class(x509.NameConstraints).value


# The first that is found is reported, so each may rely on those above it.
_FAULTS: Final[tuple[tuple[str, Callable[[Authority, dt.datetime], bool]], ...]] = (
    (
        "the root certificate is not signed by itself",
        lambda ca, _: not is_issued_by(ca.root, ca.root),
    ),
    (
        "the issuing CA is not signed by the root",
        lambda ca, _: not is_issued_by(ca.issuing.certificate, ca.root),
    ),
    (
        "the issuing CA's key does not fit its certificate",
        lambda ca, _: ca.issuing.key.public_key() != ca.issuing.certificate.public_key(),
    ),
    (
        "the issuing CA may not sign all the names that pki/identities.py now holds",
        lambda ca, _: _constraints(ca.issuing.certificate) != NAME_CONSTRAINTS,
    ),
    (
        "it is not valid yet by the clock of this machine",
        lambda ca, now: now < ca.issuing.certificate.not_valid_before_utc,
    ),
    ("it has expired", lambda ca, now: now > end_of(ca)),
)
