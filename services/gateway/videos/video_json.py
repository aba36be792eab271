"""How a video looks in JSON: openapi.json says what each member means."""

from collections.abc import Mapping
from typing import Any, Final

from videoqueue_api.v1 import video_queue_pb2 as api

THUMBNAIL: Final = "thumbnail"  # the rendition that is a picture

_STATUS: Final[Mapping[int, str]] = {
    api.VIDEO_STATUS_PENDING: "pending",
    api.VIDEO_STATUS_PROCESSING: "processing",
    api.VIDEO_STATUS_COMPLETED: "completed",
    api.VIDEO_STATUS_FAILED: "failed",
}
_FINAL: Final = frozenset({api.VIDEO_STATUS_COMPLETED, api.VIDEO_STATUS_FAILED})


# Written out, not MessageToDict: that one costs more time than the call to the queue, gives
# numbers as texts and bytes as base64, and shows every member that the contract will ever get.
def video_json(video: api.Video) -> dict[str, Any]:
    """Return the JSON object of `video`."""
    return {
        "id": video.id,
        "owner": video.owner,
        "title": video.title,
        "description": video.description,
        "content_type": video.content_type,
        "size_bytes": video.size_bytes,
        "sha256": video.sha256.hex(),
        "status": _STATUS[video.status],
        "progress_percent": video.progress_percent,
        "failure_reason": video.failure_reason or None,
        "created_at": video.created_at.ToJsonString(),  # RFC 3339
        "updated_at": video.updated_at.ToJsonString(),
        "renditions": [_rendition_json(video.id, rendition) for rendition in video.renditions],
    }


def _rendition_json(video_id: str, rendition: api.Rendition) -> dict[str, Any]:
    path = THUMBNAIL if rendition.name == THUMBNAIL else f"renditions/{rendition.name}"
    return {
        "name": rendition.name,
        "url": f"/videos/{video_id}/{path}",
        "content_type": rendition.content_type,
        "size_bytes": rendition.size_bytes,
        "sha256": rendition.sha256.hex(),
        "width": rendition.width,
        "height": rendition.height,
        "duration_seconds": rendition.duration_ms / 1000,
    }


def page_json(page: api.ListVideosResponse) -> dict[str, Any]:
    """Return the JSON object of a page of videos."""
    return {
        "videos": [video_json(video) for video in page.videos],
        "next_page_token": page.next_page_token or None,
    }


def is_final(video: api.Video) -> bool:
    """Whether the status of `video` will not change any more."""
    return video.status in _FINAL
