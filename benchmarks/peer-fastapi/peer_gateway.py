"""The gateway on FastAPI and uvicorn: the routes that the comparison needs."""

import asyncio
import socket
import ssl
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import grpc
import grpc.aio
import uvicorn
from fastapi import Depends, FastAPI, Form, HTTPException, Request, Response, UploadFile
from fastapi.responses import JSONResponse, StreamingResponse
from peer_settings import TRUST_DOMAIN, announce, name_in, read_identity, variable
from pydantic import BaseModel
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from videoqueue_api.v1 import video_queue_pb2 as api
from videoqueue_api.v1 import video_queue_pb2_grpc as api_grpc

CALL_SECONDS: Final = 5
TRANSFER_SECONDS: Final = 3600
CHUNK_BYTES: Final = 256 * 1024

READERS: Final = {"client/uploader", "client/viewer", "console"}
WRITERS: Final = {"client/uploader", "console"}

HTTP_STATUS: Final = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}


class Video(BaseModel):
    """A video, as JSON."""

    id: str
    owner: str
    title: str
    description: str
    content_type: str
    size_bytes: int
    sha256: str
    status: str
    progress_percent: int
    failure_reason: str | None
    created_at: datetime
    updated_at: datetime
    renditions: list[dict[str, Any]]


class Page(BaseModel):
    """Videos, the newest first."""

    videos: list[Video]
    next_page_token: str | None


class MtlsProtocol(HttpToolsProtocol):
    """Adds to each request who calls: uvicorn does not hand the peer's certificate on.

    A certificate is looked at once per connection, not once per request.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Remember the name in the certificate."""
        super().connection_made(transport)
        names = (transport.get_extra_info("peercert") or {}).get("subjectAltName", ())
        self._caller = name_in(value for kind, value in names if kind == "URI")

    def on_message_begin(self) -> None:
        """Hand it to the application."""
        super().on_message_begin()
        self.scope["state"]["caller"] = self._caller


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Hold the channel to the queue open."""
    identity = read_identity(variable("PEER_IDENTITY"))
    credentials = grpc.ssl_channel_credentials(
        identity.ca.read_bytes(), identity.key.read_bytes(), identity.chain.read_bytes()
    )
    async with grpc.aio.secure_channel(variable("PEER_QUEUE"), credentials) as channel:
        app.state.queue = api_grpc.VideoQueueStub(channel)
        yield


app = FastAPI(lifespan=lifespan)


async def reader(request: Request) -> str:
    """Return the SPIFFE ID of a caller that may read."""
    return _listed(request, READERS)


async def writer(request: Request) -> str:
    """Return the SPIFFE ID of a caller that may write."""
    return _listed(request, WRITERS)


def _listed(request: Request, allowed: set[str]) -> str:
    if request.state.caller not in allowed:
        raise HTTPException(403)
    return f"{TRUST_DOMAIN}{request.state.caller}"


async def queue_of(request: Request) -> api_grpc.VideoQueueStub:
    """Return the queue."""
    stub: api_grpc.VideoQueueStub = request.app.state.queue
    return stub


Reader = Annotated[str, Depends(reader)]
Writer = Annotated[str, Depends(writer)]
Queue = Annotated[api_grpc.VideoQueueStub, Depends(queue_of)]


@app.exception_handler(grpc.aio.AioRpcError)
async def queue_failed(_request: Request, error: grpc.aio.AioRpcError) -> JSONResponse:
    """Answer with the HTTP status that is nearest."""
    status = HTTP_STATUS.get(error.code(), 500)
    return JSONResponse({"status": status}, status, media_type="application/problem+json")


@app.get("/videos")
async def list_videos(caller: Reader, queue: Queue) -> Page:
    """Answer with the newest videos."""
    page = await queue.ListVideos(
        api.ListVideosRequest(), metadata=_for(caller), timeout=CALL_SECONDS
    )
    return Page(
        videos=[video_of(each) for each in page.videos],
        next_page_token=page.next_page_token or None,
    )


@app.get("/videos/{video_id}")
async def get_video(video_id: uuid.UUID, caller: Reader, queue: Queue) -> Video:
    """Answer with one video."""
    request = api.GetVideoRequest(id=str(video_id))
    return video_of(await queue.GetVideo(request, metadata=_for(caller), timeout=CALL_SECONDS))


@app.post("/videos", status_code=201)
async def upload_video(
    response: Response,
    caller: Writer,
    queue: Queue,
    file: UploadFile,
    title: Annotated[str, Form()] = "",
    description: Annotated[str, Form()] = "",
) -> Video:
    """Hand the file of a form on to the queue."""
    call = queue.Upload(metadata=_for(caller), timeout=TRANSFER_SECONDS)
    metadata = api.UploadMetadata(
        title=title or file.filename or "",
        description=description,
        content_type=file.content_type or "",
    )
    await call.write(api.UploadRequest(metadata=metadata))
    await call.initial_metadata()  # the go-ahead
    chunk, size = await file.read(CHUNK_BYTES), 0
    while following := await file.read(CHUNK_BYTES):
        size += len(chunk)
        await call.write(api.UploadRequest(chunk=chunk))
        chunk = following
    end = api.StreamEnd(size_bytes=size + len(chunk))
    await call.write(api.UploadRequest(chunk=chunk, end=end))
    await call.done_writing()
    video = video_of(await call)
    response.headers["Location"] = f"/videos/{video.id}"
    return video


@app.get("/videos/{video_id}/source")
async def get_source(video_id: uuid.UUID, caller: Reader, queue: Queue) -> StreamingResponse:
    """Send what was uploaded."""
    request = api.DownloadRequest(id=str(video_id))
    call = queue.Download(request, metadata=_for(caller), timeout=TRANSFER_SECONDS)
    messages = aiter(call)
    video = (await anext(messages)).video

    async def chunks() -> AsyncIterator[bytes]:
        async for message in messages:
            yield message.chunk

    headers = {"Content-Length": str(video.size_bytes)}
    return StreamingResponse(chunks(), headers=headers, media_type=video.content_type)


def _for(caller: str) -> tuple[tuple[str, str]]:
    return (("on-behalf-of", caller),)


def video_of(video: api.Video) -> Video:
    """Return what is said of a video over HTTP."""
    return Video(
        id=video.id,
        owner=video.owner,
        title=video.title,
        description=video.description,
        content_type=video.content_type,
        size_bytes=video.size_bytes,
        sha256=video.sha256.hex(),
        status=api.VideoStatus.Name(video.status).removeprefix("VIDEO_STATUS_").lower(),
        progress_percent=video.progress_percent,
        failure_reason=video.failure_reason or None,
        created_at=video.created_at.ToDatetime(UTC),
        updated_at=video.updated_at.ToDatetime(UTC),
        renditions=[{"name": each.name} for each in video.renditions],
    )


def _tls13(_config: uvicorn.Config, default: Any) -> ssl.SSLContext:
    context: ssl.SSLContext = default()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def main() -> None:
    """Serve until SIGTERM."""
    identity = read_identity(variable("PEER_IDENTITY"))
    host, port = variable("PEER_LISTEN").split(":")
    with socket.create_server((host, int(port))) as listener:
        config = uvicorn.Config(
            app,
            http=MtlsProtocol,
            loop="uvloop",
            access_log=False,
            log_level="warning",
            timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
            ssl_keyfile=identity.key,
            ssl_certfile=identity.chain,
            ssl_ca_certs=str(identity.ca),
            ssl_cert_reqs=ssl.CERT_REQUIRED,
            ssl_context_factory=_tls13,
        )
        announce(f"{host}:{listener.getsockname()[1]}")
        uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    main()
