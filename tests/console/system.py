"""The services as local processes, with the console; each can be ended, and started again."""

import http.client
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import bootstrap_certs
from local_stack import Service, Stack, opening, running_stack

_SECONDS: Final = 60  # longer than the console waits


@dataclass(frozen=True, slots=True)
class Answer:
    """What the console has answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def cookies(self) -> list[str]:
        """The cookies that it sets."""
        return [value for name, value in self.headers.items() if name == "set-cookie"]


@dataclass
class System:
    """All of it, as it runs now."""

    stack: Stack
    queue: Service
    gateway: Service
    transcoder: Service
    console: Service
    ending: ExitStack = field(default_factory=ExitStack)

    @property
    def console_url(self) -> str:
        """What to open, with the token."""
        return opening(self.console)

    @property
    def port(self) -> int:
        return int(self.console.address.rpartition(":")[2])

    def start_queue_again(self) -> None:
        """Start the queue at the port at which it was."""
        port = self.queue.address.rpartition(":")[2]
        self.queue = self.stack.start_queue(f"127.0.0.1:{port}")
        self.ending.callback(self.queue.stop)

    def start_gateway_again(self) -> None:
        """Start the gateway at the port at which it was."""
        port = self.gateway.address.rpartition(":")[2]
        self.gateway = self.stack.start_gateway(self.queue.address, f"127.0.0.1:{port}")
        self.ending.callback(self.gateway.stop)

    def start_console_again(self) -> None:
        """Start the console at the port at which it was."""
        listen = f"127.0.0.1:{self.port}"
        self.console = start_console(self.stack, self.gateway, self.queue, listen)
        self.ending.callback(self.console.stop)

    def change_certificates(self, *arguments: str) -> str:
        """Do what a person types in a terminal; return what it prints."""
        folder = str(self.stack.certs)
        ended = subprocess.run(
            [
                sys.executable,
                bootstrap_certs.__file__,
                "--folder",
                folder,
                *("--localhost", *arguments),
            ],
            check=True,
            capture_output=True,
            text=True,
        )
        return ended.stdout

    def ask(
        self, method: str = "GET", path: str = "/", body: bytes | None = None, **headers: str | None
    ) -> Answer:
        """Send one request as a program does, with these headers alone; `_` stands for `-`.

        Host is the console's own unless it is given; None leaves it out.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_SECONDS)
        sent = {"Host": f"localhost:{self.port}"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                if value is not None:
                    connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            is_endless = found.get("content-type", "").startswith("text/event-stream")
            return Answer(response.status, found, b"" if is_endless else response.read())
        finally:
            connection.close()

    def cookie(self) -> str:
        """Exchange the token for the cookie, as a browser does; return it as it is sent."""
        address = urlsplit(self.console_url)
        answer = self.ask("GET", f"/?{address.query}")
        assert answer.status == 303, answer
        return answer.cookies[0].partition(";")[0]


def start_console(
    stack: Stack, gateway: Service, queue: Service, listen: str = "127.0.0.1:0"
) -> Service:
    """Start a console that waits so long for an answer that none is late on a busy machine."""
    return stack.start_console(gateway.address, queue.address, listen, CONSOLE_CALL_SECONDS="30")


@contextmanager
def paused(service: Service) -> Iterator[None]:
    """Let a service do nothing while the body runs."""
    service.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        service.process.send_signal(signal.SIGCONT)


@contextmanager
def running_system(folder: Path) -> Iterator[System]:
    """Start everything, and end what is running then."""
    with (
        running_stack(folder, impostors=True) as (stack, queue, gateway),
        stack.start_transcoder(queue.address) as transcoder,
        start_console(stack, gateway, queue) as console,
        ExitStack() as ending,
    ):
        yield System(stack, queue, gateway, transcoder, console, ending)
