"""docs/what-forty-lines-leave-out.md tells the truth: each of its rows is one test here.

A test does the same to two servers that have certificates of one CA: the server of examples/python
and that of examples/library, which uses services/mtls. It asserts what each of them does.
"""

import datetime as dt
import re
import select
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from threading import Event
from typing import Any, Final

import grpc
import pytest
from cryptography import x509
from grpc.experimental import session_cache

from local_stack import ROOT
from pki.authority import Authority
from pki.crl import Revoked
from pki.identities import CLIENT
from pki.identity_folder import write_trust
from tests.examples.side_by_side import (
    CLOSED,
    DOMAIN,
    FORTY,
    FORTY_GRPC,
    IDENTITIES,
    OURS,
    OURS_GRPC,
    SECONDS,
    Kind,
    Lab,
    Live,
    until,
)

PAGE: Final = ROOT / "docs/what-forty-lines-leave-out.md"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    lab = Lab(tmp_path_factory.mktemp("lab"))
    (lab.folder / "ca.crt").write_bytes(lab.authority.ca_pem)
    return lab


@pytest.fixture(scope="module")
def forty(lab: Lab) -> Iterator[Live]:
    with lab.start(FORTY) as live:
        yield live


@pytest.fixture(scope="module")
def ours(lab: Lab) -> Iterator[Live]:
    with lab.start(OURS) as live:
        yield live


@pytest.fixture(scope="module")
def forty_grpc(lab: Lab) -> Iterator[Live]:
    with lab.start(FORTY_GRPC) as live:
        yield live


@pytest.fixture(scope="module")
def ours_grpc(lab: Lab) -> Iterator[Live]:
    with lab.start(OURS_GRPC) as live:
        yield live


def both_serve(lab: Lab, *servers: Live) -> None:
    """Assert that the right certificate is served: the twin of what is refused."""
    for live in servers:
        client, before = lab.identity(live.kind.caller), live.calls
        if live.kind in {FORTY, OURS}:
            assert live.ask_once(client).status == 200
        else:
            assert live.call(client) is grpc.StatusCode.OK
        until(partial(has_been_called, live, before + 1))


def has_been_called(live: Live, times: int) -> bool:
    return live.calls == times


def hears(live: Live) -> str:
    """Return what a client without a certificate hears."""
    with closing(live.open(None)) as connection:
        try:
            connection.request("GET", live.kind.path)
            connection.getresponse()
        except ssl.SSLError as error:
            return error.reason or ""
        except (OSError, HTTPException):
            return ""
    raise AssertionError("it was served")


def test_a_refused_client_learns_why(lab: Lab, forty: Live, ours: Live) -> None:
    assert hears(forty) == ""
    assert hears(ours) == "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    both_serve(lab, forty, ours)


def test_a_refusal_is_logged(lab: Lab, forty: Live, ours: Live) -> None:
    before = forty.log
    assert [hears(each) for each in (forty, ours)]
    ours.says("handshake.refused", "reason=no_certificate", "peer=")
    assert forty.log == before
    both_serve(lab, forty, ours)


def test_a_denied_call_is_logged_as_such(lab: Lab, forty: Live, ours: Live) -> None:
    """The forty lines print the same line as for a call that is served."""
    other = lab.identity("other")
    before = len(forty.log)
    assert forty.ask_once(other).status == ours.ask_once(other).status == 403
    ours.says("call.denied", "reason=not_listed", f"spiffe://{DOMAIN}/other", "rule=")
    assert forty.log[before:] == f"called by spiffe://{DOMAIN}/other\n"


