"""A PostgreSQL server as a local process, set up as docs/scale-out.md says: for the tests.

Its certificate is one of ours, and it lets in who shows the certificate of the video queue. An
administrator comes by a Unix socket, which nobody else can reach. PostgreSQL refuses to run as
root: then it runs as the user `postgres`, whom Debian's package has made.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from demo_identities import identity_named
from local_stack import free_port
from pki.authority import Authority, Issued
from pki.identities import CLIENT, SERVER

ROOT: Final = Path(__file__).resolve().parent.parent
_CONFIGURATION: Final = ROOT / "deploy" / "postgresql"
_DATABASE, _ROLE, _ADMINISTRATOR = "videos", "video_queue", "postgres"
_SECONDS: Final = 60
_POLL_SECONDS: Final = 0.02

DATABASE_SERVER: Final = replace(
    identity_named("video-queue"),
    name="database",
    ekus=(SERVER,),
    dns_names=("localhost",),
    purpose="holds the rows of the video queue",
)
QUEUE: Final = replace(identity_named("video-queue"), ekus=(SERVER, CLIENT))
"""The queue, which is a client too: of its database."""

# Ends the server by the signal that it reads. If the process that started it dies, however that is,
# it reads nothing, and ends the server too.
_WHILE_WE_LIVE: Final = """
exec 3<&0
"$1" -D "$2" </dev/null 3<&- & server=$!
(read -r by; kill -s "${by:-QUIT}" "$server") 2>/dev/null <&3 &
wait "$server"
"""

# What a power cut could take, and a test does not miss: only a test that kills the server needs it.
_FAST: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def postgresql_programs() -> Path | None:
    """Return the folder of the newest PostgreSQL server that is installed, or None."""
    folders = [each.parent for each in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if found := shutil.which("initdb"):
        folders.append(Path(found).resolve().parent)
    return max(folders, key=lambda each: [int(n) for n in each.parts if n.isdigit()], default=None)


@dataclass(slots=True)
class LocalPostgresql:
    """A server, which can be killed and started again. Made by `local_postgresql`."""

    folder: Path
    bin: Path
    port: int
    user: str | None
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        """What VIDEO_QUEUE_DATABASE_URL is for the queue."""
        host = f"{_ROLE}@localhost:{self.port}"
        return f"postgresql+psycopg://{host}/{_DATABASE}?sslmode=verify-full"

    @property
    def socket_url(self) -> str:
        """The same without the network, for tests that are not about TLS."""
        where = f"host={self.folder}&port={self.port}"
        return f"postgresql+psycopg://{_ROLE}@/{_DATABASE}?{where}"

    @property
    def log(self) -> str:
        """What the server has said."""
        return (self.folder / "log").read_text("utf-8", "replace")

    def start(self) -> None:
        """Start the server, and wait until it lets somebody in."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                ["sh", "-c", _WHILE_WE_LIVE, "sh", self.bin / "postgres", self.folder / "data"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                **_as(self.user),
            )
        deadline = time.monotonic() + _SECONDS
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"PostgreSQL did not start:\n{self.log[-4000:]}")
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """End it in order: transactions that are under way are undone."""
        self._end(b"INT")

    def kill(self) -> None:
        """End it as a crash would: nothing is written, and the next start recovers."""
        self._end(b"QUIT")

    def _end(self, by: bytes) -> None:
        if self.process is not None:
            self.process.communicate(by + b"\n", _SECONDS)
        self.process = None

    def run(self, sql: str, database: str = _DATABASE) -> str:
        """Return what psql prints for the administrator."""
        psql = (self.bin / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql)
        where = ("-h", self.folder, "-p", str(self.port), "-U", _ADMINISTRATOR, "-d", database)
        done = subprocess.run(
            [*psql, *where], check=True, capture_output=True, text=True, cwd="/", timeout=_SECONDS
        )
        return done.stdout.strip()

    def _answers(self) -> bool:
        ready = (self.bin / "pg_isready", "-q", "-h", self.folder, "-p", str(self.port))
        return subprocess.run(ready, check=False, cwd="/").returncode == 0

    def prepare(self, authority: Authority, *, fast: bool) -> None:
        """Make the cluster, with a certificate of `authority`; then role and database."""
        initdb = (self.bin / "initdb", "-D", self.folder / "data", "-U", _ADMINISTRATOR)
        options = ("-E", "UTF8", "--no-locale", "-A", "peer", "--no-sync")
        subprocess.run(
            [*initdb, *options], check=True, capture_output=True, cwd=self.folder, **_as(self.user)
        )
        self._write_certificate(authority.issue(DATABASE_SERVER), authority.ca_pem)
        self._configure(_FAST if fast else {})
        self.start()
        self.run(f"CREATE ROLE {_ROLE} LOGIN", _ADMINISTRATOR)
        self.run(f"CREATE DATABASE {_DATABASE} OWNER {_ROLE}", _ADMINISTRATOR)

    def _write_certificate(self, issued: Issued, ca_pem: bytes) -> None:
        for name, content in (("key-pair.pem", issued.key_pair_pem), ("ca.crt", ca_pem)):
            path = self.folder / name
            path.touch(mode=0o600)
            path.write_bytes(content)
            if self.user:
                shutil.chown(path, self.user)

    def _configure(self, more: Mapping[str, str]) -> None:
        settings = {
            "listen_addresses": "localhost",
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
            "ssl": "on",
            "ssl_cert_file": str(self.folder / "key-pair.pem"),
            "ssl_key_file": str(self.folder / "key-pair.pem"),
            "ssl_ca_file": str(self.folder / "ca.crt"),
            "ssl_min_protocol_version": "TLSv1.3",
            "max_connections": "100",
            "shared_buffers": "16MB",
            "log_connections": "on",
            **more,
        }
        data = self.folder / "data"
        lines = [f"{name} = '{value}'\n" for name, value in settings.items()]
        with (data / "postgresql.conf").open("a") as file:
            file.writelines(lines)
        # Over the socket the user who runs the tests may be the administrator, or the queue.
        me = pwd.getpwuid(os.geteuid()).pw_name
        roles = (_ADMINISTRATOR, _ROLE)
        for name, first in (
            ("pg_hba.conf", f"local all {','.join(roles)} peer map=tests\n"),
            ("pg_ident.conf", "".join(f"tests {me} {role}\n" for role in roles)),
        ):
            (data / name).write_text(first + (_CONFIGURATION / name).read_text())


@contextmanager
def local_postgresql(authority: Authority, *, fast: bool = True) -> Iterator[LocalPostgresql]:
    """Yield a server that runs, with an empty database. `fast` would not survive a power cut.

    Raises `RuntimeError` if no PostgreSQL is installed, or it does not start.
    """
    found = postgresql_programs()
    if found is None:
        raise RuntimeError("PostgreSQL is not installed: apt-get install postgresql")
    user = _ADMINISTRATOR if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))  # short: a socket's path has an end
    if user:
        shutil.chown(folder, user)
    server = LocalPostgresql(folder, found, free_port(), user)
    try:
        server.prepare(authority, fast=fast)
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder)


def _as(user: str | None) -> dict[str, Any]:
    """Return how a process is started as that user, in a group of its own."""
    group = {"start_new_session": True}
    return group if user is None else {**group, "user": user, "group": user, "extra_groups": []}
