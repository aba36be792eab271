"""There is no way to turn verification off: the names of the switches do not occur in the code."""

import ast
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
EXCEPTIONS: Final = {
    ROOT / "services/console/attacks.py",  # clients that are there to be refused
    ROOT / "benchmarks/variants/transports.py",  # what mutual TLS is compared with
}

INSECURE: Final = {
    "add_insecure_port",
    "insecure_channel",
    "insecure_server_credentials",
    "local_channel_credentials",
    "local_server_credentials",
    "ssl_target_name_override",
    "grpc.ssl_target_name_override",
    "check_hostname",
    "CERT_NONE",
    "CERT_OPTIONAL",
    "_create_unverified_context",
    "_create_stdlib_context",
}
TLS: Final = {"ssl", "OpenSSL"}
TIMEOUTS: Final = {"ssl_handshake_timeout", "ssl_shutdown_timeout"}  # of loop.create_server


def python_files(*folders: str) -> list[Path]:
    return sorted(
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if path not in EXCEPTIONS
    )


def names_in(source: str) -> set[str]:
    """Return every name, attribute, keyword and text in the code."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Name(id=word) | ast.Attribute(attr=word) | ast.keyword(arg=str(word)):
                found.add(word)
            case ast.Constant(value=str(word)) | ast.alias(name=word):
                found.add(word)
            case _:
                pass
    return found


def imports(source: str) -> set[str]:
    """Return the top-level packages that the code imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize("path", python_files("services", "scripts", "benchmarks"), ids=str)
def test_no_insecure_switch(path: Path) -> None:
    assert not names_in(path.read_text()) & INSECURE


@pytest.mark.parametrize("path", python_files("services"), ids=str)
def test_only_mtls_touches_tls(path: Path) -> None:
    if any(path.is_relative_to(ROOT / "services" / tool) for tool in ("mtls", "doctor")):
        return
    source = path.read_text()
    assert not imports(source) & TLS
    assert not {name for name in names_in(source) if name.startswith("ssl_")} - TIMEOUTS


@pytest.mark.parametrize(
    "source",
    [
        "server.add_insecure_port('x')",
        "context.check_hostname = False",
        "from ssl import CERT_NONE",
        "secure_channel(options=[('grpc.ssl_target_name_override', 'x')])",
        "f(check_hostname=False)",
    ],
)
def test_the_search_finds_what_it_looks_for(source: str) -> None:
    assert names_in(source) & INSECURE