def test_a_new_route_is_closed_until_somebody_allows_it(lab: Lab) -> None:
    new = "async def new(_: web.Request) -> web.Response:\n    return web.Response()\n\n\n"
    hello = "async def hello(request"
    route, ours_route = 'web.get("/", hello)', 'app.router.add_get("/hello", hello)'
    with (
        lab.start(FORTY, (hello, new + hello), (route, 'web.get("/", new)')) as forty,
        lab.start(
            OURS, (ours_route, ours_route + f"; {ours_route.replace('/hello', '/new')}")
        ) as ours,
    ):
        assert forty.ask_once(lab.identity("other")).status == 200
        with closing(ours.open(lab.identity(OURS.caller))) as connection:
            connection.request("GET", "/new")
            assert connection.getresponse().status == 403
        both_serve(lab, ours)


def test_a_certificate_must_say_what_it_is_for(lab: Lab, forty: Live, ours: Live) -> None:
    for live, status in ((forty, 200), (ours, 403)):
        before = live.calls
        assert live.ask_once(lab.identity(live.kind.caller, ekus=[])).status == status
        assert live.calls - before == (status == 200)
    both_serve(lab, forty, ours)


def serial_shown(live: Live) -> int:
    with closing(live.open(None)) as connection:
        der = connection.sock.getpeercert(binary_form=True)
    assert der
    return x509.load_der_x509_certificate(der).serial_number


def test_a_renewed_certificate_is_used(lab: Lab) -> None:
    with ExitStack() as stack:
        forty, ours = (stack.enter_context(lab.start(each)) for each in (FORTY, OURS))
        assert serial_shown(forty) != serial_shown(ours)
        renewed, first = lab.authority.issue(IDENTITIES.named("server")), serial_shown(forty)
        for live in (forty, ours):
            lab.write(renewed, live.folder)
        until(lambda: serial_shown(ours) == renewed.certificate.serial_number)
        assert serial_shown(forty) == first
        ours.says("identity.renewed", f"{renewed.certificate.serial_number:x}")


def test_a_renewed_certificate_is_used_over_grpc(lab: Lab) -> None:
    with ExitStack() as stack:
        forty, ours = (stack.enter_context(lab.start(each)) for each in (FORTY_GRPC, OURS_GRPC))
        renewed, first = lab.authority.issue(IDENTITIES.named("server")), serial_shown(forty)
        for live in (forty, ours):
            lab.write(renewed, live.folder)
        until(lambda: serial_shown(ours) == renewed.certificate.serial_number)
        assert serial_shown(forty) == first


def test_a_ca_that_is_taken_out_is_no_longer_trusted(lab: Lab) -> None:
    old = Authority.create(IDENTITIES)
    server = lab.authority.issue(IDENTITIES.named("server"))
    with ExitStack() as stack:
        forty, ours = (
            stack.enter_context(lab.start(each, folder=lab.write(server, None, old)))
            for each in (FORTY, OURS)
        )
        clients = {
            live.kind: lab.write(old.issue(IDENTITIES.named(live.kind.caller)))
            for live in (forty, ours)
        }
        assert ours.ask_once(clients[OURS]).status == 200
        for live in (forty, ours):
            lab.write(server, live.folder)
        until(lambda: ours.ask_once(clients[OURS]).status == CLOSED)
        ours.says("handshake.refused", "reason=unknown_ca")
        assert forty.ask_once(clients[FORTY]).status == 200
        both_serve(lab, forty, ours)


def test_an_expired_certificate_loses_its_open_connection(
    lab: Lab, forty: Live, ours: Live
) -> None:
    with ExitStack() as stack:

        def opened(live: Live, client: Path) -> HTTPSConnection:
            connection = stack.enter_context(closing(live.open(client)))
            assert live.ask(connection).status == 200
            return connection

        twins = {live.kind: opened(live, lab.identity(live.kind.caller)) for live in (forty, ours)}
        clients = {live.kind: lab.short_lived(live) for live in (forty, ours)}
        connections = {live.kind: opened(live, clients[live.kind]) for live in (forty, ours)}
        lab.until_expired(clients[OURS])
        for live, statuses in ((forty, {200}), (ours, {403, CLOSED})):
            assert live.ask(connections[live.kind]).status in statuses
            assert live.ask(twins[live.kind]).status == 200


