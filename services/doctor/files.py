"""Certificate, key and CA as they lie on the disk: PEM files, a folder of them, or PKCS #12."""

import re
import shlex
import ssl
import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Final

from mtls.errors import MtlsError

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12
from cryptography.utils import CryptographyDeprecationWarning

_MAX_FILE_BYTES: Final = 1024 * 1024  # a bundle with every public CA is a fifth of that

# Certificate, key and CA by the names that programs give them; the first that is there counts.
_LAYOUTS: Final = (
    ("key-pair.pem", "key-pair.pem", ("ca-certificate.crt",)),  # this project
    ("certificate.crt", "private-key.pem", ("ca-certificate.crt",)),
    ("tls.crt", "tls.key", ("ca.crt",)),  # cert-manager, and every TLS secret of Kubernetes
    ("svid.pem", "svid_key.pem", ("bundle.pem", "svid_bundle.pem")),  # SPIRE's helper
    ("svid.0.pem", "svid.0.key", ("bundle.0.pem",)),  # spire-agent api fetch -write
    ("fullchain.pem", "privkey.pem", ("ca.crt",)),  # certbot, which also writes a cert.pem
    ("cert.pem", "key.pem", ("ca.pem",)),  # Vault, by the templates of its agent
    ("server.crt", "server.key", ("ca.crt",)),
)
_REVOKED: Final = "revoked.crl"
_MAX_LISTS_BYTES: Final = 16 * 1024 * 1024


class UsageError(MtlsError):
    """The doctor was asked for something that it cannot do; `--help` shows what it can."""


@dataclass(frozen=True, slots=True)
class File:
    """A file that has been read; `problem` says why it could not be."""

    path: Path
    content: bytes = field(default=b"", repr=False)
    mode: int = 0
    owner: int = -1
    group: int = -1
    problem: str = ""

    @property
    def word(self) -> str:
        """The path as a word of a shell command."""
        return shlex.quote(str(self.path))


@dataclass(frozen=True)
class Files:
    """What was given on the command line. Certificate and key may be one file.

    `ca`, `revoked` (revocation lists) and `folder` are None if there is none, and `is_without_key`
    says that a certificate was given alone.
    """

    certificate: File
    key: File
    ca: File | None = None
    password: bytes | None = field(default=None, repr=False)
    is_pkcs12: bool = False
    is_without_key: bool = False
    revoked: File | None = None
    folder: Path | None = None

    @property
    def distinct(self) -> list[File]:
        """Each file once."""
        given = [self.certificate, self.key, *filter(None, (self.ca, self.revoked))]
        return list({file.path: file for file in given}.values())

    @property
    def needs_password(self) -> bool:
        """Whether the key cannot be opened without one."""
        if not self.is_pkcs12:
            return b"ENCRYPTED" in self.key.content
        try:
            _ = self.bundle
        except ValueError:
            return not self.key.problem
        return False

    @cached_property
    def bundle(self) -> pkcs12.PKCS12KeyAndCertificates:
        """The content of a PKCS #12 file. Raises `ValueError` for a wrong password or damage."""
        try:
            return pkcs12.load_pkcs12(self.certificate.content, self.password)
        except UnsupportedAlgorithm as error:
            raise ValueError(str(error)) from error

    @cached_property
    def certificates(self) -> tuple[x509.Certificate, ...]:
        """The leaf and what lies behind it. Raises `ValueError`."""
        if self.is_pkcs12:
            leaf, others = self.bundle.cert, [each.certificate for each in self._others()]
            return tuple([leaf.certificate, *others] if leaf else others)
        return readable_certificates(self.certificate.content)

    @cached_property
    def private_key(self) -> PrivateKeyTypes:
        """The key. Raises `TypeError` if it needs a password, and `ValueError`."""
        if self.is_pkcs12:
            if self.bundle.key is None:
                raise ValueError("it holds no private key")
            return self.bundle.key
        pem = next((pem for label, pem in blocks(self.key.content) if "PRIVATE KEY" in label), b"")
        try:
            return load_pem_private_key(pem, self.password if b"ENCRYPTED" in pem else None)
        except UnsupportedAlgorithm as error:
            raise ValueError(str(error)) from error

    @cached_property
    def roots(self) -> tuple[x509.Certificate, ...]:
        """The CAs to trust: in the CA file or else, with PKCS #12, what in it signs itself."""
        if self.ca:
            return readable_certificates(self.ca.content)
        return tuple(self._roots_inside()) if self.is_pkcs12 else ()

    @cached_property
    def revocation_lists(self) -> tuple[x509.CertificateRevocationList, ...]:
        """The revocation lists in the folder. Raises `ValueError`."""
        if self.revoked is None:
            return ()
        found = tuple(
            x509.load_pem_x509_crl(block)
            for label, block in blocks(self.revoked.content)
            if label == REVOCATION_LIST
        )
        if not found:
            raise ValueError("there is no revocation list in it")
        return found

    def _others(self) -> Iterator[pkcs12.PKCS12Certificate]:
        """The other certificates without the roots, which nobody sends."""
        roots = list(self._roots_inside())
        return (each for each in self.bundle.additional_certs if each.certificate not in roots)

    def _roots_inside(self) -> Iterator[x509.Certificate]:
        for each in self.bundle.additional_certs:
            if each.certificate.issuer == each.certificate.subject:
                yield each.certificate


def read(path: Path, max_bytes: int = _MAX_FILE_BYTES) -> File:
    """Read a file; what goes wrong is in the result."""
    try:
        status = path.stat()
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except OSError as error:
        return File(path, problem=error.strerror or type(error).__name__)
    if len(content) > max_bytes:
        return File(path, problem=f"larger than {max_bytes} bytes")
    problem = "" if content else "empty"
    mode = stat.S_IMODE(status.st_mode)
    return File(path, content, mode, status.st_uid, status.st_gid, problem)


