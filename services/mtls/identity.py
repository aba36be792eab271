"""Who am I: load my certificate, key, trusted roots and revocation lists, and check them.

A TLS library reports a bad file late and in few words, often only as a failed handshake. So
everything that can be known from the files is checked here, with an error that says what to do.
"""

import datetime as dt
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from mtls.certificates import Role, check_leaf, is_issued_by
from mtls.errors import MtlsError
from mtls.revocation import REVOKED, RevocationError, Revocations
from mtls.spiffe import SpiffeId

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


@dataclass(frozen=True, slots=True)
class Layout:
    """The names that an issuer gives to the files of an identity; key and chain may share one."""

    issuer: str
    certificate: str
    key: str
    ca: str


# A renewal that replaces key and certificate in one file is one rename. Of several, one is new
# before the other: for a moment they do not fit together, and `identity_source` reads them again.
KEY_PAIR: Final = "key-pair.pem"
CA_CERTIFICATE: Final = "ca-certificate.crt"
LAYOUTS: Final = (
    Layout("scripts/bootstrap_certs.py", KEY_PAIR, KEY_PAIR, CA_CERTIFICATE),
    Layout("cert-manager", "tls.crt", "tls.key", "ca.crt"),
    Layout("SPIRE", "svid.pem", "svid_key.pem", "bundle.pem"),
)

_MAX_FILE_BYTES: Final = 64 * 1024
_MAX_LISTS_BYTES: Final = 16 * 1024 * 1024  # some 300,000 revoked certificates
_PEM_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----", re.DOTALL)
_CERTIFICATE_LABELS: Final = (b"CERTIFICATE", b"X509 CERTIFICATE")


class IdentityError(MtlsError):
    """This folder does not hold a usable identity."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate, its private key, and the roots that we trust to vouch for our peers.

    `chain_pem` is the leaf followed by the issuing CA; the root is left out, since a peer that
    verifies us must have it already (RFC 8446, section 4.4.2). All PEM is written anew from what
    was parsed: the TLS libraries read the same text more strictly, or otherwise, than we do.
    Without `revocations` nobody asks whether a peer's certificate was revoked.
    """

    spiffe_id: SpiffeId
    certificate: x509.Certificate
    chain_pem: bytes
    key_pem: bytes = field(repr=False)
    ca_pem: bytes
    revocations: Revocations | None
    folder: Path
    layout: Layout = LAYOUTS[0]

    @property
    def serial(self) -> str:
        """The certificate's serial number, as it stands in logs and metrics."""
        return f"{self.certificate.serial_number:x}"


def load_identity(
    folder: Path,
    *,
    roles: frozenset[Role],
    require_revocation_lists: bool = False,
    now: dt.datetime | None = None,
) -> Identity:
    """Load the identity in `folder` and check that it can do its job in every one of `roles`.

    Revocation lists are used if they are there; `require_revocation_lists` says that they have to
    be. Raises `IdentityError`, whose text names the file and says how to fix it.
    """
    now = now or dt.datetime.now(dt.UTC)
    layout = _layout_of(folder)
    path, ca_path = folder / layout.certificate, folder / layout.ca
    given, key = _load_private(folder, layout)
    roots = _parse_certificates(ca_path, _read(ca_path, layout.issuer))
    leaf = given[0]
    if key.public_key() != leaf.public_key():
        raise IdentityError(
            f"{folder / layout.key}: the key is not that of the first certificate. The leaf comes "
            "first, then the issuing CA; put the key beside the leaf that it belongs to."
        )
    best = _best_path(folder, layout, given, roots, now)
    # In order, the leaf first; what else was given may help a peer that trusts another root.
    # The leaf is always sent, be it among the roots by mistake: then a rehearsal says so.
    issuers = [each for each in dict.fromkeys([*best, *given]) if each not in {leaf, *roots}]
    return Identity(
        _check_leaf(path, leaf, roles),
        leaf,
        _pem_of([leaf, *issuers]),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        _pem_of(roots),
        _load_revocations(folder / REVOKED, best, [*given, *roots], now, require_revocation_lists),
        folder,
        layout,
    )


def _layout_of(folder: Path) -> Layout:
    """Return the layout of which a certificate or a key is there; its CA's name has many uses."""
    names: set[str] = set()
    with suppress(OSError):  # the file that cannot be read has the better error
        names = {path.name for path in folder.iterdir()}
    found = [each for each in LAYOUTS if names & {each.certificate, each.key}]
    if len(found) > 1:
        issuers = " and of ".join(f"{each.issuer} ({each.key})" for each in found)
        raise IdentityError(
            f"{folder} holds the files of {issuers}: keep those that are renewed, and remove the "
            "others."
        )
    return found[0] if found else LAYOUTS[0]


def _read(
    path: Path, issuer: str = LAYOUTS[0].issuer, *, max_bytes: int = _MAX_FILE_BYTES
) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise IdentityError(
            f"{path} cannot be read ({error.strerror}): make the certificates with "
            f"{issuer}, and run this program as the owner of the folder."
        ) from error
    if len(content) > max_bytes:
        raise IdentityError(f"{path} is larger than {max_bytes} bytes: copy it again.")
    return content


