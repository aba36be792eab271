"""What can go wrong with a request about videos."""

from http import HTTPStatus

from gateway.errors import NotFound, RequestError


class VideoNotFound(NotFound):
    """There is no such video: GET /videos lists the existing ones."""


class RenditionNotFound(NotFound):
    """The video has no such rendition, or not yet: see its `renditions` when it is completed."""


class KeyUsed(RequestError):
    """This Idempotency-Key was used for another upload: a new upload needs a new key."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY


class PreconditionFailed(RequestError):
    """The file is another than `If-Match` names: ask again without it, from the first byte."""

    status = HTTPStatus.PRECONDITION_FAILED


class TooLarge(RequestError):
    """The video is larger than the limit: send a smaller one."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class UnsupportedMedia(RequestError):
    """Send multipart/form-data whose part `file` is a video, as `curl -F file=@clip.mp4` does."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class RangeNotSatisfiable(RequestError):
    """The range begins after the last byte: ask again with a smaller first position."""

    status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE

    def __init__(self, size_bytes: int | None = None) -> None:
        super().__init__()
        if size_bytes is not None:
            self.headers = {"Content-Range": f"bytes */{size_bytes}"}


class StoreFull(RequestError):
    """The queue has no room for this video: delete some, then try again."""

    status = HTTPStatus.INSUFFICIENT_STORAGE
