"""What can go wrong in the gateway. problems.py gives each `RequestError` its HTTP status."""


class GatewayError(Exception):
    """The gateway cannot do this."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class RequestError(GatewayError):
    """The request cannot be served. The message is for the client, so it names nothing inside."""


class InvalidRequest(RequestError):
    """The request does not say what it should: see /openapi.json."""


class NotAllowed(RequestError):
    """This certificate may not do that."""


class VideoNotFound(RequestError):
    """There is no such video: GET /videos lists those there are."""


class RenditionNotFound(RequestError):
    """The video has no such rendition, or not yet: see its `renditions` when it is completed."""


class ClientTooSlow(RequestError):
    """The request did not come on for too long: send it again over a better connection."""


class Conflict(RequestError):
    """Something else is under way that does not allow this: try again when it has ended."""


class KeyUsed(RequestError):
    """This Idempotency-Key was used for another upload: a new upload needs a new key."""


class TooLarge(RequestError):
    """The video is larger than the limit."""


class UnsupportedMedia(RequestError):
    """Send multipart/form-data whose part `file` is a video, as `curl -F file=@clip.mp4` does."""


class RangeNotSatisfiable(RequestError):
    """The range begins after the last byte: ask again with a smaller first position."""

    def __init__(self, size_bytes: int | None = None) -> None:
        super().__init__()
        self.size_bytes = size_bytes


class TooManyRequests(RequestError):
    """The queue has too much to do: try again later."""


class StoreFull(RequestError):
    """The queue has no room for this video: delete some, then try again."""


class QueueUnavailable(RequestError):
    """The queue cannot be reached now: try again in a few seconds."""


class QueueTimedOut(RequestError):
    """The queue did not answer in time: try again later."""


class QueueFailed(RequestError):
    """Something went wrong behind the gateway; its log says what. Try again later."""