def _load_private(folder: Path, layout: Layout) -> tuple[list[x509.Certificate], PrivateKeyTypes]:
    """Read certificates and key, whether they are in one file or two."""
    key_path, path = folder / layout.key, folder / layout.certificate
    content = _read(key_path, layout.issuer)
    status = key_path.stat()
    if not _is_private(status.st_mode, status.st_uid, status.st_gid):
        mode = stat.S_IMODE(status.st_mode)
        raise IdentityError(f"{key_path} is open to others (mode {mode:04o}): chmod 600 {key_path}")
    both = content if path == key_path else _read(path, layout.issuer)
    certificates = _parse_certificates(path, both)
    return certificates, _parse_key(key_path, _blocks(content, lambda label: b"PRIVATE" in label))


def _is_private(mode: int, owner: int, group: int) -> bool:
    """Whether nobody but us can read a file.

    Kubernetes mounts a secret for `fsGroup` as root's, with mode 0440: our group is ours alone.
    """
    mode = stat.S_IMODE(mode)
    if not mode & 0o077:
        return True
    return mode == 0o440 and owner == 0 and group in {os.getegid(), *os.getgroups()}


def _blocks(content: bytes, wanted: Callable[[bytes], bool]) -> bytes:
    """Return the PEM blocks with the labels that are wanted, without what stands between them."""
    found = (block[0] for block in _PEM_BLOCK.finditer(content) if wanted(block[1]))
    return b"".join(block + b"\n" for block in found)


def _load_revocations(
    path: Path,
    chain: list[x509.Certificate],
    known: list[x509.Certificate],
    now: dt.datetime,
    required: bool,  # noqa: FBT001
) -> Revocations | None:
    if not path.exists():
        if required:
            raise IdentityError(
                f"{path} is missing, and revocation lists are required: copy the list of the "
                "issuing CA there, or say that this service runs without lists."
            )
        return None
    try:
        revocations = Revocations.parse(_read(path, max_bytes=_MAX_LISTS_BYTES))
        revocations.check(chain[1] if len(chain) > 1 else chain[0], known, now)
    except RevocationError as error:
        raise IdentityError(f"{path} {error}.") from error
    return revocations


def _parse_certificates(path: Path, content: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(
            _blocks(content, lambda label: label in _CERTIFICATE_LABELS)
        )
    except (ValueError, x509.InvalidVersion) as error:
        raise IdentityError(f"{path} holds no readable PEM certificate: copy it again.") from error


def _pem_of(certificates: list[x509.Certificate]) -> bytes:
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


def _parse_key(path: Path, pem: bytes) -> PrivateKeyTypes:
    try:
        return serialization.load_pem_private_key(pem, password=None)
    except TypeError as error:
        raise IdentityError(
            f"{path}: the key is encrypted, and a service has nobody to ask for the password. "
            "Decrypt it with `openssl pkey` and keep the file at mode 600."
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise IdentityError(f"{path} holds no readable PEM private key: copy it again.") from error


def _best_path(
    folder: Path,
    layout: Layout,
    given: list[x509.Certificate],
    roots: list[x509.Certificate],
    now: dt.datetime,
) -> list[x509.Certificate]:
    """Return a path from the leaf to a root on which all are valid now; one is enough.

    It follows names and signatures. Whether a CA may sign is for TLS to judge.
    """
    paths = list(_paths([given[0]], given, roots))
    if not paths:
        raise IdentityError(
            f"{folder / layout.certificate} does not lead to {layout.ca} beside it: the issuing CA "
            "is missing behind the leaf, or the two files come from different authorities."
        )
    faults = [_fault_of_dates(each, layout, now) for each in paths]
    if "" not in faults:
        raise IdentityError(f"{folder}: {faults[0]}")
    return paths[faults.index("")]


def _paths(
    begun: list[x509.Certificate], given: list[x509.Certificate], roots: list[x509.Certificate]
) -> Iterator[list[x509.Certificate]]:
    """Yield every path that goes on from `begun` to a root: a CA may be cross-signed by several."""
    for root in roots:
        if begun[-1] == root:
            yield begun
        elif is_issued_by(begun[-1], root):
            yield [*begun, root]
    for issuer in given:
        if issuer not in begun and issuer not in roots and is_issued_by(begun[-1], issuer):
            yield from _paths([*begun, issuer], given, roots)


def _fault_of_dates(certificates: list[x509.Certificate], layout: Layout, now: dt.datetime) -> str:
    for certificate in certificates:
        name = certificate.subject.rfc4514_string() or "the leaf"
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if now < begin:
            return (
                f"{name} is not valid before {begin:%F %T} UTC: set this machine's clock, or wait."
            )
        if now > end:
            return f"{name} expired at {end:%F %T} UTC: have it issued again with {layout.issuer}."
    return ""


def _check_leaf(path: Path, leaf: x509.Certificate, roles: frozenset[Role]) -> SpiffeId:
    try:
        return check_leaf(leaf, *roles)
    except MtlsError as error:
        raise IdentityError(f"{path}: {error} Have it issued again.") from error
    except Exception as error:  # the parser has many errors
        raise IdentityError(
            f"{path}: an extension of the leaf cannot be parsed ({error}). Have it issued again."
        ) from error
