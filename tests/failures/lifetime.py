"""Group 4: what time does to certificates that were right."""

import asyncio
import datetime as dt
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

import mtls  # noqa: F401  before grpc

import aiohttp

from demo_identities import IDENTITIES
from pki.authority import Authority
from pki.identity_folder import write_identity
from tests.failures.clients import SERVED, Said, answer, ask_aiohttp, call_grpc, channel, context
from tests.failures.failure import ANYONE, Failure, ask_all
from tests.failures.lab import CLIENT, SERVER, Case, Lab, Server, TooLate
from tests.failures.material import serves_below
from tests.mtls.foreign_servers import openssl_server
from tests.unit.doctor.material import HOUR, ISSUING, NOW, ROOT, Spec

_MARGIN_SECONDS: Final = 1.5  # certificates count in whole seconds
_IDLE_SECONDS: Final = 300  # of an open connection, until its certificate has expired


def _expired(authority: Spec) -> Spec:
    return replace(authority, begin=NOW - 9 * HOUR, end=NOW - HOUR)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


async def _until(moment: dt.datetime) -> None:
    await asyncio.sleep((moment - _now()).total_seconds() + _MARGIN_SECONDS)


@contextmanager
def _before(moment: dt.datetime) -> Iterator[None]:
    """Raise `TooLate`, whatever came of the body, if it was not over before the moment."""
    try:
        yield
    finally:
        if _now() >= moment:
            raise TooLate


@contextmanager
def _client_expires(lab: Lab) -> Iterator[Case]:
    with lab.server() as server:
        issued = lab.authority.issue(CLIENT, not_after=_now() + lab.life)
        yield Case(lab.client(issued), server, issued.certificate.not_valid_after_utc)


@contextmanager
def _server_expires(lab: Lab) -> Iterator[Case]:
    issued = lab.authority.issue(SERVER, not_after=_now() + lab.life)
    with lab.server(issued) as server:
        yield Case(lab.client(), server, issued.certificate.not_valid_after_utc)


@contextmanager
def _server_is_renewed(lab: Lab) -> Iterator[Case]:
    issued = lab.authority.issue(SERVER, not_after=_now() + lab.life)
    with lab.server(issued) as server:
        write_identity(lab.folder / "server", lab.authority.issue(SERVER), lab.authority.ca_pem)
        yield Case(lab.client(), server, issued.certificate.not_valid_after_utc)


async def _before_and_after(case: Case) -> Mapping[str, Said]:
    """Connect, wait until the certificate has expired, and call again over both connections."""
    async with (
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(keepalive_timeout=_IDLE_SECONDS),
            timeout=aiohttp.ClientTimeout(total=case.client.patience),
        ) as session,
        channel(case.client, case.server.grpc) as open_channel,
    ):
        tls = context(case.client)

        async def call() -> Mapping[str, Said]:
            async with session.get(f"https://{case.server.http}/videos", ssl=tls) as response:
                over_http = answer(f"HTTP {response.status}", await response.text())
            return {"open HTTP": over_http, "open gRPC": await call_grpc(open_channel)}

        with _before(case.moment):
            assert all(said.served for said in (await call()).values())
        await _until(case.moment)
        return {**await call(), **await ask_all(case)}


async def _after(case: Case) -> Mapping[str, Said]:
    await _until(case.moment)
    return await ask_all(case)


@contextmanager
def _not_yet(lab: Lab) -> Iterator[Case]:
    with lab.server() as server:
        issued = lab.authority.issue(CLIENT, not_before=_now() + lab.life)
        yield Case(lab.client(issued), server, issued.certificate.not_valid_before_utc)


async def _now_and_later(case: Case) -> Mapping[str, Said]:
    with _before(case.moment):
        soon = await ask_all(case)
    await _until(case.moment)
    later = await ask_all(case)
    assert all(said.served for said in later.values()), later
    return {**soon, "seconds later": SERVED}


@contextmanager
def _resumes(lab: Lab) -> Iterator[Case]:
    """Serve as openssl does by default: with tickets, by which a session can be resumed."""
    pair = lab.server_file()
    mine = lab.authority.issue(CLIENT, not_after=_now() + lab.life)
    client = lab.client(mine)
    trusted = ("-CAfile", client.path(client.ca), "-cert_chain", str(pair))
    with openssl_server(pair, "-Verify", "2", "-verify_return_error", *trusted) as address:
        moment = mine.certificate.not_valid_after_utc
        yield Case(client, Server(address, address), moment)


async def _resume(case: Case) -> Mapping[str, Said]:
    tls = context(case.client)
    with _before(case.moment):
        session = await asyncio.to_thread(_session, tls, case.server.http, None)
    await _until(case.moment)
    resumed = await asyncio.to_thread(_session, tls, case.server.http, session)
    assert resumed
    return {
        "resumed session": SERVED,
        "aiohttp": await ask_aiohttp(case.client, case.server.http, case.server.grpc),
    }


def _session(
    tls: ssl.SSLContext, address: str, session: ssl.SSLSession | None
) -> ssl.SSLSession | None:
    """Make one request, with this session if there is one; return the session to come back with.

    A ticket comes after the handshake, so it is there once something has been read.
    """
    host, _, port = address.rpartition(":")
    with (
        socket.create_connection((host, int(port)), 30) as plain,
        tls.wrap_socket(plain, server_hostname=host, session=session) as secure,
    ):
        assert secure.session_reused == bool(session)
        secure.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert secure.recv(8) == b"HTTP/1.0"
        return secure.session


