"""Who taps the wire between gateway and queue sees TLS records, and no word of what is in them."""

import base64
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from docker.models.containers import Container

from tests.compose.neighbour import Neighbour
from tests.compose.programs import program, run
from tests.compose.project import Project
from tests.compose.waiting import wait_for

# RFC 8446, section 5.1. TLS 1.3 shows everything after the first messages as application data.
CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA = range(20, 24)
HEADER_BYTES: Final = 5
MAX_RECORD_BYTES: Final = 2**14 + 256
QUEUE_PORT: Final = "50051"


@dataclass(frozen=True, slots=True)
class Tap:
    """A container that sees what arrives at another one and what leaves it."""

    container: Container

    def streams(self) -> dict[tuple[str, str], bytes]:
        """Return what was sent, by (from, to), each "address:port"."""
        segments: dict[tuple[str, str], dict[int, bytes]] = {}
        for line in self.container.logs(stderr=False).splitlines(keepends=True)[1:]:
            if line.endswith(b"\n"):  # otherwise it is not yet complete
                segment = json.loads(line)
                stream = segments.setdefault((segment["from"], segment["to"]), {})
                stream[segment["sequence"]] = base64.b64decode(segment["data"])
        return {ends: joined(stream) for ends, stream in segments.items()}

    def between(self, client: str, server: str) -> tuple[list[bytes], list[bytes]]:
        """Return what the client at that address sent to the server's, and what it received."""
        streams = self.streams().items()
        return (
            [data for (source, to), data in streams if (host(source), to) == (client, server)],
            [data for (source, to), data in streams if (source, host(to)) == (server, client)],
        )

    def sees(self, text: bytes) -> bool:
        return any(text in stream for stream in self.streams().values())


def host(address: str) -> str:
    return address.rpartition(":")[0]


def joined(segments: dict[int, bytes]) -> bytes:
    """Put segments in order, leaving out what was sent twice. A gap fails."""
    begin = next(iter(segments))  # numbers are modulo 2**32 (RFC 9293, section 3.4)
    stream = bytearray()
    for offset, data in sorted(((key - begin) % 2**32, data) for key, data in segments.items()):
        assert offset <= len(stream), "the capture has missed a segment"
        stream += data[len(stream) - offset :]
    return bytes(stream)


def records(stream: bytes) -> list[tuple[int, int]]:
    """Return the records in a stream, as (content type, bytes). What is not TLS fails."""
    found: list[tuple[int, int]] = []
    begin = 0
    while len(header := stream[begin : begin + HEADER_BYTES]) == HEADER_BYTES:
        content_type, major_version, length = header[0], header[1], int.from_bytes(header[3:])
        assert CHANGE_CIPHER_SPEC <= content_type <= APPLICATION_DATA
        assert major_version == 3
        assert length <= MAX_RECORD_BYTES
        found.append((content_type, length))
        begin += HEADER_BYTES + length
    return found


@contextmanager
def tapping(project: Project, service: str) -> Iterator[Tap]:
    tapped = project.container(service)
    assert tapped.image
    container = project.engine.containers.run(
        tapped.image,
        program("capture.py")[1:],
        entrypoint="python",
        network_mode=f"container:{tapped.id}",
        user="0",
        cap_drop=["ALL"],
        cap_add=["NET_RAW"],
        detach=True,
    )
    try:
        wait_for(lambda: container.logs(stderr=False).startswith(b"ready\n"), "the tap")
        yield Tap(container)
    finally:
        container.remove(force=True)


def test_tap_sees_tls_records_and_none_of_the_plaintext(
    project: Project, neighbour_of_queue: Neighbour
) -> None:
    title, content, marker = (f"{name} {uuid.uuid4()}" for name in ("title", "content", "marker"))
    video = content.encode() * 2000
    with tapping(project, "video-queue") as tap:
        since = project.log_position("gateway")
        project.container("gateway").restart()  # so that the tap sees a handshake, too
        project.wait_for_event("gateway", since, event="server.listening")
        assert project.source(project.upload(title, video)) == video
        # Last, something in plaintext: the tap can see it, and has seen all that came before.
        connect = program("connect.py", "video-queue", QUEUE_PORT, marker)
        assert run(neighbour_of_queue.container, *connect).exit_code == 0
        wait_for(lambda: tap.sees(marker.encode()), "the plaintext in the capture")

        assert not tap.sees(title.encode())
        assert not tap.sees(content.encode())
        gateway = project.address("gateway", "backend")
        queue = f"{project.address('video-queue', 'backend')}:{QUEUE_PORT}"
        sent, received = tap.between(gateway, queue)
        for streams in sent, received:
            seen = [record for stream in streams for record in records(stream)]
            assert HANDSHAKE in {kind for kind, _ in seen}
            assert sum(length for kind, length in seen if kind == APPLICATION_DATA) > len(video)
