"""The video queue on grpc.aio: the calls that the comparison needs, on a store in memory."""

import asyncio
import hashlib
import signal
import uuid
from collections.abc import AsyncIterator
from typing import Any, Final, NoReturn

import grpc
import grpc.aio
import uvloop
from peer_settings import announce, name_in, read_identity, variable

from videoqueue_api.v1 import video_queue_pb2 as api
from videoqueue_api.v1 import video_queue_pb2_grpc as api_grpc

CHUNK_BYTES: Final = 256 * 1024
GO_AHEAD: Final = (("go-ahead", "yes"),)

ALLOWED: Final = {
    "Upload": {"gateway"},
    "GetVideo": {"gateway"},
    "ListVideos": {"gateway"},
    "Download": {"gateway"},
}

Context = grpc.aio.ServicerContext[Any, Any]


class VideoQueue(api_grpc.VideoQueueServicer):
    """Answers the gateway alone."""

    def __init__(self) -> None:
        self._videos: dict[str, tuple[api.Video, list[bytes]]] = {}  # the oldest first

    async def Upload(
        self, request_iterator: AsyncIterator[api.UploadRequest], context: Context
    ) -> api.Video:
        """Store a video."""
        await _admit("Upload", context)
        metadata, chunks, sha256, size, is_whole = None, [], hashlib.sha256(), 0, False
        async for request in request_iterator:
            match request.WhichOneof("part"):
                case "metadata":
                    metadata = request.metadata
                    if not metadata.title.strip():
                        await _refuse(context, "The title is empty.")
                    await context.send_initial_metadata(GO_AHEAD)
                case "chunk":
                    chunks.append(request.chunk)
                    sha256.update(request.chunk)
                    size += len(request.chunk)
            if request.HasField("end"):
                is_whole = request.end.size_bytes == size
        if metadata is None or not size or not is_whole:
            await _refuse(context, "The stream is not metadata, chunks and a fitting end.")
        video = api.Video(
            id=str(uuid.uuid4()),
            owner=str(dict(context.invocation_metadata() or ())["on-behalf-of"]),
            title=metadata.title,
            description=metadata.description,
            content_type=metadata.content_type,
            size_bytes=size,
            sha256=sha256.digest(),
            status=api.VIDEO_STATUS_PENDING,
        )
        video.created_at.GetCurrentTime()
        video.updated_at.CopyFrom(video.created_at)
        self._videos[video.id] = video, chunks
        return video

    async def GetVideo(self, request: api.GetVideoRequest, context: Context) -> api.Video:
        """Return one video."""
        await _admit("GetVideo", context)
        video, _ = await self._find(request.id, context)
        return video

    async def ListVideos(
        self,
        request: api.ListVideosRequest,  # noqa: ARG002
        context: Context,
    ) -> api.ListVideosResponse:
        """Return the newest videos."""
        await _admit("ListVideos", context)
        newest = [video for video, _ in [*self._videos.values()][-50:]]
        return api.ListVideosResponse(videos=newest[::-1])

    async def Download(
        self, request: api.DownloadRequest, context: Context
    ) -> AsyncIterator[api.DownloadResponse]:
        """Stream a video."""
        await _admit("Download", context)
        video, chunks = await self._find(request.id, context)
        yield api.DownloadResponse(video=video)
        for chunk in chunks:
            for start in range(0, len(chunk), CHUNK_BYTES):
                yield api.DownloadResponse(chunk=chunk[start : start + CHUNK_BYTES])

    async def _find(self, video_id: str, context: Context) -> tuple[api.Video, list[bytes]]:
        found = self._videos.get(video_id)
        if found is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "There is no such video.")
        return found


async def _admit(method: str, context: Context) -> None:
    # gRPC gives all names of the certificate, DNS names among them: a SPIFFE ID has its scheme.
    names = context.auth_context().get("x509_subject_alternative_name", ())
    name = name_in(each.decode() for each in names if b"://" in each)
    if name not in ALLOWED[method]:
        await context.abort(grpc.StatusCode.PERMISSION_DENIED, f"{name} may not call {method}.")


async def _refuse(context: Context, details: str) -> NoReturn:
    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, details)


async def main() -> None:
    """Serve until SIGTERM."""
    identity = read_identity(variable("PEER_IDENTITY"))
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", 1024 * 1024)])
    servicer = VideoQueue()  # type: ignore[abstract]  # what is not compared is UNIMPLEMENTED
    api_grpc.add_VideoQueueServicer_to_server(servicer, server)
    credentials = grpc.ssl_server_credentials(
        [(identity.key.read_bytes(), identity.chain.read_bytes())],
        identity.ca.read_bytes(),
        require_client_auth=True,
    )
    port = server.add_secure_port(variable("PEER_LISTEN"), credentials)
    await server.start()
    announce(f"127.0.0.1:{port}")
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    await stopping.wait()
    await server.stop(grace=1)


if __name__ == "__main__":
    uvloop.run(main())
