"""Certificates that are spoilt in one fact, and who notices: docs/what-a-certificate-proves.md.

Print its tables anew with
`PYTHONPATH=services:protos/gen:scripts .venv/bin/python -m tests.examples.spoilt`.
"""

import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from cryptography import x509

from tests.examples.programs import (
    LANGUAGES,
    Client,
    Program,
    build,
    started_each_time,
    started_once,
)
from tests.examples.servers import running
from tests.unit.doctor.material import (
    CLIENT,
    HOUR,
    ISSUING,
    LEAF,
    NOW,
    ROOT,
    SERVER,
    Made,
    Spec,
    key_usage,
    make,
)
from tests.unit.pki.verifiers import shake_hands

PYTHONS: Final[Mapping[str, bool]] = {"Python 3.12 and older": False, "Python 3.13 and newer": True}
SERVERS: Final = {
    "gRPC (BoringSSL)": ("python", "grpc"),
    "Go": ("go", "http"),
    "Node.js": ("typescript", "http"),
}
VERIFIERS: Final = (*PYTHONS, *SERVERS)
_SECONDS: Final = 30


@dataclass(frozen=True)
class Shape:
    """A chain: the leaf, and the CAs between it and the root, the lowest last."""

    leaf: Spec = LEAF
    issuers: Sequence[Spec] = (ISSUING,)
    sends_issuers: bool = True

    def made(self, root: Made) -> Made:
        issuer = root
        for spec in self.issuers:
            issuer = make(spec, issuer)
        return make(self.leaf, issuer)


@dataclass(frozen=True)
class Fact:
    """What is spoilt, and a twin that differs in nothing else."""

    spoilt: Shape
    twin: Shape = field(default_factory=Shape)
    of_another_key: bool = False
    only_servers: bool = False  # a client dials a name; a server does not


def _leaf(**facts: object) -> Shape:
    return Shape(replace(LEAF, **facts))  # type: ignore[arg-type]


def _issuing(**facts: object) -> Shape:
    return Shape(issuers=(replace(ISSUING, **facts),))  # type: ignore[arg-type]


def _permits(name: str) -> x509.NameConstraints:
    return x509.NameConstraints([x509.DNSName(name)], None)


_TWO: Final = replace(ISSUING, subject="issuing 2")
_UNKNOWN: Final = x509.UnrecognizedExtension(
    x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\x05\x00"
)


def facts(purpose: x509.ObjectIdentifier) -> Mapping[str, Fact]:
    """Return what can be spoilt in a certificate for this purpose, in the order of the page."""
    other = CLIENT if purpose == SERVER else SERVER
    return {
        "The issuing CA is not sent": Fact(Shape(sends_issuers=False)),
        "Another key has signed, of a CA with the same name": Fact(Shape(), of_another_key=True),
        "The leaf has expired": Fact(_leaf(end=NOW - HOUR / 2)),
        "The leaf is not valid yet": Fact(_leaf(begin=NOW + HOUR)),
        "The issuing CA has expired": Fact(_issuing(end=NOW - HOUR / 2)),
        "The issuer is no CA (basicConstraints)": Fact(_issuing(ca=False, path_length=None)),
        "The issuer may not sign certificates (keyUsage)": Fact(
            _issuing(usage=key_usage("digital_signature"))
        ),
        "There are more CAs than allowed (pathlen)": Fact(
            Shape(issuers=(ISSUING, _TWO)), Shape(issuers=(replace(ISSUING, path_length=1), _TWO))
        ),
        "The CA may not sign this name (nameConstraints)": Fact(
            _issuing(constraints=_permits("other.test")),
            _issuing(constraints=_permits("localhost")),
        ),
        "The leaf is for something else (extendedKeyUsage)": Fact(
            _leaf(ekus=[other]), _leaf(ekus=[purpose])
        ),
        "The leaf does not say what it is for (no extendedKeyUsage)": Fact(_leaf(ekus=[])),
        "The issuing CA is for something else (extendedKeyUsage)": Fact(
            _issuing(ekus=[other]), _issuing(ekus=[purpose])
        ),
        "The leaf's key may not sign (keyUsage)": Fact(_leaf(usage=key_usage("data_encipherment"))),
        "The leaf has a critical extension that nobody knows": Fact(
            _leaf(criticals=[_UNKNOWN]), _leaf(others=[_UNKNOWN])
        ),
        "The leaf does not say which key signed it (authorityKeyIdentifier)": Fact(
            _leaf(has_aki=False)
        ),
        "The name that was dialled is not in it": Fact(
            _leaf(dns=["other.test"]), only_servers=True
        ),
        "The name is its common name alone, without a subjectAltName": Fact(
            _leaf(dns=[], subject="localhost"), _leaf(subject="localhost"), only_servers=True
        ),
    }


