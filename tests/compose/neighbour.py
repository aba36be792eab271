"""A hostile container on a network of the project, and what it can be given to attack with."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from docker.models.containers import Container

from tests.compose.archives import pack
from tests.compose.programs import program, run
from tests.compose.project import ROOT, Project

SCRIPTS: Final = ROOT / "scripts"
ATTACKS: Final = ("console/__init__.py", "console/attacks.py", "doctor/*.py")  # its TLS
CONTRACT: Final = ("audit_api/*.py", "audit_api/v1/*.py")  # which that asks for

_HOME: Final = "/neighbour"


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A container whose owner is root in it, and has our code but no identity of ours."""

    container: Container

    def give(self, name: str, key_pair: bytes, ca_pem: bytes) -> str:
        """Lay down an identity, and return the path of its folder."""
        files = {f"{name}/key-pair.pem": key_pair, f"{name}/ca-certificate.crt": ca_pem}
        self.container.put_archive(_HOME, pack(files))
        return f"{_HOME}/{name}"

    def upload(self, service: str, title: str, how: str, identity: str) -> tuple[bool, str]:
        """Try to upload to `service`; return whether it was accepted, and the client's words.

        `how` is what is shown of the identity in that folder: its certificate, or nothing (`none`);
        or else `plaintext` is spoken.
        """
        answer = run(self.container, *program("upload.py", service, title, how, identity))
        assert answer.exit_code == 0, answer.stderr
        outcome = json.loads(answer.output)
        return outcome["accepted"], outcome["words"]


@contextmanager
def neighbour(
    project: Project, network: str, *, mounts: Mapping[Path, str] | None = None
) -> Iterator[Neighbour]:
    """Start a container beside the services on `network`, and remove it at the end."""
    image = project.container("gateway").image
    assert image
    container = project.engine.containers.create(
        image,
        ["-c", "import signal; signal.pause()"],
        entrypoint="python",
        environment={"PYTHONPATH": f"/app:{_HOME}"},
        user="0",
        network=project.network(network),
        volumes=[f"{source}:{target}:ro" for source, target in (mounts or {}).items()],
    )
    try:
        tools = [
            SCRIPTS / "impostors.py",
            SCRIPTS / "demo_identities.py",
            *(SCRIPTS / "pki").glob("*.py"),
        ]
        files = {f"{_HOME}/{tool.relative_to(SCRIPTS)}": tool.read_bytes() for tool in tools}
        for folder, what in ((ROOT / "services", ATTACKS), (ROOT / "protos/gen", CONTRACT)):
            for path in (each for pattern in what for each in folder.glob(pattern)):
                files[f"{_HOME}/{path.relative_to(folder)}"] = path.read_bytes()
        files["identities.toml"] = (ROOT / "identities.toml").read_bytes()
        container.put_archive("/", pack(files))
        container.start()
        yield Neighbour(container)
    finally:
        container.remove(force=True)
