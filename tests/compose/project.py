"""A compose project of its own, made from a copy of this checkout: it touches nothing of yours."""

import http.client
import json
import os
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mtls.certificates import Role
from mtls.identity import load_identity
from mtls.ssl_contexts import client_context

import docker
from docker.models.containers import Container

from tests.compose.archives import unpack
from tests.compose.waiting import wait_for

ROOT: Final = Path(__file__).resolve().parents[2]
SERVERS: Final = ("video-queue", "gateway")
SERVICES: Final = (*SERVERS, "transcoder", "console")
FREE_PORTS: Final = {
    "GATEWAY_PORT": "0",
    "CONSOLE_PORT": "0",
    "FRONT_PORT": "0",
    "GATEWAY_PORTS": "0",
}  # the engine takes what is free

# The first build fetches every wheel. After 600 s pytest would end, and not say of what.
COMMAND_SECONDS: Final = 240
_REQUEST_SECONDS: Final = 30

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the gateway has answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, which is JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Project:
    """The stack of docker-compose.yml in `folder`, under the project name `name`."""

    name: str
    folder: Path
    engine: docker.DockerClient
    log_format: str = "json"
    changes: tuple[str, ...] = ()
    """Files in the folder that change docker-compose.yml."""

    def up(self) -> None:
        """Do what a person does first; returns when all is healthy."""
        self.compose("up", "--build", "--wait")

    def compose(self, *arguments: str) -> None:
        """Run `docker compose`; if it fails, so does the test, with the logs of the services."""
        ended = self._compose(*arguments)
        if ended.returncode != 0:
            logs = self._compose("logs", "--no-color").stdout
            raise AssertionError(f"docker compose {arguments} failed: {ended.stderr}\n{logs}")

    def _compose(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        files = [f"--file={name}" for name in ("docker-compose.yml", *self.changes)]
        return subprocess.run(
            ["docker", "compose", *files, "-p", self.name, *arguments],
            cwd=self.folder,
            env={**os.environ, **FREE_PORTS, "LOG_FORMAT": self.log_format},
            timeout=COMMAND_SECONDS,
            check=False,
            capture_output=True,
            text=True,
        )

    def containers(self) -> dict[str, Container]:
        """Return the container of each service as it is now, also those that have ended."""
        containers = self.engine.containers.list(
            all=True, filters={"label": f"com.docker.compose.project={self.name}"}
        )
        return {c.labels["com.docker.compose.service"]: c for c in containers}

    def replicas(self, service: str) -> list[Container]:
        """Return all containers of a service, in the order of their names."""
        labels = [
            f"com.docker.compose.project={self.name}",
            f"com.docker.compose.service={service}",
        ]
        found = self.engine.containers.list(all=True, filters={"label": labels})
        return sorted(found, key=lambda each: str(each.name))

    def container(self, service: str) -> Container:
        """Return the container of `service` as it is now."""
        return self.containers()[service]

    def network(self, name: str) -> str:
        """Return the engine's name of the network that docker-compose.yml calls `name`."""
        return f"{self.name}_{name}"

    def address(self, service: str, network: str) -> str:
        """Return the IPv4 address of `service` on `network`."""
        networks = self.container(service).attrs["NetworkSettings"]["Networks"]
        return str(networks[self.network(network)]["IPAddress"])

    @property
    def port(self) -> int:
        """The port of this machine at which the gateway is published."""
        return self.published_port("gateway", 8443)

    def published_port(self, service: str, port: int) -> int:
        """Return the port of this machine at which a port of `service` is published."""
        (binding,) = self.container(service).attrs["NetworkSettings"]["Ports"][f"{port}/tcp"]
        return int(binding["HostPort"])

    @property
    def url(self) -> str:
        """The gateway, as people at this machine call it."""
        return f"https://localhost:{self.port}"

    def certificates(self, identity: str) -> Path:
        """Return the folder of `identity` below certs/."""
        return self.folder / "certs" / identity

    def certificate_files(self, folder: str = "") -> Mapping[str, bytes]:
        """Return the files below certs/, or below one folder in it, by path.

        They come from the engine, since a service's files are not for the user who runs the tests.
        """
        chunks, _ = self.container("certs").get_archive(f"/certs/{folder}".rstrip("/"))
        return unpack(chunks)

    def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Call the gateway as client/uploader."""
        uploader = load_identity(
            self.certificates("client/uploader"), roles=frozenset({Role.CLIENT})
        )
        connection = http.client.HTTPSConnection(
            "localhost", self.port, context=client_context(uploader), timeout=_REQUEST_SECONDS
        )
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def upload(self, title: str, content: bytes) -> str:
        """Upload a video; return its id."""
        answer = self.try_upload(title, content)
        assert answer.status == 201, answer
        return str(answer.json["id"])

    def try_upload(self, title: str, content: bytes, **headers: str) -> Answer:
        """Upload a video, or hear why not."""
        boundary = uuid.uuid4().hex
        part = f"--{boundary}\r\nContent-Disposition: form-data; name="
        body = (
            f'{part}"title"\r\n\r\n{title}\r\n'
            f'{part}"file"; filename="video.mp4"\r\nContent-Type: video/mp4\r\n\r\n'
        ).encode() + b"%b\r\n--%b--\r\n" % (content, boundary.encode())
        media_type = f"multipart/form-data; boundary={boundary}"
        return self.request("POST", "/videos", body, {"Content-Type": media_type, **headers})

    def source(self, video_id: str) -> bytes:
        """Return the bytes of a video."""
        answer = self.request("GET", f"/videos/{video_id}/source")
        assert answer.status == 200, answer
        return answer.body

    def titles(self) -> set[str]:
        """Return the titles of the newest videos."""
        answer = self.request("GET", "/videos")
        assert answer.status == 200, answer
        return {video["title"] for video in answer.json["videos"]}

    def log_position(self, service: str) -> int:
        """Return where the log of `service` ends now."""
        return len(self.container(service).logs())

    def events(self, service: str, since: int) -> list[Event]:
        """Return the events in the log of `service` after `since`."""
        lines = self.container(service).logs()[since:].splitlines()
        return [json.loads(line) for line in lines if line.startswith(b"{")]

    def wait_for_event(self, service: str, since: int, **fields: str) -> Event:
        """Return the first event in the log of `service` after `since` that has these fields."""

        def look() -> Event | None:
            events = self.events(service, since)
            return next((event for event in events if event.items() >= fields.items()), None)

        return wait_for(look, f"{fields} in the log of {service}")
