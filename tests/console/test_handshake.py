"""Handshakes that the console makes with the real servers, as itself and as an impostor."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest

from tests.console.attempts import SERVERS, Console, running_console

Shown = Mapping[str, Any]

# RFC 8446, figure 1, with a client certificate, as (step, sender, name).
TLS_1_3: Final = [
    (1, "client", "ClientHello"),
    (2, "server", "ServerHello"),
    (2, "server", "EncryptedExtensions"),
    (2, "server", "CertificateRequest"),
    (2, "server", "Certificate"),
    (2, "server", "CertificateVerify"),
    (2, "server", "Finished"),
    (4, "client", "Certificate"),
    (4, "client", "CertificateVerify"),
    (4, "client", "Finished"),
]


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with running_console(tmp_path_factory.mktemp("handshake")) as console:
        yield console


def answered(console: Console, server: str, client: str = "console", session: str = "tls13") -> Any:
    wanted = {"server": server, "client": client, "session": session}
    status, answer = console.post("/api/handshake", wanted)
    assert status == 200, answer
    return answer


def shown(console: Console, server: str, client: str = "console", session: str = "tls13") -> Shown:
    picture: Shown = answered(console, server, client, session)["picture"]
    return picture


def said(picture: Shown) -> list[tuple[int, str, str]]:
    """Leave out what means nothing, and the close_notify that may come behind the answer."""
    return [
        (each["step"], each["sender"], each["name"])
        for each in picture["messages"]
        if each["name"] not in {"ChangeCipherSpec", "Alert"} or each["is_failure"]
    ]


def leaf_of(picture: Shown, sender: str) -> Shown:
    found = [each for each in picture["certificates"] if each["sender"] == sender]
    leaf: Shown = found[0]
    return leaf


@pytest.mark.parametrize("server", SERVERS)
def test_both_prove_who_they_are(console: Console, server: str) -> None:
    picture = shown(console, server)
    assert said(picture)[: len(TLS_1_3)] == TLS_1_3
    assert said(picture)[-1] == (7, "server", "Data")
    assert picture["outcome"]["is_accepted"], picture["outcome"]
    assert picture["outcome"]["step"] == 0
    assert all(step["is_reached"] and not step["is_failed"] for step in picture["steps"])
    assert leaf_of(picture, "client")["names"] == ["spiffe://video-demo.test/console"]
    assert f"spiffe://video-demo.test/{server}" in leaf_of(picture, "server")["names"]


@pytest.mark.parametrize("server", SERVERS)
def test_every_byte_on_the_wire_is_in_a_message_that_is_shown(
    console: Console, server: str
) -> None:
    """Every record is opened, and its content is that of messages; every message has its record."""
    picture = shown(console, server)
    assert sum(len(each["hex"]) // 2 for each in picture["records"]) == picture["bytes"]
    assert all(each["plain"] is not None for each in picture["records"])
    assert all(each["messages"] for each in picture["records"] if each["plain"])
    assert all(each["records"] for each in picture["messages"])
    for sender in ("client", "server"):
        sent = [each["plain"] for each in picture["records"] if each["sender"] == sender]
        said = [each["hex"] for each in picture["messages"] if each["sender"] == sender]
        assert sum(map(len, sent)) == sum(map(len, said))


# What the gateway's alert says; the queue's library sends none.
REFUSED: Final[Mapping[str, str]] = {
    "no-certificate": "certificate_required (116)",
    "same-names": "unknown_ca (48)",
    "expired": "certificate_expired (45)",
    "server-only": "unsupported_certificate (43)",
}


@pytest.mark.parametrize("client", REFUSED)
@pytest.mark.parametrize("server", SERVERS)
def test_a_refusal_differs_from_its_twin_where_it_differs(
    console: Console, server: str, client: str
) -> None:
    """The same messages up to the verdict of the server, which alone is another."""
    since = console.server(server).log.position()
    friend, intruder = shown(console, server), shown(console, server, client)
    both = [
        (step, sender, name)
        for step, sender, name in TLS_1_3
        if client != "no-certificate" or (step, name) != (4, "CertificateVerify")
    ]
    assert said(intruder)[: len(both)] == both
    assert [step for step in friend["steps"] if step["is_failed"]] == []
    assert [step["number"] for step in intruder["steps"] if step["is_failed"]] == [5]
    outcome = intruder["outcome"]
    assert (outcome["is_accepted"], outcome["by"], outcome["step"]) == (False, "server", 5)
    alerts = [each for each in intruder["messages"] if each["is_failure"]]
    if server == "gateway":
        assert outcome["alert"] == REFUSED[client]
        assert [(each["step"], each["sender"], each["name"]) for each in alerts] == [
            (6, "server", "Alert")
        ]
    else:
        assert (outcome["alert"], alerts) == ("", [])
        assert "without an alert" in outcome["text"]
    assert not any(each["sender"] == "server" for each in intruder["messages"] if each["step"] == 7)
    # The server refused one connection, that of the intruder, for its own reason.
    reason = {
        "no-certificate": "no_certificate",
        "same-names": "unknown_ca",
        "server-only": "wrong_purpose",
    }.get(client, client)
    log = console.server(server).log
    event = log.wait_for(lambda each: each["event"] == "handshake.refused", since=since)
    assert event["reason"] == reason


def test_a_certificate_that_no_policy_names_is_denied_and_not_refused(console: Console) -> None:
    picture = shown(console, "gateway", "not-allowed")
    assert said(picture)[: len(TLS_1_3)] == TLS_1_3
    assert picture["outcome"]["is_accepted"]
    assert picture["outcome"]["step"] == 7
    assert "HTTP 403" in picture["outcome"]["text"]
    assert "HTTP 200" not in picture["outcome"]["text"]


def test_tls_1_2_is_refused_by_the_servers_and_shown_in_memory(console: Console) -> None:
    refused = shown(console, "gateway", session="tls12")
    assert said(refused) == [(1, "client", "ClientHello"), (1, "server", "Alert")]
    assert refused["outcome"]["alert"] == "protocol_version (70)"
    assert [step["is_reached"] for step in refused["steps"]] == [True] + [False] * 6
    whole = shown(console, "memory", session="tls12")
    assert whole["outcome"]["is_accepted"]
    assert (whole["version"], whole["is_in_memory"]) == ("TLS 1.2", True)
    assert {"ServerKeyExchange", "ClientKeyExchange"} <= {name for _, _, name in said(whole)}


@pytest.mark.parametrize("session", ["tls13-resumed", "tls12-resumed"])
def test_a_resumed_session_shows_no_certificate(console: Console, session: str) -> None:
    full = shown(console, "memory", session=session.removesuffix("-resumed"))
    resumed = shown(console, "memory", session=session)
    assert len(full["certificates"]) == 3
    assert resumed["certificates"] == []
    assert resumed["is_resumed"]
    assert resumed["outcome"]["is_accepted"]


def test_a_saved_handshake_opens_as_it_was(console: Console) -> None:
    answer = answered(console, "gateway")
    saved = json.loads(json.dumps(answer["recording"]))
    status, again = console.post("/api/handshake/open", saved)
    assert status == 200
    assert again == answer


@pytest.mark.parametrize(
    "content",
    [{}, {"format": "mtls-handshake/1"}, {"format": "mtls-handshake/1", "x": "0" * 2_000_000}],
)
def test_what_is_no_recording_is_refused_and_says_what_to_do(
    console: Console, content: Mapping[str, Any]
) -> None:
    for path in ("/api/handshake/open", "/api/handshake/page"):
        status, problem = console.post(path, content)
        assert status in {400, 413}
        assert problem["fix"]


@pytest.mark.parametrize(
    "wanted",
    [
        {"server": "gateway", "client": "console", "session": "tls13-resumed"},
        {"server": "memory", "client": "expired", "session": "tls13"},
        {"server": "example.com:443", "client": "console", "session": "tls13"},
        {"server": "gateway", "client": "../console", "session": "tls13"},
        {"server": "gateway", "client": "plaintext", "session": "tls13"},
        {"server": "gateway", "client": "console"},
        {"server": ["gateway"], "client": "console", "session": "tls13"},
    ],
)
def test_nobody_else_can_be_dialled_or_impersonated(
    console: Console, wanted: Mapping[str, Any]
) -> None:
    assert console.post("/api/handshake", wanted)[0] == 400


def test_a_server_that_is_away_is_told_with_what_to_do(
    console: Console, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with running_console(tmp_path_factory.mktemp("away")) as other:
        other.queue.kill()
        wanted = {"server": "video-queue", "client": "console", "session": "tls13"}
        status, problem = other.post("/api/handshake", wanted)
    assert status == 502
    assert "video-queue" in problem["detail"]
    assert problem["tried"].startswith("a TCP connection to localhost:")
    assert "docker compose up -d video-queue" in problem["fix"]
