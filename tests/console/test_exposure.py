"""Without the token, from another page, or under another name, the console answers nothing.

Each of the four protections has a test here that fails without it, and its twin passes: the same
request, which differs in one fact, is served by the same running console.
"""

import socket
from typing import Any, Final

import pytest

from tests.console.system import Answer, System

ROUTES: Final = (
    ("GET", "/"),
    ("HEAD", "/"),
    ("GET", "/app.js"),
    ("GET", "/app.css"),
    ("GET", "/icon.svg"),
    ("GET", "/views/videos.js"),
    ("GET", "/api/status"),
    ("GET", "/api/videos"),
    ("POST", "/api/videos"),
    ("GET", "/api/videos/x"),
    ("DELETE", "/api/videos/x"),
    ("GET", "/api/videos/x/events"),
    ("GET", "/api/videos/x/thumbnail"),
    ("GET", "/api/videos/x/renditions/360p"),
    ("GET", "/api/certificates/events"),
    ("GET", "/no-such-path"),
    ("OPTIONS", "/api/videos"),
    ("GET", "/?token="),
    ("GET", "/?token=wrong"),
    ("GET", "/api/status?token=wrong"),
)
DELETE: Final = ("DELETE", "/api/videos/no-such-video")


def delete(system: System, **headers: Any) -> Answer:
    """Ask for what changes something: without a fault the gateway answers that there is no such."""
    return system.ask(*DELETE, Cookie=system.cookie(), **headers)


def own_origin(system: System) -> str:
    return f"http://localhost:{system.port}"


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_without_the_token_nothing_is_answered(system: System, method: str, path: str) -> None:
    answer = system.ask(method, path, Origin=own_origin(system))
    assert answer.status == 401
    if method != "HEAD":
        assert answer.body.decode().startswith("This console answers only to who has its token.")
    assert not answer.cookies


def test_with_the_token_comes_a_cookie_that_no_script_and_no_other_site_gets(
    system: System,
) -> None:
    answer = system.ask("GET", system.console_url.removeprefix(own_origin(system)))
    assert (answer.status, answer.headers["location"], answer.body) == (303, "/", b"")
    value, *attributes = answer.cookies[0].split("; ")
    assert value.startswith(f"console-{system.port}=")
    assert set(attributes) == {"HttpOnly", "Path=/", "SameSite=Strict"}
    token = system.console_url.partition("token=")[2]
    assert token not in value
    assert system.ask("GET", "/", Cookie=value).status == 200


@pytest.mark.parametrize("cookie", ["", "wrong", "\xff"])
def test_another_cookie_is_none(system: System, cookie: str) -> None:
    assert system.ask("GET", "/", Cookie=f"console-{system.port}={cookie}").status == 401


def test_a_cookie_and_a_token_end_with_the_process(system: System) -> None:
    cookie, url = system.cookie(), system.console_url
    assert system.ask("GET", "/", Cookie=cookie).status == 200
    system.console.stop()
    system.start_console_again()
    assert system.ask("GET", "/", Cookie=cookie).status == 401
    assert system.ask("GET", url.removeprefix(own_origin(system))).status == 401
    assert system.ask("GET", "/", Cookie=system.cookie()).status == 200


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"])
def test_the_names_that_it_is_published_as_are_answered(system: System, host: str) -> None:
    answer = system.ask("GET", "/", Cookie=system.cookie(), Host=f"{host}:{system.port}")
    assert answer.status == 200


@pytest.mark.parametrize(
    "host", ["evil.test", "localhost.evil.test", "console", "console:8080", "10.0.0.1", "", None]
)
def test_another_host_name_is_refused_with_the_cookie_and_with_the_token(
    system: System, host: str | None
) -> None:
    """DNS rebinding: a page of evil.test that resolves to us is of one origin with us."""
    cookie, path = system.cookie(), system.console_url.removeprefix(own_origin(system))
    assert system.ask("GET", "/", Cookie=cookie, Host=host).status in {400, 403}
    answer = system.ask("GET", path, Host=host)
    assert answer.status in {400, 403}
    assert not answer.cookies


