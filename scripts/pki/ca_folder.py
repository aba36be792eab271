"""The CAs below ca/: each is written whole, and read back only if it can still do its work."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography import x509

from pki.authority import Authority
from pki.errors import AuthorityUnusable
from pki.layout import (
    CA_FILES,
    CA_FOLDER,
    CHAIN,
    ISSUING_CERTIFICATE,
    ISSUING_KEY,
    OFFLINE_FOLDER,
    ROOT_CERTIFICATE,
    ROOT_KEY,
    File,
    generations,
)
from pki.pem import (
    KeyHasPassword,
    PrivateKey,
    certificate_pem,
    key_pem,
    parse_certificates,
    parse_key,
)
from pki.signing import Signer, is_issued_by
from pki.store import discard, replace_folder


def write_authority(folder: Path, authority: Authority) -> None:
    """Write a CA below `folder` in one step: a run that is killed leaves no half of it.

    The root's key goes to a folder of its own, and goes first: a CA exists once ca/ holds it.
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


def remove_issuing_ca(folder: Path, generation: int) -> None:
    """Remove an issuing CA that is not needed any longer; the key of its root stays."""
    discard(folder / CA_FOLDER / str(generation))


def remove_root_key(folder: Path, root: x509.Certificate) -> None:
    """Remove the key of a root that nobody trusts any longer, if it lies here."""
    for path in _root_key_files(folder):
        try:
            is_of_root = parse_key(path.read_bytes()).public_key() == root.public_key()
        except ValueError:
            continue
        if is_of_root:
            discard(path.parent)


def load_root_key(folder: Path, root: x509.Certificate) -> PrivateKey | None:
    """Return the key of `root`; None if it is kept elsewhere. Raises `AuthorityUnusable`."""
    for path in _root_key_files(folder):
        try:
            key = parse_key(path.read_bytes())
        except KeyHasPassword:
            raise AuthorityUnusable(_password(path)) from None
        except ValueError:
            continue
        if key.public_key() == root.public_key():
            return key
    return None


def load_root(folder: Path, generation: int) -> x509.Certificate:
    """Read the root of a CA whose other files may be unusable. Raises `AuthorityUnusable`."""
    path = folder / CA_FOLDER / str(generation) / ROOT_CERTIFICATE.name
    try:
        root = parse_certificates(path.read_bytes())[0]
    except (FileNotFoundError, ValueError):
        raise AuthorityUnusable(f"{path} is missing or damaged. {_ROOT_REMEDY}") from None
    if not is_issued_by(root, root):
        raise AuthorityUnusable(f"{path} is not signed by itself. {_ROOT_REMEDY}")
    return root


def load_authorities(folder: Path, *, now: dt.datetime) -> list[Authority]:
    """Read the CAs below `folder`, the oldest first; none if there is none yet.

    Raises `AuthorityUnusable`.
    """
    ca = folder / CA_FOLDER
    found = generations(ca)
    if not found and ca.exists() and any(ca.iterdir()):
        raise AuthorityUnusable(
            f"{ca} was not made by this program, or by an older version of it. "
            "Move it to another folder and run this again: that makes a new CA."
        )
    return [load_authority(folder, generation, now=now) for generation in found]


def load_authority(folder: Path, generation: int, *, now: dt.datetime) -> Authority:
    """Read one CA. Raises `AuthorityUnusable`, which says what is wrong and how to correct it."""
    home = folder / CA_FOLDER / str(generation)
    authority = Authority(
        root=load_root(folder, generation),
        issuing=Signer(_issuing_certificate(home), _issuing_key(home)),
        generation=generation,
    )
    for fault, remedy, is_found in _FAULTS:
        if is_found(authority, now):
            raise AuthorityUnusable(f"{home} cannot be used: {fault}. {remedy}")
    return authority


def end_of(authority: Authority) -> dt.datetime:
    """Return when the CA expires: with its root or its issuing CA, whichever is first."""
    return min(
        authority.root.not_valid_after_utc, authority.issuing.certificate.not_valid_after_utc
    )


def _issuing_certificate(home: Path) -> x509.Certificate:
    path = home / ISSUING_CERTIFICATE.name
    try:
        return parse_certificates(path.read_bytes())[0]
    except (FileNotFoundError, ValueError):
        raise AuthorityUnusable(f"{path} is missing or damaged. {_ISSUING_REMEDY}") from None


def _issuing_key(home: Path) -> PrivateKey:
    path = home / ISSUING_KEY.name
    try:
        return parse_key(path.read_bytes())
    except KeyHasPassword:
        raise AuthorityUnusable(_password(path)) from None
    except (FileNotFoundError, ValueError):
        raise AuthorityUnusable(f"{path} is missing or damaged. {_KEY_REMEDY}") from None


def _root_key_files(folder: Path) -> list[Path]:
    offline = folder / OFFLINE_FOLDER
    paths = (offline / str(generation) / ROOT_KEY.name for generation in generations(offline))
    return [path for path in paths if path.exists()]


def _password(path: Path) -> str:
    return (
        f"{path} has a password, and this program cannot type it. Remove it: "
        f"openssl pkey -in {path} -out {path}.open && mv {path}.open {path}"
    )


def _copies(file: File, what: str) -> str:
    return f"Put the right file back; {what} in the folder of every identity ({file.name})."


_ROOT_REMEDY: Final = _copies(ROOT_CERTIFICATE, "there is a copy")
_ISSUING_REMEDY: Final = _copies(CHAIN, "it is the second certificate of the chain")
_KEY_REMEDY: Final = (
    f"Put it back from a copy. Without one, put {OFFLINE_FOLDER}/ back and run this with "
    "`--new-issuing-ca`, which keeps the root. If the key of the root is lost too, run this with "
    "`--force`: that makes a new root, which every peer must come to trust."
)

# The first that is found is reported, so each may rely on those above it.
_FAULTS: Final[tuple[tuple[str, str, Callable[[Authority, dt.datetime], bool]], ...]] = (
    (
        "the issuing CA is not signed by the root",
        "Put the right files back; the folder of every identity has copies of both certificates.",
        lambda ca, _: not is_issued_by(ca.issuing.certificate, ca.root),
    ),
    (
        "the key of the issuing CA does not fit its certificate",
        _KEY_REMEDY,
        lambda ca, _: ca.issuing.key.public_key() != ca.issuing.certificate.public_key(),
    ),
    (
        "it is not valid yet by the clock of this machine",
        "Set the clock.",
        lambda ca, now: now < ca.issuing.certificate.not_valid_before_utc,
    ),
    (
        "the root has expired",
        "If the clock of this machine is right, run this with `--force`: that makes a new root.",
        lambda ca, now: now > ca.root.not_valid_after_utc,
    ),
)
