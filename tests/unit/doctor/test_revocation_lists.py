"""The list in the folder: whether it can be used, and whom it names."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from doctor.checks import Examination, Result
from doctor.connection import Attempt, Target
from doctor.endpoint import Endpoint, Plan
from doctor.examinations import Request, check_files
from doctor.files import from_folder
from doctor.server_checks import REVOKED
from tests.mtls.patient import write
from tests.unit.doctor.material import HOUR, NOW, ROOT, Made, leaf, make
from tests.unit.doctor.test_chain_checks import chain_of


@pytest.fixture(scope="module")
def made() -> Made:
    return leaf()


def crl(
    issuer: Made,
    *revoked: Made,
    next_update: dt.datetime = NOW + HOUR,
    extension: x509.ExtensionType | None = None,
) -> x509.CertificateRevocationList:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(NOW - 9 * HOUR)
        .next_update(next_update)
        .add_extension(x509.CRLNumber(7), critical=False)
    )
    if extension:
        builder = builder.add_extension(extension, critical=True)
    for each in revoked:
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder()
            .serial_number(each.certificate.serial_number)
            .revocation_date(NOW - HOUR)
            .build()
        )
    return builder.sign(issuer.key, hashes.SHA256())


def issuing(made: Made) -> Made:
    assert made.issuer
    return made.issuer


def pem(*lists: x509.CertificateRevocationList) -> bytes:
    return b"".join(each.public_bytes(Encoding.PEM) for each in lists)


def mimic(made: Made) -> Made:
    """Return a CA with the name of the issuing CA, and another key."""
    return make(replace(ROOT, subject="issuing", ca=True))


Content = Callable[[Made], bytes]
# What is in the file, and part of the cause; empty if it can be used.
LISTS: Final[dict[str, tuple[Content, str]]] = {
    "a list of nobody": (lambda made: pem(crl(issuing(made))), ""),
    "lists of both CAs": (lambda made: pem(crl(issuing(made)), crl(made.root)), ""),
    "another certificate": (lambda made: pem(crl(issuing(made), leaf())), ""),
    "the number of ours, from another issuer": (lambda made: pem(crl(made.root, made)), ""),
    "our own certificate": (lambda made: pem(crl(issuing(made), made)), "it is revoked"),
    "an old list": (
        lambda made: pem(crl(issuing(made), next_update=NOW - HOUR)),
        "is out of date: the next one was due at",
    ),
    "a stranger's list": (
        lambda _: pem(crl(make(replace(ROOT, subject="stranger")))),
        "is signed by none of the CAs",
    ),
    "a mimic's list": (lambda made: pem(crl(mimic(made))), "is signed by none of the CAs"),
    "a delta list": (
        lambda made: pem(crl(issuing(made), extension=x509.DeltaCRLIndicator(6))),
        "is a delta list",
    ),
    "no list": (lambda made: made.pem, "there is no revocation list in it"),
    "a damaged list": (
        lambda _: b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n",
        "cannot be read",
    ),
}


@pytest.mark.parametrize(("content", "cause"), LISTS.values(), ids=LISTS)
def test_a_list_is_looked_at(made: Made, tmp_path: Path, content: Content, cause: str) -> None:
    folder = write(tmp_path, made)
    (folder / "revoked.crl").write_bytes(content(made))
    examination = check_files(from_folder(folder, None), Request(name="localhost"))
    (found,) = (each for each in examination.sections["The files"] if each.id == "files.revoked")
    assert found.finding.result is (Result.FAILED if cause else Result.OK), found
    assert cause in found.finding.detail


def test_without_a_list_nothing_is_said_of_it(made: Made, tmp_path: Path) -> None:
    examination = check_files(from_folder(write(tmp_path, made), None), Request())
    assert examination.result_of("files.revoked") is None


@pytest.mark.parametrize("is_revoked", [True, False])
def test_a_server_that_our_list_names_is_revoked(made: Made, *, is_revoked: bool) -> None:
    target = Target("localhost", 443, "localhost")
    listed = crl(issuing(made), made if is_revoked else leaf())
    plan = Plan(target, (made.root.certificate,), revocation_lists=(listed,))
    endpoint = Endpoint(plan, Attempt(target), Attempt(target), chain_of(made))
    examination = Examination()
    examination.run("", REVOKED, endpoint)
    expected = Result.FAILED if is_revoked else Result.OK
    assert examination.result_of("server.revoked") is expected
