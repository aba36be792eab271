"""The chain: complete, in order, and leading to the CA given."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from mtls.certificates import Role

import pytest
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from doctor.ca_checks import CA_CHECKS, ROOT_AGAIN
from doctor.chain import Chain
from doctor.checks import Examination, Finding, Result
from doctor.examinations import CHAIN_CHECKS
from doctor.path_checks import PATH_CHECKS
from doctor.rehearsal import REHEARSAL, Credentials
from tests.unit.doctor.material import LEAF, NOW, ROOT, Made, leaf, make, openssl, run_shell

Certificates = tuple[x509.Certificate, ...]


@pytest.fixture(scope="module")
def made() -> Made:
    return leaf()


def look(check: str, certificates: Certificates, roots: Certificates) -> Finding:
    now = dt.datetime.now(dt.UTC)
    chain = Chain(certificates, roots, frozenset(Role), now, "chain.crt")
    examination = Examination()
    examination.run("", PATH_CHECKS, chain)
    return {each.id: each.finding for each in examination.sections[""]}[check]


def test_leaf_then_issuer_is_in_order(made: Made) -> None:
    assert look("order", made.chain, ()).result is Result.OK


def test_issuer_then_leaf_is_not(made: Made) -> None:
    found = look("order", made.chain[::-1], ())
    assert found.result is Result.FAILED
    assert "The leaf comes first" in found.detail


def test_a_certificate_that_does_not_belong_is_out_of_order(made: Made) -> None:
    stranger = make(ROOT).certificate
    chain = (made.chain[0], stranger, *made.chain[1:])
    found = look("order", chain, ())
    assert found.result is Result.NOTE  # OpenSSL accepts it all the same
    assert "OpenSSL and gRPC sort that out" in found.detail


def test_a_root_that_is_sent_is_needless(made: Made) -> None:
    assert look("order", (*made.chain, made.root.certificate), ()).result is Result.NOTE


def test_a_chain_without_gap_reaches_the_root(made: Made) -> None:
    assert look("root", made.chain, (made.root.certificate,)).result is Result.OK


def issuing_of(made: Made) -> x509.Certificate:
    assert made.issuer
    return made.issuer.certificate


ANOTHER: Final = make(ROOT)
UNREACHED: Final[dict[str, tuple[Callable[[Made], tuple[Certificates, Certificates]], str]]] = {
    "the issuing CA is missing": (
        lambda made: ((made.certificate,), (made.root.certificate,)),
        'The certificate of "CN=issuing", which issued "CN=leaf", is missing',
    ),
    "another CA": (
        lambda made: (made.chain, (make(replace(ROOT, subject="other")).certificate,)),
        'The certificate of "CN=root", which issued "CN=issuing", is missing',
    ),
    "a CA of the same name, with another key": (
        lambda made: (made.chain, (ANOTHER.certificate,)),
        "the CA was made again",
    ),
    "a leaf that signs itself": (
        lambda made: ((make(LEAF).certificate,), (made.root.certificate,)),
        "which signs itself and is not one of the CAs given",
    ),
    "the CA file ends at the issuing CA": (
        lambda made: (made.chain, (issuing_of(made),)),
        "does not sign itself",
    ),
}


@pytest.mark.parametrize(("build", "cause"), UNREACHED.values(), ids=UNREACHED)
def test_a_chain_that_does_not_reach_the_ca(
    made: Made, build: Callable[[Made], tuple[Certificates, Certificates]], cause: str
) -> None:
    certificates, roots = build(made)
    found = look("root", certificates, roots)
    assert found.result is Result.FAILED
    assert cause in found.detail


def test_a_root_that_an_older_one_has_signed_too_is_the_end(made: Made) -> None:
    """A cross-certificate, as servers send it for clients that know only the older root."""
    older = make(replace(ROOT, subject="older"))
    crossed = make(replace(ROOT, key=made.root.key), older).certificate
    certificates = (*made.chain, crossed)
    assert look("root", certificates, (made.root.certificate,)).result is Result.OK
    assert look("root", certificates, (older.certificate,)).result is Result.OK


def test_without_a_ca_there_is_nothing_to_reach(made: Made) -> None:
    assert look("root", made.chain, ()).result is Result.SKIPPED


@pytest.mark.parametrize(
    ("location", "command"),
    [
        ("http://ca.test/issuing.der", "curl -s http://ca.test/issuing.der |"),
        ("http://ca.test/'; rm x", """curl -s 'http://ca.test/'"'"'; rm x' |"""),
        ("-o/etc/passwd", "cat leaf.crt"),
    ],
)
def test_says_from_where_a_missing_issuer_can_be_fetched(location: str, command: str) -> None:
    """The certificate may be a stranger's, so what it says is quoted."""
    address = x509.UniformResourceIdentifier(location)
    access = x509.AuthorityInformationAccess(
        [x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, address)]
    )
    certificate = leaf(replace(LEAF, others=(access,))).certificate
    found = look("root", (certificate,), (ANOTHER.certificate,))
    assert found.command.startswith(command)


def test_sha_1_is_found(tmp_path: Path) -> None:
    """Signed by the openssl command, since the cryptography library refuses to."""
    authority = make(ROOT)
    (tmp_path / "ca.crt").write_bytes(authority.pem)
    (tmp_path / "ca.key").write_bytes(authority.key_pem())
    (tmp_path / "leaf.key").write_bytes(make(LEAF).key_pem())
    openssl("req", "-new", "-key", "leaf.key", "-subj", "/CN=leaf", "-out", "leaf.csr",
            folder=tmp_path)  # fmt: skip
    results = {}
    for digest in ("sha1", "sha256"):
        openssl("x509", "-req", f"-{digest}", "-in", "leaf.csr", "-CA", "ca.crt", "-CAkey",
                "ca.key", "-out", "leaf.crt", folder=tmp_path)  # fmt: skip
        certificate = x509.load_pem_x509_certificate((tmp_path / "leaf.crt").read_bytes())
        chain = Chain((certificate,), (authority.certificate,), frozenset(), NOW, "leaf.crt")
        examination = Examination()
        examination.run("", CHAIN_CHECKS, chain)
        results[digest] = examination.result_of("signature")
    assert results == {"sha1": Result.FAILED, "sha256": Result.OK}


def test_the_command_that_fixes_a_root_fixes_it(tmp_path: Path) -> None:
    """The CA of most tutorials, and its leaf: a new certificate for the CA's key is enough."""
    top = make(replace(ROOT, usage=None))
    made = make(LEAF, top)
    (tmp_path / "ca.crt").write_bytes(top.pem)
    (tmp_path / "ca.key").write_bytes(top.key_pem())

    def verdicts(root: x509.Certificate) -> tuple[Result | None, Result | None]:
        chain = Chain(made.chain, (root,), frozenset(Role), NOW, "chain.crt", "localhost")
        examination = Examination()
        examination.run("", CA_CHECKS, chain)
        examination.run("", REHEARSAL, Credentials(chain, made.key))
        return examination.result_of("ca_key_usage"), examination.result_of("openssl")

    assert verdicts(top.certificate) == (Result.FAILED, Result.FAILED)
    run_shell(ROOT_AGAIN, tmp_path)
    fixed = x509.load_pem_x509_certificate((tmp_path / "new-ca.crt").read_bytes())
    assert verdicts(fixed) == (Result.OK, Result.OK)
