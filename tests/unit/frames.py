"""A service without its demo: copied as a reader copies it, edited, and started as a process.

frame = Frame(tmp_path)
frame.copy("mtls", "runtime", "gateway")
frame.delete("gateway/videos")
frame.replace("gateway/server.py", "add_videos", "add_hello")
with frame.start("gateway", GATEWAY_LISTEN="127.0.0.1:0") as service: ...
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from demo_identities import IDENTITIES
from local_stack import ROOT, EventLog, Service
from pki.authority import Authority
from pki.identity_folder import write_identity

_START_SECONDS: Final = 30
_STARTED: Final = frozenset({"server.listening", "worker.started"})


@dataclass(frozen=True)
class Frame:
    """A folder with copies of packages of services/, and certificates; nothing else is imported."""

    folder: Path
    authority: Authority = field(default_factory=lambda: Authority.create(IDENTITIES))

    @property
    def code(self) -> Path:
        """The copied packages."""
        return self.folder / "code"

    def identity(self, name: str) -> Path:
        """Return the folder with the certificate of that name."""
        return self.folder / "certs" / name

    def write_certificates(self) -> None:
        """Issue a certificate to every identity."""
        for identity in IDENTITIES:
            issued = self.authority.issue(identity)
            write_identity(
                self.identity(identity.name),
                issued,
                self.authority.ca_pem,
                crl_pem=self.authority.crl(),
            )

    def copy(self, *packages: str) -> None:
        """Copy packages of services/, without bytecode."""
        for package in packages:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / "services" / package, self.code / package, ignore=ignored)

    def copy_contract(self, package: str) -> None:
        """Copy a package of protos/gen."""
        shutil.copytree(ROOT / "protos" / "gen" / package, self.code / package)

    def delete(self, *paths: str) -> None:
        """Delete copied files and folders."""
        for path in (self.code / path for path in paths):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    def write(self, path: str, text: str) -> None:
        """Write a file of one's own."""
        (self.code / path).write_text(text, encoding="utf-8")

    def replace(self, path: str, old: str, new: str) -> None:
        """Edit a copied file: `old` must be there."""
        text = (self.code / path).read_text(encoding="utf-8")
        assert old in text, f"{path} has no {old!r}"
        self.write(path, text.replace(old, new))

    @contextmanager
    def start(self, module: str, **variables: str) -> Iterator[Service]:
        """Start the copied service, which sees the copied packages alone; yield it when it runs."""
        log = EventLog(self.folder / f"{module}.log")
        environment = {**os.environ, "PYTHONPATH": str(self.code), "LOG_FORMAT": "json"}
        with log.path.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", module],
                cwd=self.folder,
                env=environment | variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        with Service(module, process, log):  # which stops it
            event = log.wait_for(
                lambda event: event["event"] in _STARTED,
                seconds=_START_SECONDS,
                while_true=lambda: process.poll() is None,
            )
            port = str(event.get("address", "")).rpartition(":")[2]
            yield Service(module, process, log, f"localhost:{port}" if port else "")
