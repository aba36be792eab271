"""Between the domain's types and the messages of video_queue.proto."""

import datetime as dt
from collections.abc import Mapping
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from video_queue.domain.errors import InvalidRequest
from video_queue.domain.renditions import Rendition, RenditionMetadata
from video_queue.domain.videos import Claim, Lease, Limits, Metadata, Report, Video, VideoStatus
from videoqueue_api.v1 import video_queue_pb2 as api

_STATUS: Final[Mapping[VideoStatus, "api.VideoStatus.ValueType"]] = {
    VideoStatus.PENDING: api.VIDEO_STATUS_PENDING,
    VideoStatus.PROCESSING: api.VIDEO_STATUS_PROCESSING,
    VideoStatus.COMPLETED: api.VIDEO_STATUS_COMPLETED,
    VideoStatus.FAILED: api.VIDEO_STATUS_FAILED,
}
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_REPORTED: Final = {number: status for status, number in _STATUS.items()}


def video_message(video: Video) -> api.Video:
    """Return a video as it is sent."""
    return api.Video(
        id=video.id,
        owner=video.owner,
        title=video.title,
        description=video.description,
        content_type=video.content_type,
        size_bytes=video.size_bytes,
        sha256=video.sha256,
        status=_STATUS[video.status],
        progress_percent=video.progress_percent,
        failure_reason=video.failure_reason,
        created_at=timestamp(video.created_at),
        updated_at=timestamp(video.updated_at),
        renditions=map(rendition_message, video.renditions),
    )


def timestamp(time: dt.datetime) -> Timestamp:
    """Return a time as it is sent. `FromDatetime` does the same, and takes twice as long."""
    since = time - _EPOCH
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1000)


def rendition_message(rendition: Rendition) -> api.Rendition:
    """Return a rendition as it is sent."""
    return api.Rendition(
        name=rendition.name,
        content_type=rendition.content_type,
        size_bytes=rendition.size_bytes,
        sha256=rendition.sha256,
        width=rendition.width,
        height=rendition.height,
        duration_ms=rendition.duration_ms,
    )


def claim_message(
    claim: Claim | None, lease_seconds: int, limits: Limits
) -> api.ClaimVideoResponse:
    """Return the answer to a worker that asked for work."""
    if claim is None:
        return api.ClaimVideoResponse()
    return api.ClaimVideoResponse(
        claim=api.Claim(
            video=video_message(claim.video),
            lease=api.Lease(video_id=claim.lease.video_id, token=claim.lease.token),
            lease_seconds=lease_seconds,
            attempt=claim.attempt,
            max_rendition_bytes=limits.rendition_bytes,
        )
    )


def lease_in(
    request: api.FetchSourceRequest
    | api.HeartbeatRequest
    | api.RenditionMetadata
    | api.UpdateVideoStatusRequest,
) -> Lease:
    """Return the lease that a worker shows. Raises `InvalidRequest` if there is none."""
    if not request.HasField("lease"):
        raise InvalidRequest("The lease is missing: send the one that ClaimVideo gave you.")
    return Lease(request.lease.video_id, request.lease.token)


def report_in(request: api.UpdateVideoStatusRequest) -> Report:
    """Return what a worker reports. Raises `InvalidRequest`."""
    status = _REPORTED.get(request.status, VideoStatus.PENDING)
    return Report.checked(status, request.progress_percent, request.failure_reason)


def beat_in(request: api.HeartbeatRequest) -> Report:
    """Return what a worker says with a heartbeat. Raises `InvalidRequest`."""
    return Report.checked(VideoStatus.PROCESSING, request.progress_percent, "")


def rendition_in(
    request: api.PublishRenditionRequest | None,
) -> tuple[Lease, RenditionMetadata]:
    """Return what the first message says of a rendition. Raises `InvalidRequest`."""
    if request is None or request.WhichOneof("part") != "metadata":
        raise InvalidRequest("The first message of a rendition carries the metadata.")
    said = request.metadata
    return lease_in(said), RenditionMetadata.checked(
        name=said.name,
        content_type=said.content_type,
        width=said.width,
        height=said.height,
        duration_ms=said.duration_ms,
    )


def metadata_in(request: api.UploadRequest | None, limits: Limits) -> Metadata:
    """Return the metadata in the first message of an upload. Raises `InvalidRequest`."""
    if request is None or request.WhichOneof("part") != "metadata":
        raise InvalidRequest("The first message of an upload carries the metadata.")
    said = request.metadata
    return Metadata.checked(
        said.title,
        said.description,
        said.content_type,
        limits,
        size_limit_bytes=said.size_limit_bytes,
        idempotency_key=said.idempotency_key,
    )
