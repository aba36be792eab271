"""What both servers answer, whatever they are asked."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from videoqueue_api.v1 import video_queue_pb2 as api

SERVICE: Final = "videoqueue.v1.VideoQueue"
_ID: Final = "0b5a3c1e-5f0e-4c5e-9d61-4f6a3c2b1d00"
_OWNER: Final = "spiffe://video-demo.test/client/uploader"
_TIME: Final = Timestamp(seconds=1_700_000_000, nanos=123_000_000)

# As large as the answers of the services, so that as many bytes are encrypted.
VIDEO: Final = api.Video(
    id=_ID,
    owner=_OWNER,
    title="By the sea",
    content_type="video/mp4",
    size_bytes=1024,
    sha256=bytes(32),
    status=api.VIDEO_STATUS_PENDING,
    created_at=_TIME,
    updated_at=_TIME,
).SerializeToString()
VIDEO_JSON: Final = json.dumps(
    {
        "id": _ID,
        "owner": _OWNER,
        "title": "By the sea",
        "description": "",
        "content_type": "video/mp4",
        "size_bytes": 1024,
        "sha256": "0" * 64,
        "status": "pending",
        "progress_percent": 0,
        "failure_reason": None,
        "created_at": _TIME.ToJsonString(),
        "updated_at": _TIME.ToJsonString(),
        "renditions": [],
    }
).encode()


def identity() -> tuple[bytes, bytes, bytes]:
    """Return the key, the chain and the CA, as PEM."""
    folder = Path(os.environ["PEER_IDENTITY"])
    key, chain, ca = (
        (folder / name).read_bytes()
        for name in ("private-key.pem", "certificate.crt", "ca-certificate.crt")
    )
    return key, chain, ca


async def announce_and_wait(port: int) -> None:
    """Say where the server listens, and return at SIGTERM."""
    line = {"event": "server.listening", "address": f"127.0.0.1:{port}"}
    print(json.dumps(line), file=sys.stderr, flush=True)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    await stopping.wait()
