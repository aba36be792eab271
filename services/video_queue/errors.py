"""What can go wrong in the queue. status_codes.py gives each `CallError` its gRPC status."""


class VideoQueueError(Exception):
    """The video queue cannot do this."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class CallError(VideoQueueError):
    """The call cannot be answered. The message is for the caller, so it names nothing inside."""


class InvalidRequest(CallError):
    """The request does not say what it should: see video_queue.proto."""


class VideoNotFound(CallError):
    """There is no such video: ListVideos names those there are."""


class NotTheOwner(CallError):
    """The video belongs to somebody else: ask its owner."""


class NotTheGateway(CallError):
    """Only the gateway may say for whom it calls: go through it."""


class RenditionNotFound(CallError):
    """The video has no such rendition, or not yet: GetVideo names those there are."""


class TooLarge(CallError):
    """It is larger than the limit: send a smaller one."""


class TooManyRenditions(CallError):
    """The video has as many renditions as it may: publish fewer."""


class StoreFull(CallError):
    """There is no room left: delete some videos, then try again."""


class KeyInUse(CallError):
    """An upload with this key is still under way: repeat yours when that has ended."""


class KeyUsed(CallError):
    """This key was used for other bytes or fields: a new upload needs a new key."""


class TooManyWaiting(CallError):
    """Too many calls are waiting for news: end some, or try again later."""


class RangeNotSatisfiable(CallError):
    """The range begins after the last byte: ask again with a smaller offset."""


class StreamStalled(CallError):
    """The stream did not come on for too long: send it again over a better connection."""


class StreamBrokeOff(CallError):
    """The stream broke off before it said that it is at its end: send it again from the start."""


class LeaseLost(CallError):
    """The lease is no longer yours: drop this work and claim another video."""


class BytesLost(CallError):
    """The bytes of this video are lost: delete it and upload it again."""


class CatalogUnavailable(CallError):
    """The database does not answer: try again in a few seconds."""


class ShuttingDown(CallError):
    """The video queue is shutting down: call again, and another will answer."""
