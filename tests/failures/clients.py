"""Four clients with the same certificate files, and what each says in its own words."""

import asyncio
import os
import re
import ssl
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import mtls  # noqa: F401  before grpc

import aiohttp
import grpc.aio

from pki.layout import CHAIN, PRIVATE_KEY, ROOT_CERTIFICATE

_PATIENCE: Final = 60  # seconds, on a busy machine
_OPENSSL_LINES: Final = 2
_REQUEST: Final = b"GET /videos HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True)
class Client:
    """The files that a client is told to use, how it speaks, and how long it waits (seconds)."""

    folder: Path
    ca: str = ROOT_CERTIFICATE.name
    certificate: str = CHAIN.name  # empty: it has none
    key: str = PRIVATE_KEY.name
    speaks_tls: bool = True
    only_tls_1_2: bool = False
    patience: int = _PATIENCE

    def path(self, name: str) -> str:
        """Return the path of one of its files."""
        return str(self.folder / name)


@dataclass(frozen=True)
class Said:
    """How a client ended: whether it was served, and its words."""

    served: bool
    words: str


SERVED: Final = Said(served=True, words="is served")


async def ask_aiohttp(client: Client, http: str, _: str) -> Said:
    """As strict as services/mtls: TLS 1.3, RFC 5280 to the letter, no common names."""
    timeout = aiohttp.ClientTimeout(total=client.patience)
    try:
        tls = context(client) if client.speaks_tls else False
        scheme = "https" if client.speaks_tls else "http"
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=True) as session,
            session.get(f"{scheme}://{http}/videos", ssl=tls) as response,
        ):
            return answer(f"HTTP {response.status}", await response.text())
    except (OSError, aiohttp.ClientError) as error:
        return Said(served=False, words=f"{type(error).__name__}: {error}")


def context(client: Client) -> ssl.SSLContext:
    """Return a context for Python. Raises `OSError` for files that it does not like."""
    tls = ssl.create_default_context(cafile=client.path(client.ca))
    tls.verify_flags |= ssl.VERIFY_X509_STRICT
    tls.hostname_checks_common_name = False
    if client.only_tls_1_2:
        tls.maximum_version = ssl.TLSVersion.TLSv1_2
    else:
        tls.minimum_version = ssl.TLSVersion.TLSv1_3
    if client.certificate:
        tls.load_cert_chain(
            client.path(client.certificate),
            client.path(client.key),
            password=lambda: b"",  # nobody is there to type one
        )
    return tls


def answer(status: str, body: str) -> Said:
    """Return what an HTTP response says."""
    return SERVED if status == "HTTP 200" else Said(served=False, words=f"{status}: {body.strip()}")


async def ask_grpc(client: Client, _: str, address: str) -> Said:
    """grpcio's aio client."""
    if client.only_tls_1_2:
        return Said(served=False, words="(has no setting for it)")
    try:
        opened = channel(client, address)
    except OSError as error:  # gRPC takes bytes; to read them is left to us
        return Said(served=False, words=f"{type(error).__name__}: {error}")
    async with opened:
        return await call_grpc(opened, client.patience)


async def call_grpc(opened: grpc.aio.Channel, patience: int = _PATIENCE) -> Said:
    """Call grpc.health.v1.Health/Check, whose request is empty."""
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = opened.unary_unary(
        "/grpc.health.v1.Health/Check"
    )
    try:
        await call(b"", timeout=patience)
    except grpc.aio.AioRpcError as error:
        return Said(served=False, words=f"{error.code().name}: {error.details()}")
    return SERVED


def channel(client: Client, address: str) -> grpc.aio.Channel:
    """Return a channel with these files. Raises `OSError`."""
    if not client.speaks_tls:
        return grpc.aio.insecure_channel(address)
    credentials = grpc.ssl_channel_credentials(
        Path(client.path(client.ca)).read_bytes(),
        Path(client.path(client.key)).read_bytes() if client.certificate else None,
        Path(client.path(client.certificate)).read_bytes() if client.certificate else None,
    )
    return grpc.aio.secure_channel(address, credentials)


async def ask_curl(client: Client, http: str, _: str) -> Said:
    """curl, with OpenSSL."""
    scheme = "https" if client.speaks_tls else "http"
    command = ["curl", "--silent", "--show-error", "--max-time", str(client.patience)]
    command += ["--write-out", "\nHTTP %{http_code}", f"{scheme}://{http}/videos"]
    if client.speaks_tls:
        command += ["--cacert", client.ca]
        if client.certificate:
            command += ["--cert", client.certificate, "--key", client.key]
        command += ["--tls-max", "1.2"] if client.only_tls_1_2 else ["--tlsv1.3"]
    ended = await _run(command, client)
    if ended.returncode:
        lines = ended.stderr.decode(errors="replace").splitlines()
        return Said(served=False, words=next(line for line in lines if line.startswith("curl: ")))
    body, _, status = ended.stdout.decode().rpartition("\n")
    return answer(status, body)


async def ask_openssl(client: Client, http: str, _: str) -> Said:
    """openssl s_client, told to give up where a program would, and to check the name."""
    if not client.speaks_tls:
        return Said(served=False, words="(speaks nothing but TLS)")
    command = ["openssl", "s_client", "-quiet", "-connect", http, "-CAfile", client.ca]
    host = http.rpartition(":")[0]
    command += ["-verify_return_error", "-x509_strict"]
    command += ["-verify_ip" if host[0].isdigit() else "-verify_hostname", host]
    if client.certificate:
        command += ["-cert", client.certificate, "-key", client.key]
        command += ["-cert_chain", client.certificate]  # -cert sends the leaf, and no more
        command += ["-pass", "pass:"]  # nobody is there to type one
    command.append("-tls1_2" if client.only_tls_1_2 else "-tls1_3")
    try:
        ended = await _run(command, client, _REQUEST)
    except subprocess.TimeoutExpired:
        return Said(served=False, words="(waits, and has no setting for how long)")
    status, _, rest = ended.stdout.decode(errors="replace").partition("\r\n")
    if status.startswith("HTTP/"):
        return answer("HTTP " + status.split()[1], rest.partition("\r\n\r\n")[2])
    return Said(served=False, words=_worth_reading(ended.stderr.decode(errors="replace")))


def _worth_reading(said: str) -> str:
    """Leave out s_client's progress, and what it adds when it has said what is wrong."""
    noise = re.compile(
        r"depth=|verify return|DONE|notAfter|notBefore|Enter |Can't use SSL_get|CONNECT|Connecting"
    )
    lines = [line for line in said.splitlines() if line and not noise.match(line)]
    return "\n".join(lines[:_OPENSSL_LINES])


async def _run(
    command: list[str], client: Client, stdin: bytes = b""
) -> "subprocess.CompletedProcess[bytes]":
    return await asyncio.to_thread(
        subprocess.run,
        command,
        cwd=client.folder,
        env={**os.environ, "CURL_HOME": "/nonexistent"},
        input=stdin,
        capture_output=True,
        timeout=client.patience + 2,  # curl says so itself after those seconds
        check=False,
    )


Ask = Callable[[Client, str, str], Awaitable[Said]]
CLIENTS: Final[Mapping[str, Ask]] = {
    "aiohttp": ask_aiohttp,
    "gRPC": ask_grpc,
    "curl": ask_curl,
    "openssl": ask_openssl,
}
