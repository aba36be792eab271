"""A program that is killed in the middle of an upload: upload_and_die.py ADDRESS IDENTITY."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from mtls.certificates import Role
from mtls.grpc_client import channel_credentials
from mtls.identity import load_identity

import grpc.aio

from videoqueue_api.v1 import video_queue_pb2 as api
from videoqueue_api.v1.video_queue_pb2_grpc import VideoQueueStub

ON_BEHALF_OF = (("on-behalf-of", "spiffe://video-demo.test/client/uploader"),)


async def main(address: str, folder: Path) -> None:
    """Send half of a video and end without a word."""
    credentials = channel_credentials(load_identity(folder, roles=frozenset({Role.CLIENT})))
    target = address.replace("127.0.0.1", "localhost")
    async with grpc.aio.secure_channel(target, credentials) as channel:
        call = VideoQueueStub(channel).Upload(metadata=ON_BEHALF_OF)
        metadata = api.UploadMetadata(title="half", content_type="video/mp4")
        await call.write(api.UploadRequest(metadata=metadata))
        for _ in range(4):
            await call.write(api.UploadRequest(chunk=b"x" * 200_000))
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
