"""Group 1: the server refuses the client."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from demo_identities import IDENTITIES, identity_named
from pki.authority import Authority, Issued
from pki.crl import Revoked
from pki.identities import SERVER as SERVER_AUTH
from tests.failures.clients import Client
from tests.failures.failure import Failure
from tests.failures.lab import CLIENT, Arrange, Case, Lab
from tests.failures.material import client_of, issued, issuer_of, leaf_alone, spec_of
from tests.unit.doctor.material import HOUR, ISSUING, NOW, key_usage, make


def _shows(certificate: Callable[[Authority], Issued]) -> Arrange:
    @contextmanager
    def arrange(lab: Lab) -> Iterator[Case]:
        with lab.case(lab.client(certificate(lab.authority))) as case:
            yield case

    return arrange


def _speaks(change: Callable[[Client], Client]) -> Arrange:
    @contextmanager
    def arrange(lab: Lab) -> Iterator[Case]:
        with lab.case(change(lab.client())) as case:
            yield case

    return arrange


def _listed(crl_pem: Callable[[Authority, Issued], bytes]) -> Arrange:
    @contextmanager
    def arrange(lab: Lab) -> Iterator[Case]:
        mine = lab.authority.issue(CLIENT)
        with lab.server(crl_pem=crl_pem(lab.authority, mine)) as server:
            yield Case(lab.client(mine), server)

    return arrange


def _signed_by_a_leaf(authority: Authority) -> Issued:
    leaf = make(spec_of(CLIENT), issuer_of(authority))
    return issued(make(spec_of(CLIENT), leaf))


def _below_one_ca_too_many(authority: Authority) -> Issued:
    too_deep = make(replace(ISSUING, subject="department CA"), issuer_of(authority))
    return issued(make(spec_of(CLIENT), too_deep))


FAILURES: Final = (
    Failure(
        title="No certificate",
        did="You call without a client certificate, as browsers and curl do when not told "
        "otherwise.",
        why="The server asks for one (CertificateRequest, RFC 8446, section 4.3.2) and gets an "
        "empty list. In TLS 1.3 the client has finished its handshake by then, so that the "
        "refusal comes where it reads the answer, and looks like a broken connection.",
        fix="Give the client its certificate and its key.",
        arrange=_speaks(lambda client: replace(client, certificate="")),
        says=("no_certificate", "no_certificate"),
        unseen="to come without a certificate is what you asked of the doctor, who notes that the "
        "server requires one (`client.required`)",
    ),
    Failure(
        title="Another CA, the same names",
        did="Your certificate has every name right, and is from a CA that the server does not "
        "trust: another environment's, or one made again.",
        why="A name is worth what its issuer's signature is worth. The server finds no way from "
        "the certificate to a root of its own.",
        fix="Have it issued by the CA that the server trusts. Do not add CAs to the server until "
        "it works.",
        arrange=_shows(lambda _: Authority.create(IDENTITIES).issue(CLIENT)),
        says=("unknown_ca", "unknown_ca"),
        doctor="client.accepted",
    ),
    Failure(
        title="A self-signed certificate",
        did="You made key and certificate with one command (`openssl req -x509`).",
        why="A self-signed certificate is a CA of its own, which nobody has trusted.",
        fix="Make a certificate request, and have the CA sign it.",
        arrange=_shows(lambda _: issued(make(replace(spec_of(CLIENT), is_basic_critical=True)))),
        says=("unknown_ca", "unknown_ca"),
        doctor="client.accepted",
    ),
    Failure(
        title="The issuing CA's certificate is not sent",
        did="You send your certificate without the issuing CA's behind it.",
        why="The server has the root. The certificate between comes from the client (RFC 8446, "
        "section 4.4.2), or from nowhere: neither OpenSSL nor BoringSSL goes and looks for it. Our "
        "HTTP server has its own issuing CA at hand, since Chromium sends a leaf alone. To gRPC's "
        "TLS library it would be a trust anchor.",
        fix="Put the issuing CA's certificate into the file, below the leaf.",
        arrange=_shows(lambda ours: leaf_alone(ours.issue(CLIENT))),
        refused=("gRPC",),
        says=("", "unknown_ca"),
        unseen="the HTTP server accepts the leaf",
    ),
    Failure(
        title="The client's certificate has expired",
        did="You call with a certificate that ended an hour ago.",
        why="Nobody renewed it, or it was renewed and the program still holds the old one.",
        fix="Renew it, well before its end and by a machine; restart what loaded it at its start.",
        arrange=_shows(
            lambda ours: ours.issue(CLIENT, not_before=NOW - 2 * HOUR, not_after=NOW - HOUR)
        ),
        says=("expired", "expired"),
        doctor="own.dates",
    ),
    Failure(
        title="The client's certificate is not valid yet",
        did="Your certificate was made on a machine whose clock is an hour ahead.",
        why="Validity begins at a time, and by the server's clock that time is to come. There is "
        "no TLS alert for it: OpenSSL says `bad certificate`.",
        fix="Set the clock of whoever issues; let validity begin some minutes in the past.",
        arrange=_shows(lambda ours: ours.issue(CLIENT, not_before=NOW + HOUR)),
        says=("not_yet_valid", "not_yet_valid"),
        doctor="own.dates",
    ),
    Failure(
        title="A server's certificate, used by a client",
        did="You have a certificate for `serverAuth`, and call somebody with it: one certificate "
        "for everything.",
        why="The extended key usage says what a key is for (RFC 5280, section 4.2.1.12). If every "
        "server's certificate could call, who steals one could act as a client everywhere.",
        fix="Have it issued with `clientAuth`, or with both if the service serves and calls.",
        arrange=_shows(lambda ours: ours.issue(CLIENT, ekus=[SERVER_AUTH])),
        says=("wrong_purpose", "wrong_purpose"),
        doctor="own.purpose",
    ),
    Failure(
        title="A key that may not sign",
        did="The certificate's key usage allows `keyEncipherment` alone, as old recipes for RSA "
        "have it.",
        why="In TLS 1.3 the client proves itself by a signature, for which the key usage needs "
        "`digitalSignature` (RFC 8446, section 4.4.2.2).",
        fix="Have it issued with `keyUsage = critical, digitalSignature`.",
        arrange=_shows(lambda ours: client_of(ours, usage=key_usage("key_encipherment"))),
        says=("wrong_purpose", ""),
        doctor="own.key_usage",
    ),
    Failure(
        title="A name that the CA may not give",
        did="Your certificate has a host name that the issuing CA may not sign.",
        why="The issuing CA has name constraints (RFC 5280, section 4.2.1.10): it may sign host "
        "names of this system, and no other, nor an IP address or an e-mail address.",
        fix="Have it issued with the names that identities.toml gives it.",
        arrange=_shows(lambda ours: ours.issue(CLIENT, dns_names=["evil.test"])),
        says=("name_not_permitted", "name_not_permitted"),
        doctor="own.ca_name_constraints",
    ),
    Failure(
        title="Signed by a leaf",
        did="Somebody signed your certificate with a service's key, which is no CA's.",
        why="A leaf's basicConstraints say `CA:FALSE`. Without that rule every certificate could "
        "make more.",
        fix="Have it issued by the CA. And ask who has that service's key.",
        arrange=_shows(_signed_by_a_leaf),
        says=("bad_certificate", "unknown_ca"),
        doctor="own.ca_basic_constraints",
    ),
    Failure(
        title="One CA too many",
        did="You put a CA of your own below the issuing CA.",
        why="The issuing CA has `pathlen:0` (RFC 5280, section 4.2.1.9): below it come leaves.",
        fix="Have the leaf issued by the issuing CA, or the root's owner make another issuing CA.",
        arrange=_shows(_below_one_ca_too_many),
        says=("bad_certificate", "bad_certificate"),
        doctor="own.ca_path_length",
    ),
    Failure(
        title="Plaintext",
        did="You call `http://` where `https://` is served, or open an insecure gRPC channel.",
        why="The first bytes of a TLS connection are a record header. These are not.",
        fix="Dial with TLS.",
        arrange=_speaks(lambda client: replace(client, speaks_tls=False)),
        says=("plaintext", "plaintext"),
        unseen="the doctor speaks TLS, so for it nothing is wrong",
    ),
    Failure(
        title="An old TLS version",
        did="Your client speaks TLS 1.2 and nothing newer.",
        why="The server takes TLS 1.3 alone: in 1.2 certificates cross the network readable by "
        "anybody, and every version that is served has to be kept safe.",
        fix="Update the client's TLS library, or lift the limit in its configuration.",
        arrange=_speaks(lambda client: replace(client, only_tls_1_2=True)),
        says=("protocol_version", ""),
        unseen="the doctor speaks TLS 1.3, so for it nothing is wrong",
    ),
    Failure(
        title="No SPIFFE ID",
        did="Your certificate is valid, and has no URI among its names.",
        why="TLS is content: the CA vouches for it. But for whom? A peer is its SPIFFE ID, so "
        "nobody has called.",
        fix="Have it issued with `subjectAltName = URI:spiffe://...`.",
        arrange=_shows(lambda ours: ours.issue(CLIENT, uris=[], dns_names=["localhost"])),
        says=("no_identity", "no_identity"),
        unseen="TLS succeeds, and a policy is known to the server alone; the answer is a note "
        "(`call.answered`)",
    ),
    Failure(
        title="Two SPIFFE IDs",
        did="Your certificate names two identities, to be used for either.",
        why="Who would have called? The X.509-SVID specification, section 2, allows one URI and "
        "not more.",
        fix="Have one certificate issued for each.",
        arrange=_shows(
            lambda ours: ours.issue(CLIENT, uris=[CLIENT.uri, identity_named("client/viewer").uri])
        ),
        says=("no_identity", "no_identity"),
        unseen="as with no SPIFFE ID",
    ),
    Failure(
        title="A good certificate, and no right",
        did="You are genuine, and the policy does not name you for this call.",
        why="Authentication is not authorization. What is not in the server's table is denied.",
        fix="If it should be allowed, add the identity to the server's policy.",
        arrange=_shows(lambda ours: ours.issue(identity_named("client/viewer"))),
        says=("not_listed", "not_listed"),
        unseen="the certificate is accepted, which the doctor says; whom the policy allows it "
        "cannot know",
    ),
    Failure(
        title="The right common name",
        did="Your common name is `client/uploader`, who may call; your SPIFFE ID is another's. "
        "Tutorials give every certificate the same common name.",
        why="The common name is for human eyes. Programs look at the subjectAltName (RFC 9525, "
        "section 2).",
        fix="Nothing: this is as it should be. A server that looks at the common name is the one "
        "to fix.",
        arrange=_shows(lambda ours: client_of(ours, uris=[identity_named("client/viewer").uri])),
        says=("not_listed", "not_listed"),
        unseen="as with a good certificate and no right",
    ),
    Failure(
        title="A certificate that is good for anything",
        did="Your certificate has no extended key usage.",
        why="TLS takes that for every purpose. `services/mtls` does not: a certificate must say "
        "that it is for clients.",
        fix="Have it issued with `extendedKeyUsage = clientAuth`.",
        arrange=_shows(lambda ours: ours.issue(CLIENT, ekus=[])),
        says=("no_identity", "no_identity"),
        unseen="the certificate is accepted; that a purpose is missing is a note (`own.purpose`)",
    ),
    Failure(
        title="The certificate was revoked",
        did="Your certificate has hours left, and its serial number stands on a revocation list.",
        why="Somebody said that its key is in wrong hands (RFC 5280, section 5). Over HTTP, "
        "OpenSSL looks into the list in the handshake. grpcio cannot be given one, so there you "
        "get in, and every call is denied.",
        fix="Have another issued, with another key, and find out who has the old one.",
        arrange=_listed(lambda ours, mine: ours.crl([Revoked(mine.certificate.serial_number)])),
        says=("revoked", "revoked"),
        doctor="client.accepted",
    ),
    Failure(
        title="The server's revocation list is out of date",
        did="Your certificate is good. The server's list ended an hour ago, and it has no other.",
        why="A list that is out of date could hide a revocation, so nobody is let in. The alert "
        "is that for an expired certificate, and everybody looks at the certificate.",
        fix="At the server: find out why nobody signs or copies the lists any more. "
        "`services/mtls` refuses to start with an old one, and to take one over.",
        arrange=_listed(lambda ours, _: ours.crl(next_update=NOW - HOUR)),
        says=("no_revocation_list", "no_revocation_list"),
        doctor="client.accepted",
    ),
)
