"""What docs/stolen-keys.md says of each key is what a thief can do with it, and no more."""

import datetime as dt
import re
import ssl
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from mtls.spiffe import SpiffeId

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from demo_identities import FILE
from pki.authority import Authority, Issued
from pki.bootstrap import bootstrap
from pki.ca_folder import load_root_key
from pki.extensions import CA_KEY_USAGE
from pki.identities import CLIENT, SERVER, Identities, Identity, load_identities
from pki.identity_folder import read_identity, write_identity
from pki.pem import certificate_pem
from pki.revoke import revoke
from pki.rollover import rotate
from pki.rollover_state import Authorities, Stage
from pki.run import Options
from pki.signing import Signer, distinguished_name, sign_certificate
from tests.unit.pki.verifiers import FOREIGN_NAMES, context_of, leaf_of_gateway, shake_hands

PAGE = FILE.parent / "docs" / "stolen-keys.md"
COMPOSE = load_identities(FILE)  # without `--localhost`
HOSTS = ("video-queue", "gateway", "localhost", "evil.test", "127.0.0.1")
OPTIONS = Options(COMPOSE, load_time=dt.timedelta(0))


@pytest.fixture(scope="session")
def compose_certs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What docker compose makes, which no test may change."""
    folder = tmp_path_factory.mktemp("compose")
    bootstrap(folder, OPTIONS)
    return folder


@pytest.fixture
def certs(tmp_path: Path) -> Path:
    bootstrap(tmp_path / "certs", OPTIONS)
    return tmp_path / "certs"


def ca_of(certs: Path) -> Authority:
    authorities = Authorities.load(certs, now=dt.datetime.now(dt.UTC))
    assert authorities
    return authorities.issuing


def thief(folder: Path, certs: Path, issued: Issued) -> Path:
    """Give the thief a folder with this key; the rest is public."""
    trust = (
        (certs / "probe" / name).read_bytes() for name in ("ca-certificate.crt", "revoked.crl")
    )
    ca_pem, crl_pem = trust
    write_identity(folder, issued, ca_pem, crl_pem=crl_pem)
    return folder


def poses_as(server: Path, client: Path, host: str) -> bool:
    """Whether a client that dials `host`, and meets the thief, goes on."""
    try:
        shake_hands(
            context_of(server, ssl.PROTOCOL_TLS_SERVER),
            context_of(client, ssl.PROTOCOL_TLS_CLIENT),
            host,
        )
    except ssl.SSLError:
        return False
    return True


def calls_as(client: Path, server: Path) -> str | None:
    """Return the SPIFFE ID that a server sees, or None if it refuses the thief."""
    asking = context_of(client, ssl.PROTOCOL_TLS_CLIENT)
    asking.check_hostname = False
    try:
        seen = shake_hands(context_of(server, ssl.PROTOCOL_TLS_SERVER), asking, "any")
    except ssl.SSLError:
        return None
    shown = seen.getpeercert(binary_form=True)
    assert shown
    extensions = x509.load_der_x509_certificate(shown).extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    (uri,) = names.get_values_for_type(x509.UniformResourceIdentifier)
    return str(SpiffeId.parse(uri))


def rows() -> dict[str, tuple[str, str]]:
    cells = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", PAGE.read_text(), re.MULTILINE)
    return {key.strip("`"): (server, caller) for key, server, caller in cells[1:]}


def test_the_page_names_every_key() -> None:
    assert list(rows()) == [*(each.name for each in COMPOSE), "issuing CA", "root CA"]


@pytest.mark.parametrize("identity", COMPOSE.rows, ids=lambda identity: identity.name)
def test_a_leafs_key(compose_certs: Path, identity: Identity) -> None:
    stolen, viewer = compose_certs / identity.name, compose_certs / "client" / "viewer"
    hosts = [host for host in HOSTS if poses_as(stolen, viewer, host)]
    caller = calls_as(stolen, compose_certs / "video-queue")
    assert rows()[identity.name] == (
        ", ".join(hosts) or "-",
        caller.removeprefix("spiffe://video-demo.test/") if caller else "-",
    )


def test_localhost_makes_the_two_servers_equal_there(tmp_path: Path) -> None:
    certs = tmp_path / "certs"
    bootstrap(certs, Options(COMPOSE.with_localhost()))
    for name in ("video-queue", "gateway"):
        assert poses_as(certs / name, certs / "probe", "localhost")


def test_the_issuing_key_can_be_every_identity(compose_certs: Path, tmp_path: Path) -> None:
    """It is bound to the host names of the system, which are those of its servers."""
    ca, viewer = ca_of(compose_certs), compose_certs / "client" / "viewer"
    seen = set()
    for identity in COMPOSE:
        issued = ca.issue(identity, ekus=[SERVER, CLIENT])
        seen.add(calls_as(thief(tmp_path, compose_certs, issued), compose_certs / "video-queue"))
    assert seen == {identity.uri for identity in COMPOSE}
    hosts = []
    for host in HOSTS:
        address = host == "127.0.0.1"
        issued = ca.issue(
            COMPOSE.named("probe"), ekus=[SERVER], dns_names=[] if address else [host]
        )
        if address:
            issued = leaf_of_gateway(ca, FOREIGN_NAMES["IPv4 address"])
        if poses_as(thief(tmp_path, compose_certs, issued), viewer, host):
            hosts.append(host)
    assert rows()["issuing CA"] == (", ".join(hosts), "every identity of `video-demo.test`")


@pytest.mark.parametrize("foreign", FOREIGN_NAMES.values(), ids=FOREIGN_NAMES)
def test_the_issuing_key_signs_no_other_name(
    compose_certs: Path, tmp_path: Path, foreign: x509.GeneralName
) -> None:
    ca, queue = ca_of(compose_certs), compose_certs / "video-queue"
    assert calls_as(thief(tmp_path, compose_certs, leaf_of_gateway(ca)), queue)
    assert not calls_as(thief(tmp_path, compose_certs, leaf_of_gateway(ca, foreign)), queue)


def ca_below(signer: Signer, path_length: int) -> Signer:
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    certificate = sign_certificate(
        subject=distinguished_name("video-demo.test", "thief"),
        key=key,
        life=(now - dt.timedelta(minutes=5), now + dt.timedelta(days=1)),
        critical=[x509.BasicConstraints(ca=True, path_length=path_length), CA_KEY_USAGE],
        issuer=signer,
    )
    return Signer(certificate, key)


def objection_without_lists(
    certs: Path, issued: Issued, links: Iterable[x509.Certificate], host: str
) -> str:
    """Return why a strict client refuses the thief, whose own CA has no list; "" if it does not."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pair = certs.parent / "thief.pem"
    pair.write_bytes(issued.key_pair_pem + b"".join(map(certificate_pem, links)))
    server.load_cert_chain(pair)
    client = context_of(certs / "client" / "viewer", ssl.PROTOCOL_TLS_CLIENT)
    client.verify_flags &= ~ssl.VERIFY_CRL_CHECK_LEAF
    try:
        shake_hands(server, client, host)
    except ssl.SSLCertVerificationError as error:
        return str(error)
    return ""


