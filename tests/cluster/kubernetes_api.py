"""A real kube-apiserver on this machine, with Debian's etcd, and what the tests ask of it.

No node, and no controller: what an object becomes is not seen here, and whether it is taken is.
"""

import datetime as dt
import json
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.kubernetes.manifests import TOOLS, Manifest

NAMESPACE: Final = "video-demo"
_START_SECONDS: Final = 120
_POLL_SECONDS: Final = 0.2
_HOUR: Final = dt.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API server said: its object, and its warnings."""

    status: int
    body: Mapping[str, Any]
    warnings: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        """Why it refused."""
        return str(self.body.get("message", ""))


@dataclass(slots=True)
class ApiServer:
    """A client of one API server, with a certificate of its administrator."""

    port: int
    context: ssl.SSLContext
    _resources: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def call(
        self, method: str, path: str, body: object = None, content_type: str = "application/json"
    ) -> Answer:
        """Send a request; JSON is YAML too, so it is what an apply patch may be."""
        connection = HTTPSConnection("127.0.0.1", self.port, context=self.context, timeout=60)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {"Content-Type": content_type})
            response = connection.getresponse()
            warnings = tuple(response.headers.get_all("Warning", ()))
            return Answer(response.status, json.loads(response.read() or b"{}"), warnings)
        finally:
            connection.close()

    def apply(self, manifest: Manifest, *, dry_run: bool = False) -> Answer:
        """Apply on the server's side; a field that it does not know is an error."""
        query = "fieldManager=test&force=true&fieldValidation=Strict"
        query += "&dryRun=All" if dry_run else ""
        path = f"{self.path_of(manifest)}/{manifest['metadata']['name']}?{query}"
        return self.call("PATCH", path, manifest, "application/apply-patch+yaml")

    def create(self, manifest: Manifest) -> Answer:
        """Create an object; nothing is kept of it."""
        return self.call("POST", f"{self.path_of(manifest)}?dryRun=All", manifest)

    def path_of(self, manifest: Manifest) -> str:
        """Return where objects of its kind are, as the server's discovery says."""
        group = manifest["apiVersion"]
        root = f"/apis/{group}" if "/" in group else f"/api/{group}"
        if group not in self._resources:
            self._resources[group] = self.call("GET", root).body
        found = next(
            each
            for each in self._resources[group]["resources"]
            if each["kind"] == manifest["kind"] and "/" not in each["name"]
        )
        namespace = manifest["metadata"].get("namespace", NAMESPACE)
        return (
            f"{root}/namespaces/{namespace}/{found['name']}"
            if found["namespaced"]
            else (f"{root}/{found['name']}")
        )


@contextmanager
def running(folder: Path) -> Iterator[ApiServer]:
    """Start etcd and the API server; stop them at the end."""
    administrator, key = _administrator(folder)
    etcd_port, peer_port, port = (_free_port() for _ in range(3))
    etcd_url = f"http://127.0.0.1:{etcd_port}"
    etcd = [
        _etcd(),
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={etcd_url}",
        f"--advertise-client-urls={etcd_url}",
        f"--listen-peer-urls=http://127.0.0.1:{peer_port}",
    ]
    server = [
        str(TOOLS / "kube-apiserver"),
        f"--etcd-servers={etcd_url}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={folder / 'serving'}",
        f"--client-ca-file={administrator}",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://localhost",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--endpoint-reconciler-type=none",
    ]
    with (
        _process(etcd, folder / "etcd.log"),
        _process(server, folder / "kube-apiserver.log") as process,
    ):
        serving = folder / "serving" / "apiserver.crt"
        _wait(process, serving.exists, folder)
        context = ssl.create_default_context(cafile=str(serving))
        context.load_cert_chain(administrator, key)
        api = ApiServer(port, context)
        _wait(process, lambda: _is_ready(api), folder)
        yield api


def _is_ready(api: ApiServer) -> bool:
    connection = HTTPSConnection("127.0.0.1", api.port, context=api.context, timeout=10)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except ssl.SSLCertVerificationError:
        raise
    except OSError:  # it does not listen yet
        return False
    finally:
        connection.close()


def _wait(process: subprocess.Popen[bytes], is_done: Any, folder: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not is_done():
        if process.poll() is not None or time.monotonic() > deadline:
            log = (folder / "kube-apiserver.log").read_text("utf-8", errors="replace")
            raise RuntimeError(f"kube-apiserver did not start:\n{log[-3000:]}")
        time.sleep(_POLL_SECONDS)


@contextmanager
def _process(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "ETCD_UNSUPPORTED_ARCH": os.uname().machine}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _etcd() -> str:
    found = shutil.which("etcd") or str(TOOLS / "etcd")
    assert Path(found).exists(), "apt-get install etcd-server"
    return found


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _administrator(folder: Path) -> tuple[Path, Path]:
    """Write the administrator's certificate, its own CA, and the key; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:masters"),
            x509.NameAttribute(NameOID.COMMON_NAME, "administrator"),
        ]
    )
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _HOUR)
        .not_valid_after(now + _HOUR)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "administrator.crt", folder / "administrator.key"
    paths[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    paths[1].touch(mode=0o600)
    paths[1].write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    )
    return paths
