"""The folder ca/: written whole, and read back only if the CA in it can still do its work."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography import x509

from pki.authority import Authority, Signer, is_issued_by
from pki.errors import AuthorityUnusable
from pki.extensions import NAME_CONSTRAINTS
from pki.layout import CA_FOLDER, ISSUING_CERTIFICATE, ISSUING_KEY, ROOT_CERTIFICATE, ROOT_KEY
from pki.pem import certificate_pem, key_pem, parse_certificates, parse_key
from pki.store import replace_folder

# A CA with less than this left would soon have to cut the lives of its leaves short.
_RESERVE: Final = dt.timedelta(days=90)


def write_authority(folder: Path, authority: Authority) -> None:
    """Replace ca/ below `folder` in one step: a run that is killed leaves no half of a CA."""
    contents = {
        ROOT_CERTIFICATE: authority.ca_pem,
        ISSUING_CERTIFICATE: certificate_pem(authority.issuing.certificate),
        ISSUING_KEY: key_pem(authority.issuing.key),
    }
    if authority.root_key:
        contents[ROOT_KEY] = key_pem(authority.root_key)
    replace_folder(
        folder / CA_FOLDER,
        {file.name: (content, file.mode) for file, content in contents.items()},
    )


def load_authority(folder: Path, *, now: dt.datetime) -> Authority | None:
    """Read ca/ below `folder`; None if there is none yet. Raises `AuthorityUnusable`."""
    ca = folder / CA_FOLDER
    if not ca.exists() or not any(ca.iterdir()):
        return None
    try:
        authority = _read(ca)
        fault = next((reason for reason, found in _FAULTS if found(authority, now)), None)
    except FileNotFoundError as error:
        fault = f"{Path(error.filename).name} is missing"
    except (ValueError, x509.ExtensionNotFound):
        fault = "a file in it is damaged"
    if fault:
        raise AuthorityUnusable(
            f"{ca} cannot be used: {fault}. Put the right files back, or run this with `--force`: "
            "that makes a new CA and issues every certificate again; then restart the services."
        )
    return authority


def _read(ca: Path) -> Authority:
    root_key = ca / ROOT_KEY.name
    return Authority(
        root=parse_certificates((ca / ROOT_CERTIFICATE.name).read_bytes())[0],
        issuing=Signer(
            parse_certificates((ca / ISSUING_CERTIFICATE.name).read_bytes())[0],
            parse_key((ca / ISSUING_KEY.name).read_bytes()),
        ),
        root_key=parse_key(root_key.read_bytes()) if root_key.exists() else None,
    )


def _ends_soon(authority: Authority, now: dt.datetime) -> bool:
    return now + _RESERVE > min(
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
        "the root's key does not fit its certificate",
        lambda ca, _: ca.root_key is not None and ca.root_key.public_key() != ca.root.public_key(),
    ),
    (
        "the issuing CA may not sign all the names that pki/identities.py now holds",
        lambda ca, _: _constraints(ca.issuing.certificate) != NAME_CONSTRAINTS,
    ),
    (
        "it is not valid yet by the clock of this machine",
        lambda ca, now: now < ca.issuing.certificate.not_valid_before_utc,
    ),
    ("it expires in less than 90 days", _ends_soon),
)