@contextmanager
def _server_trusts_the_old(lab: Lab) -> Iterator[Case]:
    new = Authority.create(IDENTITIES)
    both = lab.authority.ca_pem + new.ca_pem
    with lab.server() as server:
        yield Case(lab.client(new.issue(CLIENT), both), server)


@contextmanager
def _client_trusts_the_old(lab: Lab) -> Iterator[Case]:
    new = Authority.create(IDENTITIES)
    both = lab.authority.ca_pem + new.ca_pem
    with lab.server(new.issue(SERVER), both) as server:
        yield Case(lab.client(), server)


FAILURES: Final = (
    Failure(
        title="The client's certificate expires while it is connected",
        did="You connect with a certificate that has seconds left, and go on over the same "
        "connection.",
        why="TLS verifies a certificate in the handshake, and then no more: to most servers you "
        "would be good for as long as the connection lasts. `services/mtls` looks at the date in "
        "every call, and so may nobody else's server do.",
        fix="Renew early, and connect again with the new certificate. At a server: look at the "
        "dates again, and give connections a greatest age (`grpc.max_connection_age_ms`).",
        arrange=_client_expires,
        watch=_before_and_after,
        refused=("open HTTP", "open gRPC", *ANYONE),
        says=("expired", "expired"),
        doctor="own.dates",
    ),
    Failure(
        title="The server's certificate expires while clients are connected",
        did="You are connected to a server whose certificate has seconds left.",
        why="As above, from the other side: whoever was connected notices nothing, whoever comes "
        "is refused.",
        fix="Watch the days that are left (`mtls_certificate_expires_in_seconds`), not the errors.",
        arrange=_server_expires,
        watch=_before_and_after,
        doctor="server.dates",
        says=("refused_by_peer", ""),
    ),
    Failure(
        title="Renewed, and not loaded",
        did="The server's certificate was renewed on disk in time. The server, started before, "
        "still shows the old one.",
        why="Most servers read their certificate when they start. A file that changes changes "
        "nothing.",
        fix="Let the server load its files again when they change, as `services/mtls` does "
        "(`identity_source.py`), or restart it after a renewal. And ask the server, not the file, "
        "for its dates (`doctor connect`).",
        arrange=_server_is_renewed,
        watch=_after,
        doctor="server.dates",
        says=("refused_by_peer", ""),
    ),
    Failure(
        title="A resumed session outlives the certificate",
        did="You come back to an `openssl s_server` with the session ticket of an earlier "
        "connection, after your certificate has expired.",
        why="A resumed session (RFC 8446, section 2.2) shows no certificate: the server takes the "
        "old verdict, and OpenSSL does not look at the dates again. Somebody is served who should "
        "not be.",
        fix="Issue no tickets, as `services/mtls` does (`num_tickets = 0`), or tickets that end "
        "before the certificates do.",
        arrange=_resumes,
        watch=_resume,
        refused=("aiohttp",),
        doctor="own.dates",
    ),
    Failure(
        title="The issuing CA has expired",
        did="You dial a server whose certificate has time left. The CA's above it has none.",
        why="Each certificate of the chain has to be valid now (RFC 5280, section 6.1.3). The "
        "words are those for an expired leaf, and everybody looks at the leaf.",
        fix="Renew the issuing CA, then the leaves below it. Let none outlive its issuer.",
        arrange=serves_below(issuing=_expired(ISSUING)),
        doctor="server.dates",
        says=("refused_by_peer", ""),
    ),
    Failure(
        title="The root has expired",
        did="You trust a root whose ten years are over.",
        why="A root's date counts as well, in OpenSSL and in BoringSSL.",
        fix="Hand out the new root long before the old one ends, and trust both meanwhile.",
        arrange=serves_below(root=_expired(ROOT)),
        doctor="server.dates",
        says=("refused_by_peer", ""),
    ),
    Failure(
        title="The CA was made again, and the server trusts the old one",
        did="Your certificate is of the new CA. The server was not given its root.",
        why="A new CA of the same name is another CA: it has another key.",
        fix="Change a CA in three steps: trust both everywhere, issue from the new one, drop the "
        "old one.",
        arrange=_server_trusts_the_old,
        says=("unknown_ca", "unknown_ca"),
        doctor="client.accepted",
    ),
    Failure(
        title="The CA was made again, and the client trusts the old one",
        did="The server's certificate is of the new CA. Your file has the old root.",
        why="As above. That the two CAs have one name makes the words misleading.",
        fix="As above.",
        arrange=_client_trusts_the_old,
        doctor="server.root",
        says=("refused_by_peer", ""),
    ),
    Failure(
        title="Issued a moment ago, by a clock that is ahead",
        did="You call with a new certificate, issued by a machine whose clock is some seconds "
        "ahead.",
        why="It is not valid yet, and soon it will be. What heals by itself is seldom understood.",
        fix="Let validity begin five minutes in the past, as `scripts/bootstrap_certs.py` does; "
        "keep clocks in step.",
        arrange=_not_yet,
        watch=_now_and_later,
        says=("not_yet_valid", "not_yet_valid"),
        unseen="when it came to look, the certificate was valid",
    ),
)