def test_an_expired_certificate_does_not_resume_a_session(
    lab: Lab, forty: Live, ours: Live
) -> None:
    """A new connection without the session is refused by both."""
    clients = {live.kind: lab.short_lived(live) for live in (forty, ours)}
    contexts = {live.kind: live.context(clients[live.kind]) for live in (forty, ours)}
    sessions = {live.kind: session_of(live, contexts[live.kind]) for live in (forty, ours)}
    lab.until_expired(clients[OURS])
    for live, resumed in ((forty, (True, 200)), (ours, (False, CLOSED))):
        assert live.ask_once(clients[live.kind]).status == CLOSED
        assert resumes(live, contexts[live.kind], sessions[live.kind]) == resumed


def session_of(live: Live, context: ssl.SSLContext) -> ssl.SSLSession | None:
    """Return the session of a connection that was served."""
    with closing(live.open(None, context)) as connection:
        assert live.ask(connection).status == 200
        session: ssl.SSLSession | None = connection.sock.session
        return session


def resumes(
    live: Live, context: ssl.SSLContext, session: ssl.SSLSession | None
) -> tuple[bool, int]:
    """Return whether the session is resumed, and the status of what comes over it."""
    with (
        socket.create_connection(("localhost", live.port), SECONDS) as plain,
        context.wrap_socket(plain, server_hostname="localhost", session=session) as resumed,
    ):
        connection = HTTPSConnection("localhost", live.port)
        connection.sock = resumed
        return bool(resumed.session_reused), live.ask(connection).status


def test_an_expired_certificate_does_not_resume_a_session_of_grpc(
    lab: Lab, forty_grpc: Live, ours_grpc: Live
) -> None:
    code = grpc.StatusCode
    sessions: dict[Kind, Any] = {}
    clients = {live.kind: lab.short_lived(live) for live in (forty_grpc, ours_grpc)}
    for live in (forty_grpc, ours_grpc):
        cache = session_cache.ssl_session_cache_lru(8)  # type: ignore[no-untyped-call]
        sessions[live.kind] = cache
        assert live.call(clients[live.kind], sessions=cache) is code.OK
    lab.until_expired(clients[OURS_GRPC])
    for live, expected in ((forty_grpc, code.OK), (ours_grpc, code.UNAUTHENTICATED)):
        assert live.call(clients[live.kind]) is code.UNAVAILABLE  # without the session
        assert live.call(clients[live.kind], sessions=sessions[live.kind]) is expected


def revoke(lab: Lab, live: Live, client: Path) -> None:
    """Put a list into the server's folder that has this client's certificate."""
    leaf = x509.load_pem_x509_certificate((client / "certificate.crt").read_bytes())
    crl_pem = lab.authority.crl([Revoked(leaf.serial_number)])
    write_trust(live.folder, lab.authority.ca_pem, crl_pem)


def test_a_revoked_certificate_is_refused(lab: Lab) -> None:
    """The forty lines are started again, so that they could have read the list."""
    for kind, status in ((FORTY, 200), (OURS, CLOSED)):
        client = lab.identity(kind.caller)
        with lab.start(kind) as live:
            revoke(lab, live, client)
        with lab.start(kind, folder=live.folder) as live:
            assert live.ask_once(client).status == status
            if kind is OURS:
                live.says("handshake.refused", "reason=revoked")
            both_serve(lab, live)


def test_a_revoked_certificate_loses_its_open_connection(lab: Lab) -> None:
    with ExitStack() as stack:
        forty, ours = (stack.enter_context(lab.start(each)) for each in (FORTY, OURS))
        clients = {live.kind: lab.identity(live.kind.caller) for live in (forty, ours)}
        first, second = (
            stack.enter_context(closing(live.open(clients[live.kind]))) for live in (forty, ours)
        )
        assert forty.ask(first).status == ours.ask(second).status == 200
        for live in (forty, ours):
            revoke(lab, live, clients[live.kind])
        until(lambda: ours.ask(second).status != 200)
        assert forty.ask(first).status == 200
        both_serve(lab, forty, ours)