def test_the_issuing_key_makes_no_other_ca_and_the_roots_key_makes_any(certs: Path) -> None:
    ca = ca_of(certs)
    below_issuing = ca_below(ca.issuing, 0)
    another = Authority(ca.root, below_issuing)
    issued = another.issue(COMPOSE.named("gateway"))
    links = [ca.issuing.certificate]
    told = objection_without_lists(certs, issued, links, "gateway")
    assert "path length constraint exceeded" in told

    root_key = load_root_key(certs, ca.root)
    assert root_key
    unbound = Authority(ca.root, ca_below(Signer(ca.root, root_key), 0))
    issued = unbound.issue(COMPOSE.named("gateway"), dns_names=["evil.test"])
    assert objection_without_lists(certs, issued, [], "evil.test") == ""
    assert rows()["root CA"] == ("every host", "every identity of every trust domain")


def test_renewal_does_not_end_it_and_revocation_does(certs: Path, tmp_path: Path) -> None:
    held = read_identity(certs / "gateway")
    assert held.key_pem
    stolen = Issued(held.leaf, held.chain_pem, held.key_pem)
    bootstrap(certs, replace(OPTIONS, again=True))
    queue = certs / "video-queue"
    assert calls_as(thief(tmp_path / "thief", certs, stolen), queue)
    revoke(certs, OPTIONS, "gateway")
    assert not calls_as(thief(tmp_path / "thief", certs, stolen), queue)
    assert calls_as(certs / "gateway", queue)


def test_only_a_new_root_ends_the_issuing_key(certs: Path, tmp_path: Path) -> None:
    forged = ca_of(certs).issue(COMPOSE.named("gateway"))

    def is_accepted() -> bool:
        return bool(calls_as(thief(tmp_path / "thief", certs, forged), certs / "video-queue"))

    assert is_accepted()
    revoke(certs, OPTIONS, "gateway")
    assert is_accepted()
    bootstrap(certs, replace(OPTIONS, new_issuing_ca=True))
    assert is_accepted()
    for stage in Stage:
        rotate(certs, OPTIONS, stage)
        assert is_accepted() == (stage is not Stage.DROP)
    assert calls_as(certs / "gateway", certs / "video-queue")


def test_another_trust_domain_is_for_the_services_to_refuse(
    compose_certs: Path, tmp_path: Path
) -> None:
    """TLS lets it pass; tests/mtls/test_refuses_names_outside_the_ca.py asks the services."""
    other = Identities("evil.test", (replace(COMPOSE.named("gateway"), trust_domain="evil.test"),))
    issued = ca_of(compose_certs).issue(other.named("gateway"))
    seen = calls_as(thief(tmp_path, compose_certs, issued), compose_certs / "video-queue")
    assert seen == "spiffe://evil.test/gateway"