@dataclass(frozen=True)
class Lab:
    """A root that everybody trusts, and the programs."""

    folder: Path
    programs: Mapping[str, Mapping[str, Program]]
    root: Made = field(default_factory=lambda: make(ROOT))
    other_root: Made = field(default_factory=lambda: make(ROOT))

    @property
    def ca(self) -> Path:
        return self.folder / "ca-certificate.crt"

    def write(self, name: str, shape: Shape, *, of_another_key: bool = False) -> Path:
        """Issue what has this shape, into a folder that the examples can use."""
        made = shape.made(self.other_root if of_another_key else self.root)
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        (folder / "ca-certificate.crt").write_bytes(self.root.pem)
        (folder / "certificate.crt").write_bytes(
            made.chain_pem if shape.sends_issuers else made.pem
        )
        (folder / "private-key.pem").write_bytes(made.key_pem())
        return folder


@contextmanager
def lab(folder: Path) -> Iterator[Lab]:
    """Build the programs, and write what everybody trusts."""
    programs = {}
    for language in LANGUAGES:
        (folder / language).mkdir()
        programs[language] = build(folder / language, language)
    made = Lab(folder, programs)
    made.ca.write_bytes(made.root.pem)
    yield made


def _context(side: int, folder: Path, *, strict: bool = False) -> ssl.SSLContext:
    """A context that is as strict as that of a Python, with a chain to show."""
    context = ssl.SSLContext(side)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(folder / "ca-certificate.crt")
    context.load_cert_chain(folder / "certificate.crt", folder / "private-key.pem")
    if strict:  # as create_default_context does from Python 3.13 on
        context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _without_verifying(side: int, folder: Path) -> ssl.SSLContext:
    context = _context(side, folder)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


Takes = Callable[[Path], bool]


def _in_memory(server: ssl.SSLContext, client: ssl.SSLContext) -> bool:
    try:
        shake_hands(server, client, "localhost")
    except ssl.SSLCertVerificationError:
        return False
    return True


@contextmanager
def servers(lab: Lab) -> Iterator[Mapping[str, Takes]]:
    """Yield whether each verifier, as a server, takes a client with what is in a folder."""
    good = lab.write("server", Shape())

    def in_python(strict: bool) -> Takes:  # noqa: FBT001
        return lambda shown: _in_memory(
            _context(ssl.PROTOCOL_TLS_SERVER, good, strict=strict),
            _without_verifying(ssl.PROTOCOL_TLS_CLIENT, shown),
        )

    def at(address: str, protocol: str) -> Takes:
        return lambda shown: _is_answered(address, protocol, shown)

    with ExitStack() as stack:
        takes = {name: in_python(strict) for name, strict in PYTHONS.items()}
        for name, (language, protocol) in SERVERS.items():
            program = lab.programs[language][f"{protocol}_server"]
            server = stack.enter_context(running(program, good, lab.folder / f"{name}.log"))
            takes[name] = at(server.address, protocol)
        yield takes