def test_a_revoked_certificate_is_refused_over_grpc(lab: Lab) -> None:
    code = grpc.StatusCode
    for kind, expected in ((FORTY_GRPC, code.OK), (OURS_GRPC, code.UNAUTHENTICATED)):
        client = lab.identity(kind.caller)
        with lab.start(kind) as live:
            revoke(lab, live, client)
        with lab.start(kind, folder=live.folder) as live:
            assert live.call(client) is expected
            both_serve(lab, live)


def test_a_silent_client_loses_its_connection_in_ten_seconds(
    lab: Lab, forty: Live, ours: Live
) -> None:
    with (
        socket.create_connection(("127.0.0.1", forty.port)) as first,
        socket.create_connection(("127.0.0.1", ours.port), SECONDS) as second,
    ):
        assert second.recv(1) == b""
        ours.says("handshake.refused", "reason=timeout")
        assert not select.select([first], [], [], 0)[0]
    both_serve(lab, forty, ours)


def test_one_address_does_not_get_all_connections(lab: Lab, forty: Live, ours: Live) -> None:
    """The limit is 250; a client of another address is served meanwhile."""
    with ExitStack() as stack:
        sockets = {
            live.kind: [
                stack.enter_context(
                    socket.create_connection(
                        ("127.0.0.1", live.port), SECONDS, source_address=("127.0.0.2", 0)
                    )
                )
                for _ in range(260)
            ]
            for live in (forty, ours)
        }
        ours.says("connection.dropped", "limit=max_connections_per_address")
        both_serve(lab, forty, ours)
        until(lambda: len(select.select(sockets[OURS], [], [], 0)[0]) >= 10)
        assert not select.select(sockets[FORTY], [], [], 0)[0]


def test_a_page_of_another_site_cannot_use_the_certificate(lab: Lab) -> None:
    """Both take POST here, by a change of one word in their route: GET changes nothing."""
    changes = {
        FORTY: [("web.get(", "web.post(")],
        OURS: [("add_get(", "add_post("), ("GET /hello", "POST /hello")],
    }
    for kind, status in ((FORTY, 200), (OURS, 403)):
        with lab.start(kind, *changes[kind]) as live:
            client = lab.identity(kind.caller)
            post = partial(live.ask_once, client, "POST")
            assert post(Origin="https://evil.test", Sec_Fetch_Site="cross-site").status == status
            own = f"https://{live.server.address}"
            assert post(Origin=own, Sec_Fetch_Site="same-origin").status == 200


def test_a_browser_is_told_not_to_guess(lab: Lab, forty: Live, ours: Live) -> None:
    names = {"Content-Security-Policy", "X-Content-Type-Options", "Cross-Origin-Resource-Policy"}
    for live, expected in ((forty, set()), (ours, names)):
        answer = live.ask_once(lab.identity(live.kind.caller))
        assert answer.status == 200
        assert names.intersection(answer.headers) == expected


def test_a_call_is_judged_before_its_request_is_read(
    lab: Lab, forty_grpc: Live, ours_grpc: Live
) -> None:
    """A caller that is not listed sends no request: it waits at the one, and is denied at once."""
    other, ended = lab.identity("other"), Event()
    with forty_grpc.channel(other) as first, ours_grpc.channel(other) as second:
        waiting: Any
        denied: Any
        no_request: Any = partial(no_request_until, ended)
        waiting, denied = (
            channel.stream_unary(live.kind.path).future(no_request(), timeout=SECONDS)
            for channel, live in ((first, forty_grpc), (second, ours_grpc))
        )
        assert denied.code() is grpc.StatusCode.PERMISSION_DENIED
        assert forty_grpc.call(other) is grpc.StatusCode.PERMISSION_DENIED  # with a request
        assert not waiting.done()
        waiting.cancel()
        ended.set()


