"""A trust domain of SPIRE's on this machine: a server, an agent, and a helper for each identity."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from demo_identities import IDENTITIES
from local_stack import EventLog, Service
from pki.identities import Identity
from tests.pages import ROOT

CONFIGURATION: Final = ROOT / "deploy/spire"
NODE: Final = f"spiffe://{IDENTITIES.trust_domain}/node"
_SECONDS: Final = 60


@dataclass
class Domain:
    """SPIRE, its data in `folder`; the identities' folders are in `folder`/certs."""

    folder: Path
    programs: Path
    environment: dict[str, str]
    running: ExitStack = field(default_factory=ExitStack)

    @property
    def certs(self) -> Path:
        """A folder for each identity, as bootstrap_certs.py lays them out."""
        return self.folder / "certs"

    def server(self, *command: str) -> str:
        """Run a command of spire-server; return what it prints."""
        return self._ask("spire-server", *command, "-socketPath", str(self.folder / "server.sock"))

    def register(self, identity: Identity, *, seconds: int) -> None:
        """Have SPIRE issue to the helper of an identity, for so many seconds each time."""
        names = (each for name in identity.dns_names for each in ("-dns", name))
        entry = ["-spiffeID", identity.uri, "-parentID", NODE, "-x509SVIDTTL", str(seconds)]
        selector = f"unix:path:{self.helper_of(identity.name)}"
        self.server("entry", "create", *entry, "-selector", selector, *names)

    def helper_of(self, name: str) -> Path:
        """Return the program by whose path the agent knows the identity; a user would do too."""
        return self.folder / "helpers" / name / "spiffe-helper"

    def start_helper(self, name: str) -> Service:
        """Start what writes the folder of an identity, whether it is registered or not."""
        program, certs = self.helper_of(name), self.certs / name
        program.parent.mkdir(parents=True)
        certs.mkdir(parents=True)
        shutil.copy(self.programs / "spiffe-helper", program)
        text = (CONFIGURATION / "helper.conf").read_text()
        config = program.with_name("helper.conf")
        text = text.replace("/run/spire", str(self.folder)).replace("/certs/identity", str(certs))
        config.write_text(text)
        return self._start(
            f"helper-{name.replace('/', '-')}", [str(program), "-config", str(config)]
        )

    def start(self) -> None:
        """Start the server and, as its node, the agent. Raises `CalledProcessError`."""
        self._run("spire-server", "run")
        self._wait_for("spire-server", "server.sock")

    def start_agent(self) -> Service:
        """Start the agent, which knows the server by its bundle and is known by a token."""
        (self.folder / "root.pem").write_text(self.server("bundle", "show"))
        said = self.server("token", "generate", "-spiffeID", NODE)
        agent = self._run("spire-agent", "run", "-joinToken", said.split()[1])
        self._wait_for("spire-agent", "agent.sock")
        return agent

    def _run(self, name: str, *command: str) -> Service:
        config = CONFIGURATION / f"{name.removeprefix('spire-')}.conf"
        verb, *more = command
        options = ["-expandEnv", "-config", str(config), *more]
        return self._start(name, [str(self.programs / name), verb, *options])

    def _start(self, name: str, command: Sequence[str]) -> Service:
        log = EventLog(self.folder / f"{name}.log")
        with log.path.open("ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self.environment,
            )
        return self.running.enter_context(Service(name, process, log))

    def _ask(self, program: str, *command: str) -> str:
        ended = subprocess.run(
            [self.programs / program, *command], check=True, capture_output=True, text=True
        )
        return ended.stdout

    def _wait_for(self, program: str, name: str) -> None:
        deadline = time.monotonic() + _SECONDS
        while True:
            try:
                self._ask(program, "healthcheck", "-socketPath", str(self.folder / name))
            except subprocess.CalledProcessError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def environment_of(folder: Path) -> dict[str, str]:
    """Return the variables that the configuration names."""
    return {**os.environ, "SPIRE_FOLDER": str(folder), "SPIRE_PORT": str(free_port())}


@contextmanager
def running_domain(
    folder: Path, programs: Path, *identities: Identity, seconds: int
) -> Iterator[Domain]:
    """Start SPIRE with these identities registered; ends all that was started."""
    domain = Domain(folder, programs, environment_of(folder))
    with domain.running:
        domain.start()
        for identity in identities:
            domain.register(identity, seconds=seconds)
        domain.start_agent()
        yield domain
