"""An identity's folder: writing it, reading it, and saying why it has to be issued again."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from pki.authority import BACKDATE, Authority, Issued, KeyType
from pki.extensions import extended_key_usage, subject_alternative_name
from pki.identities import Identity
from pki.layout import CHAIN, KEY_PAIR, PKCS12, PRIVATE_KEY, REVOKED, ROOT_CERTIFICATE
from pki.pem import KeyHasPassword, PrivateKey, parse_certificates, parse_key
from pki.signing import is_issued_by
from pki.store import Owner, make_folder, write_atomically

_PUBLIC_KEY: Final = {"ec": ec.EllipticCurvePublicKey, "rsa": rsa.RSAPublicKey}


@dataclass(frozen=True, slots=True)
class Held:
    """What is in an identity's folder; a secret that this user may not read is None."""

    chain_pem: bytes
    chain: list[x509.Certificate]
    key_pem: bytes | None = field(repr=False)
    pair_pem: bytes | None = field(repr=False)

    @property
    def leaf(self) -> x509.Certificate:
        """The identity's own certificate."""
        return self.chain[0]

    @property
    def key(self) -> PrivateKey | None:
        """The private key. Raises `ValueError` if it is damaged."""
        return None if self.key_pem is None else parse_key(self.key_pem)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What should lie in an identity's folder at the time `now` (aware), by one of the issuers."""

    identity: Identity
    issuers: tuple[Authority, ...]
    key_type: KeyType
    now: dt.datetime
    revoked: frozenset[int] = frozenset()


def write_identity(
    folder: Path,
    issued: Issued,
    ca_pem: bytes,
    *,
    crl_pem: bytes | None = None,
    owner: Owner | None = None,
) -> None:
    """Write the files of an identity; `ca_pem` holds the roots that it shall trust.

    `crl_pem` holds a revocation list of each CA below them; without it, the list in the folder is
    removed. key-pair.pem comes last, so a service that watches it finds the others renewed already.
    A client.p12 is removed: it holds the key that is being replaced.
    """
    make_folder(folder)
    (folder / PKCS12.name).unlink(missing_ok=True)
    write_trust(folder, ca_pem, crl_pem, owner=owner)
    contents = {
        PRIVATE_KEY: issued.key_pem,
        CHAIN: issued.chain_pem,
        KEY_PAIR: issued.key_pair_pem,
    }
    for file, content in contents.items():
        write_atomically(folder / file.name, content, file.mode, owner)


def write_trust(
    folder: Path, ca_pem: bytes, crl_pem: bytes | None, *, owner: Owner | None = None
) -> None:
    """Write the roots that an identity trusts, and the revocation lists below them.

    The lists come first: a service that trusts a CA and lacks its list refuses all its leaves.
    """
    if crl_pem is None:
        (folder / REVOKED.name).unlink(missing_ok=True)
    else:
        write_atomically(folder / REVOKED.name, crl_pem, REVOKED.mode, owner)
    write_atomically(folder / ROOT_CERTIFICATE.name, ca_pem, ROOT_CERTIFICATE.mode, owner)


def trusts(folder: Path, ca_pem: bytes, crl_pem: bytes) -> bool:
    """Tell whether the identity in `folder` trusts exactly this."""
    try:
        held = (folder / ROOT_CERTIFICATE.name).read_bytes(), (folder / REVOKED.name).read_bytes()
    except FileNotFoundError:
        return False
    return held == (ca_pem, crl_pem)


def read_identity(folder: Path) -> Held:
    """Read an identity's folder. Raises `FileNotFoundError`; `ValueError` for a damaged file."""
    chain_pem = (folder / CHAIN.name).read_bytes()
    return Held(
        chain_pem=chain_pem,
        chain=parse_certificates(chain_pem),
        key_pem=_read_if_allowed(folder / PRIVATE_KEY.name),
        pair_pem=_read_if_allowed(folder / KEY_PAIR.name),
    )


def reason_to_issue(folder: Path, wanted: Wanted) -> str | None:
    """Say why the identity in `folder` has to be issued (again); None: it is as wanted.

    A secret that this user may not read is taken to be right: its owner can tell, we cannot.
    """
    try:
        held = read_identity(folder)
        return next((reason for reason, found in _FAULTS if found(held, wanted)), None)
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except KeyHasPassword:
        return "its private key has a password, which no service can type"
    except ValueError:
        return "a file is damaged"


def renewal_due(leaf: x509.Certificate) -> dt.datetime:
    """Return when a third of the leaf's life is left: time enough to notice a failed renewal.

    Its life is what was asked for: it begins when the leaf is made, not when it is dated back to.
    """
    begin = leaf.not_valid_before_utc + BACKDATE
    return leaf.not_valid_after_utc - (leaf.not_valid_after_utc - begin) / 3


def _read_if_allowed(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except PermissionError:
        return None


def _is_from_another_ca(held: Held, wanted: Wanted) -> bool:
    return not any(
        held.chain[1:] == [authority.issuing.certificate]
        and is_issued_by(held.leaf, authority.issuing.certificate)
        for authority in wanted.issuers
    )


def _key_does_not_fit(held: Held, _: Wanted) -> bool:
    return held.key is not None and held.key.public_key() != held.leaf.public_key()


def _pair_differs(held: Held, _: Wanted) -> bool:
    if held.key_pem is None or held.pair_pem is None:
        return False
    return held.pair_pem != held.key_pem + held.chain_pem


def _has_other_names(held: Held, wanted: Wanted) -> bool:
    identity = wanted.identity
    names = subject_alternative_name(uris=[identity.uri], dns_names=identity.dns_names)
    return _extensions(held.leaf, x509.SubjectAlternativeName) != names


def _has_other_ekus(held: Held, wanted: Wanted) -> bool:
    return _extensions(held.leaf, x509.ExtendedKeyUsage) != extended_key_usage(wanted.identity.ekus)


def _extensions(
    leaf: x509.Certificate, kind: type[x509.SubjectAlternativeName | x509.ExtendedKeyUsage]
) -> list[x509.ExtensionType]:
    return [extension.value for extension in leaf.extensions if isinstance(extension.value, kind)]


# The first that is found is told, so each may rely on those above it: only what our own CA has
# signed is looked into.
_FAULTS: Final[tuple[tuple[str, Callable[[Held, Wanted], bool]], ...]] = (
    ("it was issued by another CA", _is_from_another_ca),
    ("it is revoked", lambda held, want: held.leaf.serial_number in want.revoked),
    ("the private key does not fit the certificate", _key_does_not_fit),
    ("key-pair.pem is not the key and the chain", _pair_differs),
    ("its names have changed", _has_other_names),
    ("its extended key usage has changed", _has_other_ekus),
    (
        "its key type has changed",
        lambda held, want: not isinstance(held.leaf.public_key(), _PUBLIC_KEY[want.key_type]),
    ),
    (
        "it is not valid yet by the clock of this machine",
        lambda held, want: want.now < held.leaf.not_valid_before_utc,
    ),
    (
        "less than a third of its life is left",
        lambda held, want: want.now > renewal_due(held.leaf),
    ),
)