def no_request_until(ended: Event) -> Iterator[bytes]:
    ended.wait(SECONDS)
    yield from ()


def test_a_key_that_others_can_read_is_not_used(lab: Lab) -> None:
    folder = lab.identity("server")
    for name in ("private-key.pem", "key-pair.pem"):
        (folder / name).chmod(0o644)
    with lab.start(FORTY, folder=folder) as forty:
        both_serve(lab, forty)
    assert "is open to others (mode 0644): chmod 600" in lab.ends_at_once(OURS, folder)


def test_a_server_without_a_revocation_list_does_not_start(lab: Lab) -> None:
    folder = lab.identity("server")
    (folder / "revoked.crl").unlink()
    with lab.start(FORTY, folder=folder) as forty:
        both_serve(lab, forty)
    assert "revocation lists are required" in lab.ends_at_once(OURS, folder)


def test_a_server_whose_certificate_has_expired_does_not_start(lab: Lab) -> None:
    hour = dt.timedelta(hours=1)
    folder = lab.identity("server", not_after=dt.datetime.now(dt.UTC) - hour)
    assert starts_and_is_refused(lab, folder) == "CERTIFICATE_VERIFY_FAILED"
    assert "expired at" in lab.ends_at_once(OURS, folder)


def test_a_server_with_a_clients_certificate_does_not_start(lab: Lab) -> None:
    folder = lab.identity("server", ekus=[CLIENT])
    assert starts_and_is_refused(lab, folder) == "CERTIFICATE_VERIFY_FAILED"
    assert "serverAuth" in lab.ends_at_once(OURS, folder)


def test_a_server_with_a_certificate_of_another_ca_does_not_start(lab: Lab) -> None:
    folder = lab.write(Authority.create(IDENTITIES).issue(IDENTITIES.named("server")))
    assert starts_and_is_refused(lab, folder) == "CERTIFICATE_VERIFY_FAILED"
    assert "does not lead to ca-certificate.crt" in lab.ends_at_once(OURS, folder)


def starts_and_is_refused(lab: Lab, folder: Path) -> str:
    """Start the forty lines with this identity, and return what their clients say."""
    with lab.start(FORTY, folder=folder) as forty:
        with pytest.raises(ssl.SSLError) as refused:
            forty.open(lab.identity(FORTY.caller))
        return refused.value.reason or ""


def test_a_client_whose_certificate_has_expired_says_so(lab: Lab, forty: Live, ours: Live) -> None:
    hour = dt.timedelta(hours=1)
    for live, says in ((forty, False), (ours, True)):
        kind = Kind(live.kind.file.replace("server", "client"), live.kind.caller, "")
        ended = {}
        for name, facts in (
            ("good", {}),
            ("expired", {"not_after": dt.datetime.now(dt.UTC) - hour}),
        ):
            folder = lab.identity(kind.caller, **facts)
            ended[name] = subprocess.run(
                [*kind.program().command, folder, live.server.address],
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
            )
        assert ended["good"].returncode == 0
        assert ended["expired"].returncode != 0
        assert ("expired at" in ended["expired"].stderr) == says


def test_the_page_has_a_row_for_each_test() -> None:
    """And each row leads to the file that does it, and names a test that is here."""
    rows = re.findall(r"^\| \d+ \|(.*)\|$", PAGE.read_text("utf-8"), re.MULTILINE)
    tests = [
        name for name in globals() if name.startswith("test_") and "page_has_a_row" not in name
    ]
    assert len(rows) >= 15
    assert [re.findall(r"`(test_\w+)`", row) for row in rows] == [[name] for name in tests]
    for row in rows:
        assert re.search(r"\]\(\.\./services/mtls/\w+(/\w+)?\.py\)", row), row
