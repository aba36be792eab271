"""Servers of another make, and things that are no TLS servers, for the doctor to examine."""

import re
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

from local_stack import free_port
from tests.needs import require_program

_START_SECONDS: Final = 20


@contextmanager
def openssl_server(certificate: Path, *arguments: str) -> Iterator[str]:
    """Yield the address of `openssl s_server -www`; the certificate's file has the key too."""
    require_program("openssl", "openssl")
    command = ["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", str(certificate), "-www"]
    process = subprocess.Popen(
        [*command, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout
    drain = threading.Thread(target=process.stdout.read)
    try:
        ports = (re.match(rb"ACCEPT .*:(\d+)", line) for line in process.stdout)
        port = next(match[1].decode() for match in ports if match)
        drain.start()
        yield f"localhost:{port}"
    finally:
        process.kill()
        process.wait()
        if drain.ident:
            drain.join()
        process.stdout.close()


_NGINX: Final = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {certificate}; ssl_certificate_key {certificate};
        ssl_client_certificate {ca};
        {settings}
        location / {{ return 200 "served\\n"; }}
    }}
}}
"""


@contextmanager
def nginx_server(folder: Path, certificate: Path, ca: Path, settings: str) -> Iterator[str]:
    """Yield the address of nginx; skips the test where nginx is not installed."""
    require_program("nginx", "nginx-light")
    port = free_port()
    (folder / "nginx.conf").write_text(
        _NGINX.format(folder=folder, port=port, certificate=certificate, ca=ca, settings=settings)
    )
    process = subprocess.Popen(
        ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")], stderr=subprocess.PIPE
    )
    try:
        _wait_for(port, process)
        yield f"localhost:{port}"
    finally:
        process.terminate()
        process.wait()
        if process.stderr:
            process.stderr.close()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    process.kill()
    raise AssertionError(f"nginx did not start: {process.communicate()[1]!r}")


class _Http(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def plaintext_http() -> Iterator[str]:
    """Yield the address of an HTTP server without TLS."""
    with _running(ThreadingHTTPServer(("127.0.0.1", 0), _Http)) as address:
        yield address


@contextmanager
def saying(answer: bytes) -> Iterator[str]:
    """Yield the address of a server that says this to everybody, and closes."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(answer)
            self.request.recv(4096)

    with _running(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)) as address:
        yield address


@contextmanager
def _running(server: socketserver.TCPServer) -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"localhost:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def nobody() -> Iterator[str]:
    """Yield an address at which nobody listens, and nobody else can begin to."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"localhost:{bound.getsockname()[1]}"


@contextmanager
def silent() -> Iterator[str]:
    """Yield the address of a server that takes connections and says nothing."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"localhost:{listening.getsockname()[1]}"
