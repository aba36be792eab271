"""The doctor tells the truth about servers of another make: openssl s_server and nginx."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

from tests.mtls.foreign_servers import nginx_server, openssl_server
from tests.mtls.patient import Diagnosis, connect, write
from tests.unit.doctor.material import (
    CLIENT,
    HOUR,
    ISSUING,
    LEAF,
    NOW,
    ROOT,
    SERVER,
    Made,
    Spec,
    make,
)

SERVER_LEAF: Final = replace(LEAF, subject="server", ekus=[SERVER])
CLIENT_LEAF: Final = replace(
    LEAF, subject="client", ekus=[CLIENT], dns=[], uris=["spiffe://here.test/me"]
)
EXPIRED: Final = replace(CLIENT_LEAF, begin=NOW - 3 * HOUR, end=NOW - HOUR)
REQUIRE: Final = ("-Verify", "2", "-verify_return_error")


@pytest.fixture(scope="module")
def issuing() -> Made:
    return make(ISSUING, make(ROOT))


@pytest.fixture
def identity(tmp_path: Path, issuing: Made) -> Callable[[Spec], Path]:
    """Write a folder with a new certificate of the CA that everybody here trusts."""
    numbers = count()
    return lambda spec: write(tmp_path / f"identity-{next(numbers)}", make(spec, issuing))


@pytest.fixture
def server(identity: Callable[[Spec], Path]) -> Path:
    return identity(SERVER_LEAF)


def asking(folder: Path, *options: str) -> tuple[Path, tuple[str, ...]]:
    """Return what makes s_server ask for certificates of the CA in this folder."""
    authority = str(folder / "ca-certificate.crt")
    return folder / "key-pair.pem", ("-CAfile", authority, *options)


def results(found: Diagnosis, *checks: str) -> list[str]:
    return [found.result(check) for check in checks]


MUTUAL: Final = ("client.asked", "client.authorities", "client.accepted", "client.required")


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_that_requires_a_certificate(
    server: Path, identity: Callable[[Spec], Path], version: str
) -> None:
    certificate, options = asking(server, *REQUIRE, version)
    with openssl_server(certificate, *options, "-cert_chain", str(certificate)) as address:
        good = connect(address, "--http", "--identity", identity(CLIENT_LEAF))
        expired = connect(address, "--http", "--identity", identity(EXPIRED))
        purpose = connect(address, "--http", "--identity", identity(SERVER_LEAF))
    assert (good.code, good.failed) == (0, [])
    assert results(good, *MUTUAL, "call.answered") == ["ok"] * 5
    assert "CN=root" in good.detail("client.authorities")
    assert good.result("tls.version") == ("note" if version == "-tls1_2" else "ok")

    assert expired.failed == ["own.dates", "client.accepted"]
    assert "alert certificate_expired" in expired.detail("client.accepted")
    assert purpose.failed == ["own.purpose", "client.accepted"]
    assert "alert unsupported_certificate" in purpose.detail("client.accepted")


def test_openssl_that_names_another_ca_than_ours(
    server: Path, identity: Callable[[Spec], Path], tmp_path: Path
) -> None:
    """The server is right, and our certificate is from a CA that it does not name."""
    other = write(tmp_path / "other", make(CLIENT_LEAF, make(replace(ROOT, subject="other"))))
    ours = ("--cert", other / "key-pair.pem", "--ca", server / "ca-certificate.crt")
    certificate, options = asking(server, *REQUIRE)
    with openssl_server(certificate, *options, "-cert_chain", str(certificate)) as address:
        found = connect(address, "--http", *ours)
        good = connect(address, "--http", "--identity", identity(CLIENT_LEAF))
    assert results(found, "own.root", "client.authorities") == ["note", "note"]
    assert 'CN=root. Ours is from "CN=other"' in found.detail("client.authorities")
    assert found.failed == ["client.accepted"]
    assert "alert unknown_ca" in found.detail("client.accepted")
    assert good.failed == []


def test_openssl_that_asks_and_does_not_insist(
    server: Path, identity: Callable[[Spec], Path]
) -> None:
    certificate, options = asking(server, "-verify", "2")
    with openssl_server(certificate, *options, "-cert_chain", str(certificate)) as address:
        found = connect(address, "--http", "--identity", identity(CLIENT_LEAF))
    assert found.failed == ["client.required"]
    assert "THE CERTIFICATE IS NOT REQUIRED" in found.detail("client.required")
    assert found.result("client.asked") == "ok"


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_that_does_not_ask_is_tls_and_not_mutual_tls(
    server: Path, identity: Callable[[Spec], Path], version: str
) -> None:
    certificate = server / "key-pair.pem"
    with openssl_server(certificate, version, "-cert_chain", str(certificate)) as address:
        found = connect(address, "--http", "--identity", identity(CLIENT_LEAF))
    assert (found.code, found.failed) == (1, ["client.asked"])
    assert "THIS IS TLS, NOT MUTUAL TLS" in found.detail("client.asked")
    assert results(found, *MUTUAL[1:]) == ["skipped"] * 3


# What is wrong with the server's certificate, and which steps say so before OpenSSL's verdict.
UNTRUSTED: Final[dict[str, tuple[Spec, list[str]]]] = {
    "expired": (
        replace(SERVER_LEAF, begin=NOW - 3 * HOUR, end=NOW - HOUR),
        ["server.dates"],
    ),
    "not yet valid": (replace(SERVER_LEAF, begin=NOW + HOUR), ["server.dates"]),
    "another name": (replace(SERVER_LEAF, dns=["elsewhere.test"]), ["server.name"]),
    "common name only": (
        replace(SERVER_LEAF, subject="localhost", dns=[]),
        ["server.name", "server.common_name"],
    ),
    "a client's": (replace(SERVER_LEAF, ekus=[CLIENT]), ["server.purpose"]),
    "no authorityKeyIdentifier": (
        replace(SERVER_LEAF, has_aki=False),
        ["server.key_identifiers"],
    ),
}


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize(("spec", "steps"), UNTRUSTED.values(), ids=UNTRUSTED)
def test_names_what_is_wrong_with_a_server(
    identity: Callable[[Spec], Path], spec: Spec, steps: list[str], version: str
) -> None:
    certificate, options = asking(identity(spec), *REQUIRE, version)
    with openssl_server(certificate, *options, "-cert_chain", str(certificate)) as address:
        found = connect(address, "--http", "--identity", identity(CLIENT_LEAF))
    assert (found.code, found.failed) == (1, [*steps, "server.verified"])
    # In TLS 1.3 the question for our certificate comes before theirs, in TLS 1.2 after it.
    assert found.result("client.asked") == ("skipped" if version == "-tls1_2" else "ok")
    assert results(found, "client.accepted", "client.required") == ["skipped", "skipped"]
    assert found.detail("client.required") == "because server.verified failed"


def test_the_letter_of_rfc_5280_can_be_passed_over(identity: Callable[[Spec], Path]) -> None:
    spec, steps = UNTRUSTED["no authorityKeyIdentifier"]
    certificate, options = asking(identity(spec), *REQUIRE)
    with openssl_server(certificate, *options, "-cert_chain", str(certificate)) as address:
        found = connect(address, "--identity", identity(CLIENT_LEAF), "--not-strict")
    assert found.failed == []
    assert found.result(steps[0]) == "note"
    assert found.result("server.verified") == "ok"


def test_a_server_that_leaves_out_the_issuing_ca(
    server: Path, identity: Callable[[Spec], Path]
) -> None:
    with openssl_server(server / "key-pair.pem") as address:  # sends the leaf alone
        found = connect(address, "--identity", identity(CLIENT_LEAF))
    assert found.failed == ["server.root", "server.verified", "client.asked"]
    assert 'The certificate of "CN=issuing"' in found.detail("server.root")
    assert "is missing" in found.detail("server.root")


def test_a_server_of_another_ca(tmp_path: Path, identity: Callable[[Spec], Path]) -> None:
    stranger = write(tmp_path / "stranger", make(SERVER_LEAF, make(ISSUING, make(ROOT))))
    certificate = stranger / "key-pair.pem"
    with openssl_server(certificate, "-cert_chain", str(certificate)) as address:
        found = connect(address, "--identity", identity(CLIENT_LEAF))
    assert found.failed == ["server.root", "server.verified", "client.asked"]
    assert "the CA was made again" in found.detail("server.root")


def test_a_tutorials_ca_that_python_3_13_refuses(tmp_path: Path) -> None:
    """`openssl req -x509 -extensions v3_ca`: a CA without a keyUsage extension."""
    made = make(SERVER_LEAF, make(replace(ROOT, usage=None)))
    folder = write(tmp_path / "server", made)
    with openssl_server(folder / "key-pair.pem") as address:
        found = connect(address, "--ca", folder / "ca-certificate.crt")
    assert found.failed == ["server.ca_key_usage", "server.verified", "client.asked"]
    assert "Python 3.13 refuses it" in found.detail("server.ca_key_usage")


def test_a_server_of_old_tls_versions_only(server: Path) -> None:
    certificate = server / "key-pair.pem"
    old = ("-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
    with openssl_server(certificate, *old) as address:
        found = connect(address, "--ca", server / "ca-certificate.crt")
    assert found.failed == ["tls.version"]
    assert "Allow TLS 1.3 at the server" in found.checks["tls.version"]["fix"]
    assert found.result("server.presented") == "skipped"


def test_nginx_that_verifies(
    server: Path, identity: Callable[[Spec], Path], tmp_path: Path
) -> None:
    """nginx finishes every handshake, session ticket and all, and refuses in its HTTP answer."""
    authority = server / "ca-certificate.crt"
    settings = "ssl_verify_client on; ssl_verify_depth 2;"
    with nginx_server(tmp_path, server / "key-pair.pem", authority, settings) as address:
        good = connect(address, "--http", "--identity", identity(CLIENT_LEAF))
        expired = connect(address, "--http", "--identity", identity(EXPIRED))
        unsure = connect(address, "--identity", identity(EXPIRED))
    assert (good.code, good.failed) == (0, [])
    assert results(good, "client.asked", "client.accepted", "client.required") == ["ok"] * 3
    assert "No required SSL certificate was sent" in good.detail("client.required")
    assert "CN=root" in good.detail("client.authorities")

    assert expired.failed == ["own.dates", "client.accepted"]
    assert "400 The SSL certificate error" in expired.detail("client.accepted")

    # Without an HTTP call it cannot be known, and the doctor says so.
    assert unsure.failed == ["own.dates"]
    assert unsure.result("client.accepted") == "note"
    assert "nginx among them" in unsure.detail("client.accepted")


@pytest.mark.parametrize(
    ("settings", "failure"),
    [
        ("ssl_verify_client off;", "client.asked"),
        ("ssl_verify_client optional; ssl_verify_depth 2;", "client.required"),
    ],
)
def test_nginx_that_does_not_insist(
    server: Path,
    identity: Callable[[Spec], Path],
    tmp_path: Path,
    settings: str,
    failure: str,
) -> None:
    authority = server / "ca-certificate.crt"
    with nginx_server(tmp_path, server / "key-pair.pem", authority, settings) as address:
        found = connect(address, "--http", "--identity", identity(CLIENT_LEAF))
    assert found.failed == [failure]


def test_our_own_files_come_first_and_do_not_hide_the_server(
    server: Path, identity: Callable[[Spec], Path]
) -> None:
    certificate, options = asking(server, *REQUIRE)
    client = identity(CLIENT_LEAF)
    stranger = make(CLIENT_LEAF).key_pem()
    (client / "other.key").write_bytes(stranger)
    (client / "other.key").chmod(0o600)
    pair, ca = client / "key-pair.pem", client / "ca-certificate.crt"
    with openssl_server(certificate, *options, "-cert_chain", str(certificate)) as address:
        missing = connect(address, "--cert", pair, "--key", client / "no.key", "--ca", ca)
        unfit = connect(address, "--cert", pair, "--key", client / "other.key", "--ca", ca)
    assert missing.failed == ["files.readable"]
    assert missing.result("server.dates") == "ok"
    assert missing.detail("client.accepted") == "because files.readable failed"
    assert unfit.failed == ["key.fits"]
    assert unfit.result("server.verified") == "ok"
    assert unfit.detail("client.accepted") == "because key.fits failed"


def test_a_key_too_short_to_be_loaded(server: Path, identity: Callable[[Spec], Path]) -> None:
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505
    certificate, options = asking(server, *REQUIRE)
    with openssl_server(certificate, *options, "-cert_chain", str(certificate)) as address:
        found = connect(address, "--identity", identity(replace(CLIENT_LEAF, key=short)))
    assert found.failed == ["own.strength", "client.accepted"]
    assert "does not load our certificate" in found.detail("client.accepted")


def test_a_key_of_a_type_that_the_server_does_not_take(
    server: Path, identity: Callable[[Spec], Path]
) -> None:
    certificate, options = asking(server, *REQUIRE, "-client_sigalgs", "RSA-PSS+SHA256")
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    with openssl_server(certificate, *options, "-cert_chain", str(certificate)) as address:
        found = connect(address, "--http", "--identity", identity(CLIENT_LEAF))
        good = connect(address, "--http", "--identity", identity(replace(CLIENT_LEAF, key=rsa_key)))
    assert found.failed == ["client.accepted"]
    assert "none of the signatures asked for: rsa_pss_rsae_sha256" in found.detail(
        "client.accepted"
    )
    assert good.failed == []


def test_a_pkcs12_file_is_a_client_too(
    server: Path, issuing: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(CLIENT_LEAF, issuing)
    path = tmp_path / "client.p12"
    others = [*made.chain[1:], made.root.certificate]
    encryption = BestAvailableEncryption(b"correct horse")
    path.write_bytes(
        pkcs12.serialize_key_and_certificates(None, made.key, made.certificate, others, encryption)
    )
    path.chmod(0o600)
    monkeypatch.setenv("P12_PASSWORD", "correct horse")
    certificate, options = asking(server, *REQUIRE)
    with openssl_server(certificate, *options, "-cert_chain", str(certificate)) as address:
        found = connect(address, "--http", "--pkcs12", path, "--password-env", "P12_PASSWORD")
    assert (found.code, found.failed) == (0, [])
    assert found.result("client.accepted") == "ok"
