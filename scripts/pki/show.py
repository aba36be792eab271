"""What there is, as a table, and what each file is for."""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from pki.identities import Identities
from pki.layout import (
    CA_FILES,
    CA_FOLDER,
    CHAIN,
    COMMON_CA_FILES,
    IDENTITY_FILES,
    ISSUING_CERTIFICATE,
    OFFLINE_FILES,
    ROOT_CERTIFICATE,
    generations,
)
from pki.pem import parse_certificates
from pki.run import UNITS

_EKU_NAMES: Final[dict[ObjectIdentifier, str]] = {
    ExtendedKeyUsageOID.SERVER_AUTH: "serverAuth",
    ExtendedKeyUsageOID.CLIENT_AUTH: "clientAuth",
}


def certificates_table(folder: Path, identities: Identities, *, now: dt.datetime) -> str:
    """Return a line for each CA and each identity: what it is for, and what is left of its life."""
    ca = folder / CA_FOLDER
    places = [
        (f"{what} {generation}".removesuffix(" 1"), ca / str(generation) / file.name)
        for generation in generations(ca) or [1]
        for what, file in (("root CA", ROOT_CERTIFICATE), ("issuing CA", ISSUING_CERTIFICATE))
    ]
    places += [(identity.name, folder / identity.name / CHAIN.name) for identity in identities]
    rows = [(name, *_describe(path, now)) for name, path in places]
    return _align([("IDENTITY", "LEFT", "EKU", "NAMES"), *rows])


def files_table() -> str:
    """Return a line for each kind of file: what it holds, and to whom it may be given."""
    ca = [
        (f"{folder}/{file.name}", file.holds, file.belongs)
        for folder, files in (
            ("ca/1", CA_FILES),
            ("ca", COMMON_CA_FILES),
            ("offline-root/1", OFFLINE_FILES),
        )
        for file in files
    ]
    identity = [(f"<identity>/{file.name}", file.holds, file.belongs) for file in IDENTITY_FILES]
    return _align([("FILE", "HOLDS", "MAY BE GIVEN TO"), *ca, *identity])


def folders_table(identities: Identities) -> str:
    """Return a line for each folder: its service is given that folder and no other."""
    rows = [(f"{identity.name}/", identity.purpose) for identity in identities]
    return _align([("FOLDER", "FOR THE ONE THAT"), *rows])


def _describe(path: Path, now: dt.datetime) -> tuple[str, str, str]:
    try:
        certificate = parse_certificates(path.read_bytes())[0]
        return (
            _left(certificate, now),
            ", ".join(_ekus(certificate)) or "-",
            ", ".join(_names(certificate)) or "-",
        )
    except OSError as error:
        return "-", "-", f"({error.strerror})"
    except ValueError:
        return "-", "-", "(damaged; run this without --show)"


def _left(certificate: x509.Certificate, now: dt.datetime) -> str:
    left = certificate.not_valid_after_utc - now
    return _rounded(left) if left > dt.timedelta(0) else "expired"


def _rounded(duration: dt.timedelta) -> str:
    """Write a duration in the unit that fits, rounded down: 29.9d, 23.9h, 59m, 59s."""
    name, unit = next(((n, u) for n, u in UNITS.items() if duration >= u), ("s", UNITS["s"]))
    tenths = duration * 10 // unit
    return f"{duration // unit}{name}" if name in "sm" else f"{tenths / 10:.1f}{name}"


def _ekus(certificate: x509.Certificate) -> Iterator[str]:
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.ExtendedKeyUsage):
            yield from (_EKU_NAMES.get(eku, eku.dotted_string) for eku in extension.value)


def _names(certificate: x509.Certificate) -> Iterator[str]:
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.SubjectAlternativeName):
            yield from (str(name.value) for name in extension.value)


def _align(rows: Iterable[Sequence[str]]) -> str:
    columns = list(zip(*(rows := list(rows)), strict=True))
    widths = [max(map(len, column)) for column in columns]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)
