"""A running console, its API as the page uses it, and what has to come of each attempt."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import HTTPCookieProcessor, OpenerDirector, Request, build_opener

from local_stack import Service, Stack, opening
from tests.console.system import start_console

SERVERS: Final = ("gateway", "video-queue")
_SECONDS: Final = 60  # longer than the console waits
REFUSED, DENIED, ACCEPTED = "refused", "denied", "accepted"

# For each kind of client: how it ends, and the server's reason, at the gateway and at the queue.
EXPECTED: Final[Mapping[str, tuple[tuple[str, str], tuple[str, str]]]] = {
    "console": ((ACCEPTED, ""), (ACCEPTED, "")),
    "no-certificate": ((REFUSED, "no_certificate"), (REFUSED, "no_certificate")),
    "self-signed": ((REFUSED, "unknown_ca"), (REFUSED, "unknown_ca")),
    "another-ca": ((REFUSED, "unknown_ca"), (REFUSED, "unknown_ca")),
    "same-names": ((REFUSED, "unknown_ca"), (REFUSED, "unknown_ca")),
    "expired": ((REFUSED, "expired"), (REFUSED, "expired")),
    "not-yet-valid": ((REFUSED, "not_yet_valid"), (REFUSED, "not_yet_valid")),
    "server-only": ((REFUSED, "wrong_purpose"), (REFUSED, "wrong_purpose")),
    "any-purpose": ((DENIED, "no_identity"), (DENIED, "no_identity")),
    "foreign-host": ((REFUSED, "name_not_permitted"), (REFUSED, "name_not_permitted")),
    "foreign-domain": ((DENIED, "not_listed"), (DENIED, "not_listed")),
    "common-name": ((DENIED, "no_identity"), (DENIED, "no_identity")),
    "two-names": ((DENIED, "no_identity"), (DENIED, "no_identity")),
    "revoked": ((REFUSED, "revoked"), (DENIED, "revoked")),
    "not-allowed": ((DENIED, "not_listed"), (DENIED, "not_listed")),
    "plaintext": ((REFUSED, "plaintext"), (REFUSED, "plaintext")),
    "old-tls": ((REFUSED, "protocol_version"), (REFUSED, "protocol_version")),
}


@dataclass(frozen=True, slots=True)
class Console:
    """A running console, and what is behind it."""

    stack: Stack
    queue: Service
    gateway: Service
    service: Service
    address: str  # with the token
    opener: OpenerDirector

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.address.partition("/?")[0]

    def server(self, name: str) -> Service:
        """Return the server that is attacked."""
        return self.gateway if name == "gateway" else self.queue

    def get(self, path: str) -> Any:
        """Return the JSON of an answer."""
        with self.opener.open(self.url + path, timeout=_SECONDS) as response:
            return json.load(response)

    def post(self, path: str, content: Mapping[str, object]) -> tuple[int, Any]:
        """Return the status and the JSON of an answer."""
        headers = {"Origin": self.url, "Content-Type": "application/json"}
        request = Request(self.url + path, json.dumps(content).encode(), headers)  # noqa: S310  http
        try:
            with self.opener.open(request, timeout=_SECONDS) as response:
                return response.status, json.load(response)
        except HTTPError as error:
            with error:
                return error.code, json.load(error)

    def attempt(self, who: str, whom: str) -> Any:
        """Let a client of a kind try, and return what came of it."""
        status, answer = self.post("/api/intruders/attempt", {"who": who, "whom": whom})
        assert status == 200, answer
        return answer


@contextmanager
def running_console(folder: Path) -> Iterator[Console]:
    """Start queue, gateway and console; the servers log each call that they have answered."""
    stack = Stack(folder)
    stack.write_certificates(impostors=True)
    with (
        stack.start_queue(LOG_LEVEL="debug") as queue,
        stack.start_gateway(queue.address, LOG_LEVEL="debug") as gateway,
        start_console(stack, gateway, queue) as service,
    ):
        address = opening(service)
        opener = build_opener(HTTPCookieProcessor(CookieJar()))
        opener.open(address, timeout=_SECONDS).close()
        yield Console(stack, queue, gateway, service, address, opener)
