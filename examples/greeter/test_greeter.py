"""Who is let in, who is not, and why: a stranger differs in one fact from whom is served."""

import http.client
import os
import re
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest

from pki.authority import Authority, Issued
from pki.identities import SERVER, load_identities
from pki.identity_folder import write_identity

HERE = Path(__file__).resolve().parent
WHO = load_identities(HERE / "identities.toml").with_localhost()
CA, OTHER_CA = Authority.create(WHO), Authority.create(WHO)


def wait_for(pattern: str, log: Path, since: int = 0) -> str:
    deadline = time.monotonic() + 30
    while not (found := re.search(pattern, log.read_text()[since:])):
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)
    return found[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Both services run, and each has its log here."""
    folder, settings = tmp_path_factory.mktemp("greeter"), {"LISTEN": "127.0.0.1:0"}
    settings |= {"PYTHONPATH": os.pathsep.join(sys.path), "LOG_FORMAT": "json"}
    with ExitStack() as stack:
        for name in ("greeter", "front"):
            write_identity(folder / name, CA.issue(WHO.named(name)), CA.ca_pem, crl_pem=CA.crl())
            log, program = folder / f"{name}.log", [sys.executable, "-m", name]
            output = stack.enter_context(log.open("ab"))
            variables = {**os.environ, **settings, "IDENTITY": str(folder / name)}
            process = subprocess.Popen(program, cwd=HERE, env=variables, stderr=output)
            stack.enter_context(process)  # waits for its end
            stack.callback(process.terminate)
            settings["GREETER"] = "localhost:" + wait_for(r"127.0.0.1:(\d+)", log)
        yield folder


def call(log: Path, shown: Issued | None) -> bytes:
    address, pair = "localhost:" + wait_for(r"127.0.0.1:(\d+)", log), log.with_suffix(".pem")
    if log.stem == "greeter":
        shows = (CA.ca_pem, shown.key_pem, shown.chain_pem) if shown else (CA.ca_pem,)
        with grpc.secure_channel(address, grpc.ssl_channel_credentials(*shows)) as channel:
            return channel.unary_unary("/greeter.v1.Greeter/Hello", bytes, bytes)(b"", timeout=30)
    context = ssl.create_default_context(cadata=CA.ca_pem.decode())
    if shown:
        pair.write_bytes(shown.key_pair_pem)
        context.load_cert_chain(pair)
    with closing(http.client.HTTPSConnection(address, context=context, timeout=30)) as connection:
        connection.request("GET", "/hello")
        return connection.getresponse().read()


@pytest.mark.parametrize(("service", "caller"), [("greeter", "front"), ("front", "client/alice")])
def test_each_stranger_is_refused(folder: Path, service: str, caller: str) -> None:
    me, log = WHO.named(caller), folder / f"{service}.log"
    strangers = {
        "no_certificate": None,
        "unknown_ca": OTHER_CA.issue(me),
        "expired": CA.issue(me, not_after=datetime(2026, 1, 1, tzinfo=UTC)),
        "wrong_purpose": CA.issue(me, ekus=[SERVER]),
        "not_listed": CA.issue(WHO.named("client/bob")),
    }
    for number, (reason, stranger) in enumerate(strangers.items()):
        since = len(log.read_text())
        with suppress(grpc.RpcError, OSError, http.client.HTTPException):
            assert b"Hello, " not in call(log, stranger)
        assert wait_for(r'"reason": ?"(\w+)"', log, since) == reason
        assert log.read_text().count("hello.called") == number  # its handler did not run
        assert b"Hello, " in call(log, CA.issue(me))