def _is_answered(address: str, protocol: str, shown: Path) -> bool:
    """Whether a server lets a client in: it answers, to HTTP/2 with its settings."""
    context = _without_verifying(ssl.PROTOCOL_TLS_CLIENT, shown)
    context.set_alpn_protocols(["h2" if protocol == "grpc" else "http/1.1"])
    hello = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    if protocol == "grpc":
        hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)
    host, _, port = address.partition(":")
    with socket.create_connection((host, int(port)), _SECONDS) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=host) as tls:
                tls.sendall(hello)
                return bool(tls.recv(1))
        except (ssl.SSLError, ConnectionError):
            return False


@contextmanager
def clients(lab: Lab) -> Iterator[Mapping[str, Takes]]:
    """Yield whether each verifier, as a client, takes a server with what is in a folder."""
    good = lab.write("client", Shape())

    def in_python(strict: bool) -> Takes:  # noqa: FBT001
        return lambda shown: _in_memory(
            _without_verifying(ssl.PROTOCOL_TLS_SERVER, shown),
            _context(ssl.PROTOCOL_TLS_CLIENT, good, strict=strict),
        )

    def calling(client: Client) -> Takes:
        return lambda shown: _sends_a_request(client, good, shown)

    with ExitStack() as stack:
        takes = {name: in_python(strict) for name, strict in PYTHONS.items()}
        for name, (language, protocol) in SERVERS.items():
            program, which = lab.programs[language], f"{protocol}_client"
            if language == "go":
                takes[name] = calling(started_each_time(program[which]))
            else:
                once = stack.enter_context(started_once(language, program))
                takes[name] = calling(once[which])
        yield takes


def _sends_a_request(client: Client, folder: Path, shown: Path) -> bool:
    """Whether a client says anything to a server after the handshake, and so trusts it."""
    context = _without_verifying(ssl.PROTOCOL_TLS_SERVER, shown)
    context.set_alpn_protocols(["h2", "http/1.1"])
    trusted: list[bool] = []

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                accepted, _ = listener.accept()
            except OSError:
                return
            with accepted, suppress(OSError):
                accepted.settimeout(_SECONDS)
                with context.wrap_socket(accepted, server_side=True) as tls:
                    trusted.append(bool(tls.recv(1)))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            client(folder, f"localhost:{listener.getsockname()[1]}")
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
    return any(trusted)


SIDES: Final = {
    "A client checks a server": (SERVER, clients),
    "A server checks a client": (CLIENT, servers),
}


def look(lab: Lab, side: str) -> Iterator[tuple[str, Mapping[str, bool], Mapping[str, bool]]]:
    """Yield for each fact which verifiers take it when it is spoilt, and which take its twin."""
    purpose, verifiers = SIDES[side]
    with verifiers(lab) as takes:
        for name, fact in facts(purpose).items():
            if fact.only_servers and purpose == CLIENT:
                continue
            spoilt = lab.write("spoilt", fact.spoilt, of_another_key=fact.of_another_key)
            twin = lab.write("twin", fact.twin)
            yield (
                name,
                {verifier: take(spoilt) for verifier, take in takes.items()},
                {verifier: take(twin) for verifier, take in takes.items()},
            )


def table(side: str, rows: Sequence[tuple[str, Mapping[str, bool]]]) -> str:
    """Return a table of the page: who refuses what."""
    lines = [f"| {side} | {' | '.join(VERIFIERS)} |", "|---" * (len(VERIFIERS) + 1) + "|"]
    for name, taken in rows:
        cells = ("**accepts**" if taken[each] else "refuses" for each in VERIFIERS)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch, lab(Path(scratch)) as made:
        for each in SIDES:
            seen = list(look(made, each))
            print(table(each, [(name, taken) for name, taken, _ in seen]), "\n")
            for name, _, twins in seen:
                if not all(twins.values()):
                    print("TWIN", name, twins)