def test_a_page_of_ours_may_change_something(system: System) -> None:
    for headers in ({"Origin": own_origin(system)}, {"Origin": own_origin(system).upper()}):
        assert delete(system, **headers).status == 404  # by the gateway: it was asked
    answer = delete(system, Origin=own_origin(system), Sec_Fetch_Site="same-origin")
    assert b"no such video" in answer.body.lower()


@pytest.mark.parametrize(
    "headers",
    [
        {},  # no browser leaves it out, and no program of ours calls the console
        {"Origin": "null"},
        {"Origin": "http://evil.test"},
        {"Origin": "https://localhost:{port}"},
        {"Origin": "http://localhost:1"},
        {"Origin": "http://127.0.0.1:{port}"},
        {"Origin": "http://localhost:{port}", "Sec_Fetch_Site": "cross-site"},
        {"Origin": "http://localhost:{port}", "Sec_Fetch_Site": "same-site"},
    ],
    ids=str,
)
def test_a_page_of_another_origin_changes_nothing(system: System, headers: dict[str, str]) -> None:
    since = system.gateway.log.position()
    sent = {name: value.format(port=system.port) for name, value in headers.items()}
    answer = delete(system, **sent)
    assert answer.status == 403
    assert answer.body == b"A page of another origin sent this: nothing was done."
    assert not system.gateway.log.events(since)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("destination", ["empty", "image", "script", "video", "iframe"])
def test_a_page_of_another_origin_reads_nothing(
    system: System, site: str, destination: str
) -> None:
    cookie = system.cookie()
    told: dict[str, Any] = {"Sec_Fetch_Site": site, "Sec_Fetch_Dest": destination}
    for path in ("/", "/api/status", "/api/videos", "/app.js"):
        assert system.ask("GET", path, Cookie=cookie, **told).status == 403
    told["Sec_Fetch_Site"] = "same-origin"
    assert system.ask("GET", "/api/status", Cookie=cookie, **told).status == 200


def test_a_link_on_another_site_leads_to_the_page(system: System) -> None:
    told: dict[str, Any] = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Dest": "document"}
    assert system.ask("GET", "/", Cookie=system.cookie(), **told).status == 200


POLICY: Final = {
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' blob:",
    "media-src 'self'",
    "connect-src 'self'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/app.js", 200),
        ("GET", "/api/status", 200),
        ("GET", "/api/videos", 200),
        ("GET", "/api/videos/no-such-video", 404),
        ("GET", "/no-such-path", 404),
        ("PUT", "/api/videos", 405),
    ],
)
def test_every_response_has_the_content_security_policy(
    system: System, method: str, path: str, status: int
) -> None:
    cookie, origin = system.cookie(), own_origin(system)
    for answer in (
        system.ask(method, path, Cookie=cookie, Origin=origin),
        system.ask(method, path, Origin=origin),
        system.ask(method, path, Cookie=cookie, Host="evil.test", Origin=origin),
    ):
        assert answer.status in {status, 401, 403}
        assert set(answer.headers["content-security-policy"].split("; ")) == POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in answer.headers
        assert "access-control-allow-origin" not in answer.headers


def test_the_token_is_in_no_log_but_the_one_line(system: System) -> None:
    token = system.console_url.partition("token=")[2]
    system.ask("GET", f"/?token={token}")
    lines = [line for line in system.console.log.path.read_text().splitlines() if token in line]
    assert lines == [f"Open http://localhost:{system.port}/?token={token}"]


def test_more_connections_than_allowed_are_dropped_and_the_others_served(system: System) -> None:
    address = ("127.0.0.1", system.port)
    opened = [socket.create_connection(address, 30) for _ in range(100)]
    try:
        with socket.create_connection(address, 30) as one_more:
            assert one_more.recv(1) == b""
    except ConnectionError:
        pass  # it was dropped even sooner
    finally:
        for each in opened:
            each.close()
