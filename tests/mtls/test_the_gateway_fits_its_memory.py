"""What one client can make the gateway hold, times the limits, fits the container's memory limit.

Each client does the worst of its kind: it asks, and does not read; or it sends, while the queue
takes nothing. Measured is what the process has, and what the kernel keeps for its connections.
"""

import io
import os
import re
import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mtls.certificates import Role
from mtls.identity import load_identity
from mtls.ssl_contexts import client_context

import aiohttp
import pytest

from gateway.config import Config
from local_stack import ROOT, Service, Stack, running_stack
from tests.mtls.vitals import resident_mib

VIEWER: Final = "client/viewer"
UPLOADER: Final = "client/uploader"
SOURCE_BYTES: Final = 16 * 1024 * 1024
POLL_SECONDS: Final = 0.05
STEADY_POLLS: Final = 10
HEALTH_CHECK_MIB: Final = 64  # a process of its own in the same container, every few seconds


@dataclass(frozen=True)
class Lab:
    """A running gateway with a large video in it, and the folder with its certificates."""

    stack: Stack
    queue: Service
    gateway: Service
    video: str

    @property
    def port(self) -> int:
        return int(self.gateway.address.rpartition(":")[2])

    def connect(self, name: str) -> ssl.SSLSocket:
        """Return a connection with the smallest window that a client may have."""
        identity = load_identity(self.stack.certs / name, roles=frozenset({Role.CLIENT}))
        plain = socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.settimeout(30)
        plain.connect(("127.0.0.1", self.port))
        return client_context(identity).wrap_socket(plain, server_hostname="localhost")

    def get(self, path: str) -> ssl.SSLSocket:
        """Ask for something, and read no more than the status."""
        client = self.connect(VIEWER)
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert client.recv(13) == b"HTTP/1.1 200 "
        return client

    def send(self) -> ssl.SSLSocket:
        """Upload as much as is taken."""
        client = self.connect(UPLOADER)
        head = (
            "POST /videos HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
            'Content-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n'
        )
        client.sendall(head.encode())
        client.settimeout(0.5)
        try:
            while True:
                client.sendall(bytes(64 * 1024))
        except TimeoutError:
            return client

    def held_kib(self) -> float:
        """Return what the gateway holds, in the process and in the kernel, when that is steady."""
        most, steady = 0.0, 0
        while steady < STEADY_POLLS:
            now = resident_mib(self.gateway) * 1024 + _kernel_kib(self.port)
            most, steady = (now, 0) if now > most * 1.001 else (most, steady + 1)
            time.sleep(POLL_SECONDS)
        return most

    def each_kib(self, count: int, client: Callable[[], ssl.SSLSocket]) -> float:
        """Return how much more it holds for each of so many clients."""
        before = self.held_kib()
        with ExitStack() as clients:
            for _ in range(count):
                clients.enter_context(client())
            return (self.held_kib() - before) / count


def _kernel_kib(port: int) -> float:
    """Return what the kernel keeps unsent and unread of connections to a local port."""
    held = 0
    for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]:
        _, local, _, _, queues, *_ = line.split()
        if int(local.rpartition(":")[2], 16) == port:
            held += sum(int(part, 16) for part in queues.split(":"))
    return held / 1024


@contextmanager
def stopped(service: Service) -> Iterator[None]:
    """Keep a service from doing anything."""
    os.kill(service.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(service.process.pid, signal.SIGCONT)


@pytest.fixture
async def lab(tmp_path: Path) -> Lab:  # type: ignore[misc]
    with running_stack(tmp_path) as (stack, queue, gateway):
        async with stack.session(UPLOADER, gateway) as session:
            video = await _upload(session, os.urandom(SOURCE_BYTES), "")
            for _ in range(60):  # more than fit into a page
                await _upload(session, b"x", "\N{CLAPPER BOARD}" * 4096)
        yield Lab(stack, queue, gateway, video)


async def _upload(session: aiohttp.ClientSession, content: bytes, description: str) -> str:
    form = aiohttp.FormData({"title": "clip", "description": description})
    form.add_field("file", io.BytesIO(content), filename="clip.mp4", content_type="video/mp4")
    async with session.post("/videos", data=form) as response:
        assert response.status == 201, await response.text()
        return str((await response.json())["id"])


def limits_of_compose() -> tuple[Config, float]:
    """Return the gateway's settings in docker-compose.yml, and its memory limit in MiB."""
    service = re.search(
        r"^  gateway:\n(.*?)(?=^  \S)",
        (ROOT / "docker-compose.yml").read_text("utf-8"),
        re.MULTILINE | re.DOTALL,
    )
    assert service
    variables = dict(re.findall(r"^ +(GATEWAY_\w+): (\S+)$", service[1], re.MULTILINE))
    limit = re.search(r"^    mem_limit: (\d+)m", service[1], re.MULTILINE)
    assert limit
    return Config.from_environment(variables), float(limit[1])


def test_all_limits_together_fit(lab: Lab) -> None:
    config, limit_mib = limits_of_compose()
    videos = config.videos
    base = lab.held_kib()
    # From the smallest to the largest: what a client has left behind is taken by the next one.
    idle = lab.each_kib(100, lambda: lab.get(f"/videos/{lab.video}"))
    stream = lab.each_kib(videos.max_streams // 4, lambda: lab.get(f"/videos/{lab.video}/events"))
    page = lab.each_kib(videos.max_downloads // 4, lambda: lab.get("/videos?page_size=200"))
    with stopped(lab.queue):
        upload = lab.each_kib(videos.max_uploads // 4, lab.send)
    source = f"/videos/{lab.video}/source"
    download = lab.each_kib(videos.max_downloads // 4, lambda: lab.get(source))
    held_mib = {
        "base": base / 1024,
        "health check": HEALTH_CHECK_MIB,
        "connections": config.max_connections * idle / 1024,
        "downloads": videos.max_downloads * max(download, page) / 1024,
        "streams": videos.max_streams * stream / 1024,
        "uploads": videos.max_uploads * upload / 1024,
    }
    assert sum(held_mib.values()) < limit_mib, held_mib