def from_folder(folder: Path, ca: Path | None) -> Files:
    """Read the identity in a folder; its own CA file counts unless `ca` is given."""
    layout = next((each for each in _LAYOUTS if _has_any(folder, each[:2])), _LAYOUTS[0])
    certificate, key, ca_names = folder / layout[0], folder / layout[1], layout[2]
    own_ca = next((folder / each for each in ca_names if _exists(folder / each)), None)
    if own_ca is None and layout is _LAYOUTS[0]:  # not every other program keeps one there
        own_ca = folder / ca_names[0]
    files = from_files(certificate, key, ca or own_ca)
    revoked = folder / _REVOKED
    return replace(
        files, folder=folder, revoked=read(revoked, _MAX_LISTS_BYTES) if _exists(revoked) else None
    )


def _has_any(folder: Path, names: tuple[str, ...]) -> bool:
    return any(_exists(folder / name) for name in names)


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except OSError:
        return False
    return True


def from_files(certificate: Path, key: Path | None, ca: Path | None) -> Files:
    """Read PEM files; without `key`, the key is in the certificate's file, if there is any."""
    first = read(certificate)
    second = read(key) if key and key != certificate else first
    found = labels(first.content)
    is_without_key = key is None and found != [] and all(PRIVATE_KEY not in each for each in found)
    return Files(first, second, read(ca) if ca else None, is_without_key=is_without_key)


def from_pkcs12(path: Path, ca: Path | None) -> Files:
    """Read a PKCS #12 file (RFC 7292), also known as .p12 and .pfx."""
    file = read(path)
    return Files(file, file, read(ca) if ca else None, is_pkcs12=True)


def load_roots(path: Path) -> tuple[x509.Certificate, ...]:
    """Read a file of CA certificates. Raises `UsageError`."""
    file = read(path)
    try:
        return readable_certificates(file.content)
    except ValueError as error:
        raise UsageError(f"The CA file {path} cannot be used: {file.problem or error}.") from error


_MAX_CERTIFICATES: Final = 1000


def readable_certificates(pem: bytes) -> tuple[x509.Certificate, ...]:
    """Return the certificates in PEM text. Raises `ValueError` if there is none or one is bad."""
    found = tuple(
        _readable(x509.load_pem_x509_certificate, block)
        for label, block in blocks(pem)[:_MAX_CERTIFICATES]
        if label in {CERTIFICATE, f"X509 {CERTIFICATE}"}
    )
    if not found:
        raise ValueError("there is no certificate in it")
    return found


def readable_certificate(der: bytes) -> x509.Certificate:
    """Read one certificate as it is sent. Raises `ValueError` if it is damaged."""
    return _readable(x509.load_der_x509_certificate, der)


def _readable(load: Callable[[bytes], x509.Certificate], content: bytes) -> x509.Certificate:
    """Parse everything at once: later, an error would come where none is expected."""
    with warnings.catch_warnings():
        # Serial numbers that are not positive: against the rules, and found in trust stores.
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        try:
            certificate = load(content)
            _ = certificate.subject, certificate.issuer, certificate.extensions
            _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        except (
            x509.DuplicateExtension,
            x509.InvalidVersion,
            x509.UnsupportedGeneralNameType,
        ) as error:
            raise ValueError(str(error)) from error
    return certificate


@lru_cache(maxsize=1)
def system_roots() -> tuple[x509.Certificate, ...]:
    """Return the CAs that OpenSSL trusts on this machine by default; those it can read."""
    return tuple(_readable_system_roots())


def _readable_system_roots() -> Iterator[x509.Certificate]:
    paths = ssl.get_default_verify_paths()
    files = [Path(paths.cafile)] if paths.cafile else []
    if not files and paths.capath:
        files = sorted(Path(paths.capath).glob("*.0"))[:_MAX_CERTIFICATES]
    for file in files:
        for _, block in blocks(file.read_bytes()):
            with suppress(ValueError):  # a public root that cannot be read is left out
                yield _readable(x509.load_pem_x509_certificate, block)


_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----", re.DOTALL)

CERTIFICATE: Final = "CERTIFICATE"
PRIVATE_KEY: Final = "PRIVATE KEY"
REVOCATION_LIST: Final = "X509 CRL"

# By the first bytes of a file that has no PEM block: what it is, and what makes PEM of it.
_INSTEAD: Final[tuple[tuple[bytes, str, str], ...]] = (
    (b"\xff\xfe", "UTF-16 text", "iconv -f UTF-16 -t ASCII {path} > {path}.pem"),
    (b"\xfe\xff", "UTF-16 text", "iconv -f UTF-16 -t ASCII {path} > {path}.pem"),
    (b"0", "binary (DER or PKCS #12)", "openssl {tool} -inform DER -in {path} -out {path}.pem"),
    (b"-----BEGIN", "PEM cut short: a line that ends it is missing", ""),
)


def blocks(content: bytes) -> list[tuple[str, bytes]]:
    """Return every PEM block of a file as (label, block)."""
    return [(match[1].decode("ascii"), match[0]) for match in _BLOCK.finditer(content)]


def labels(content: bytes) -> list[str]:
    """Return what each PEM block of a file calls itself."""
    return [label for label, _ in blocks(content)]


def what_it_is(content: bytes) -> tuple[str, str]:
    """Say what a file without PEM is, and the command that makes PEM of it, if there is one.

    The command has places for the file's `path`, quoted, and for `tool`: x509 or pkey.
    """
    for start, name, command in _INSTEAD:
        if content.lstrip().startswith(start):
            return name, command
    return "no PEM at all", ""
