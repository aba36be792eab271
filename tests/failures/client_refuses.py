"""Group 2: the client refuses the server."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from demo_identities import IDENTITIES
from pki.authority import Authority, Issued
from pki.identities import CLIENT as CLIENT_AUTH
from tests.failures.failure import Failure
from tests.failures.lab import SERVER, Arrange, Case, Lab, Server, dialled
from tests.failures.material import issued, leaf_alone, serves_below, spec_of
from tests.mtls.foreign_servers import openssl_server, plaintext_http
from tests.unit.doctor.material import HOUR, ISSUING, NOW, ROOT, key_usage, make


def _shows(certificate: Callable[[Authority], Issued]) -> Arrange:
    @contextmanager
    def arrange(lab: Lab) -> Iterator[Case]:
        with lab.case(server=certificate(lab.authority)) as case:
            yield case

    return arrange


@contextmanager
def _dialled_by_address(lab: Lab) -> Iterator[Case]:
    with lab.case() as case:
        yield replace(case, server=dialled(case.server, "127.0.0.1"))


@contextmanager
def _speaks_old_tls(lab: Lab) -> Iterator[Case]:
    client = lab.client()
    pair = lab.server_file()
    with openssl_server(pair, "-tls1_2", "-cert_chain", str(pair), "-Verify", "1") as address:
        yield Case(client, Server(address, address))


@contextmanager
def _speaks_no_tls(lab: Lab) -> Iterator[Case]:
    with plaintext_http() as address:
        yield Case(lab.client(), Server(address, address))


_CN_ONLY: Final = replace(spec_of(SERVER), subject="localhost", dns=(), uris=())

FAILURES: Final = (
    Failure(
        title="The server is of another CA",
        did="You dial a server whose certificate another CA has signed: another environment's, or "
        "an impostor's.",
        why="Your client finds no way from the server's certificate to the root that it was given.",
        fix="Find out which server that is before you trust its CA: this is what an attack looks "
        "like, too.",
        arrange=_shows(lambda _: Authority.create(IDENTITIES).issue(SERVER)),
        doctor="server.verified",
        says=("refused_by_peer", ""),
    ),
    Failure(
        title="The server's certificate is self-signed",
        did="You dial a server that made its certificate itself.",
        why="It vouches for itself, and for that you have only its word.",
        fix="Have the server's certificate issued by the CA.",
        arrange=_shows(lambda _: issued(make(spec_of(SERVER)))),
        doctor="server.verified",
        says=("refused_by_peer", ""),
    ),
    Failure(
        title="The server does not send the issuing CA's certificate",
        did="You dial a server that was given its leaf and nothing else. Browsers may have found "
        "the rest by themselves.",
        why="The chain is the server's to send (RFC 8446, section 4.4.2), but for the root.",
        fix="Give the server leaf and issuing CA in one file, in this order.",
        arrange=_shows(lambda ours: leaf_alone(ours.issue(SERVER))),
        doctor="server.verified",
        says=("refused_by_peer", ""),
    ),
    Failure(
        title="The server's certificate has expired",
        did="You dial a server whose certificate ended an hour ago.",
        why="Nobody renewed it, or the server was not restarted since.",
        fix="Renew it, and restart the server.",
        arrange=_shows(
            lambda ours: ours.issue(SERVER, not_before=NOW - 2 * HOUR, not_after=NOW - HOUR)
        ),
        doctor="server.dates",
        says=("refused_by_peer", ""),
    ),
    Failure(
        title="The server's certificate is not valid yet",
        did="You dial a server whose certificate begins in an hour: one of two clocks is wrong.",
        why="By your clock its time has not come.",
        fix="Compare your clock with the issuer's; let validity begin some minutes in the past.",
        arrange=_shows(lambda ours: ours.issue(SERVER, not_before=NOW + HOUR)),
        doctor="server.dates",
        says=("refused_by_peer", ""),
    ),
    Failure(
        title="A client's certificate, used by a server",
        did="You dial a server that shows a certificate for `clientAuth`.",
        why="Whoever holds a client's key must not be able to pose as a server (RFC 5280, section "
        "4.2.1.12).",
        fix="Have the server's certificate issued with `serverAuth`.",
        arrange=_shows(lambda ours: ours.issue(SERVER, ekus=[CLIENT_AUTH])),
        doctor="server.purpose",
        says=("refused_by_peer", ""),
    ),
    Failure(
        title="The wrong host name",
        did="You dial `localhost`, and the certificate is for `gateway`.",
        why="The name that you dialled is looked for among the subjectAltNames (RFC 9525, section "
        "6), and is not there.",
        fix="Dial the name that is in the certificate, or have it issued with the one that you "
        "dial.",
        arrange=_shows(lambda ours: ours.issue(SERVER, dns_names=["gateway"])),
        doctor="server.name",
        says=("refused_by_peer", ""),
    ),
    Failure(
        title="An address, where the certificate has names",
        did="You dial `127.0.0.1`, and the certificate says `localhost`.",
        why="An address is compared with the addresses in the certificate and never with its "
        "names (RFC 9525, section 6.4). It has none.",
        fix="Dial the name.",
        arrange=_dialled_by_address,
        doctor="server.name",
        says=("refused_by_peer", ""),
    ),
    Failure(
        title="Nothing but a common name",
        did="You dial `localhost`; the certificate's common name is `localhost`, and it has no "
        "subjectAltName.",
        why="The common name no longer counts (RFC 9525, section 2). gRPC, curl, OpenSSL and "
        "Python by default look at it all the same where there is no subjectAltName; "
        "`services/mtls` tells Python not to, so the same server works for one client and not for "
        "the other.",
        fix="Have it issued with `subjectAltName = DNS:localhost`.",
        arrange=serves_below(leaf=_CN_ONLY),
        refused=("aiohttp",),
        doctor="server.name",
    ),
    Failure(
        title="A name that the server's CA may not give",
        did="You dial a server whose certificate also names a host that its CA is not for.",
        why="One name beyond the CA's name constraints spoils the whole certificate (RFC 5280, "
        "section 6.1.4).",
        fix="Have it issued with permitted names alone.",
        arrange=_shows(lambda ours: ours.issue(SERVER, dns_names=["localhost", "www.evil.test"])),
        doctor="server.ca_name_constraints",
        says=("refused_by_peer", ""),
    ),
    Failure(
        title="The CA of the usual tutorial (`-extensions v3_ca`)",
        did="You made the root with `openssl req -x509 -extensions v3_ca`: it says that it is a "
        "CA, and has no key usage.",
        why="RFC 5280, section 4.2.1.3, requires a CA's certificate to have the key usage "
        "`keyCertSign`. Python checks that since 3.13 (`VERIFY_X509_STRICT`), curl and gRPC do "
        "not: it works until somebody updates Python.",
        fix="Make the CA again with `keyUsage = critical, keyCertSign, cRLSign`.",
        arrange=serves_below(root=replace(ROOT, usage=None)),
        refused=("aiohttp", "openssl"),
        doctor="server.ca_key_usage",
        says=("refused_by_peer", ""),
    ),
    Failure(
        title="No authority key identifier",
        did="You made the leaf with `openssl x509 -req` and no extension file.",
        why="Of several CAs of the same name it says which one signed (RFC 5280, section "
        "4.2.1.1). Strict Python asks for it.",
        fix="Have it issued with `authorityKeyIdentifier = keyid`.",
        arrange=serves_below(leaf=replace(spec_of(SERVER), has_aki=False)),
        refused=("aiohttp", "openssl"),
        doctor="server.key_identifiers",
        says=("refused_by_peer", ""),
    ),
    Failure(
        title="A CA's basic constraints, not critical",
        did="Your CA has `basicConstraints = CA:TRUE` without `critical`.",
        why="RFC 5280, section 4.2.1.9, wants it critical, so that nobody can overlook it. Strict "
        "Python checks that.",
        fix="Make the CA again with `basicConstraints = critical, CA:TRUE`.",
        arrange=serves_below(issuing=replace(ISSUING, is_basic_critical=False)),
        refused=("aiohttp", "openssl"),
        doctor="server.strict",
        says=("refused_by_peer", ""),
    ),
    Failure(
        title="An issuing CA that is none",
        did="The certificate between root and leaf has `CA:FALSE`.",
        why="It was issued as a leaf, and a leaf may not sign.",
        fix="Have the issuing CA's certificate made with `basicConstraints = critical, CA:TRUE, "
        "pathlen:0`.",
        arrange=serves_below(
            issuing=replace(
                ISSUING, ca=False, path_length=None, usage=key_usage("digital_signature")
            )
        ),
        doctor="server.ca_basic_constraints",
        says=("refused_by_peer", ""),
    ),
    Failure(
        title="A server that speaks but old TLS",
        did="You dial a server whose newest version is TLS 1.2, with clients that are told to "
        "take nothing below 1.3.",
        why="The versions that the two speak have none in common. In TLS 1.2 every certificate "
        "crosses the network readable by anybody, so our clients refuse it.",
        fix="Update the server.",
        arrange=_speaks_old_tls,
        unseen="the doctor speaks TLS 1.2 as well; `tls.version` tells what was agreed on",
    ),
    Failure(
        title="A server without TLS",
        did="You dial `https://` where plain HTTP is served.",
        why="The answer to your ClientHello is no TLS record. Each library has other words for "
        "that, none of them these.",
        fix="Look at the port, and whether TLS ends at a proxy in front of it.",
        arrange=_speaks_no_tls,
        doctor="tls.spoken",
    ),
)
