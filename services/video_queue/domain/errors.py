"""Why a call cannot be answered. api/status_codes.py gives each error its gRPC status."""

from video_queue.errors import VideoQueueError


class CallError(VideoQueueError):
    """The call cannot be answered. The message is for the caller, so it names nothing inside."""


class InvalidRequest(CallError):
    """The request breaks the contract: see video_queue.proto."""


class VideoNotFound(CallError):
    """There is no such video: ListVideos returns those that exist."""


class NotTheOwner(CallError):
    """The video belongs to another identity: ask its owner."""


class MayNotActForOthers(CallError):
    """This caller may not call on behalf of others: call through the gateway."""


class RenditionNotFound(CallError):
    """The video has no such rendition, or not yet: GetVideo returns those that exist."""


class TooLarge(CallError):
    """The file is larger than the limit: send a smaller one."""


class TooManyRenditions(CallError):
    """The video has as many renditions as the limit allows: publish fewer."""


class StoreFull(CallError):
    """The store is full: delete some videos, then try again."""


class OwnerFull(CallError):
    """The videos of this owner have as many bytes as they may: delete some, then try again."""


class TooManyPending(CallError):
    """Too many videos of this owner are pending: upload more when some are processed."""


class KeyInUse(CallError):
    """An upload with this key is still under way: wait until it has ended, then repeat yours."""


class KeyUsed(CallError):
    """This key was used for other bytes or fields: a new upload needs a new key."""


class TooManyCalls(CallError):
    """Too many calls of this kind are under way: end one, or try again later."""


class RangeNotSatisfiable(CallError):
    """The range begins after the last byte: ask again with a smaller offset."""


class StreamStalled(CallError):
    """The stream sent nothing for too long: send it again over a better connection."""


class StreamBrokeOff(CallError):
    """The stream ended without a StreamEnd: send it again from the start."""


class LeaseLost(CallError):
    """The lease is no longer yours: stop this work and claim another video."""


class BytesLost(CallError):
    """The bytes of this video are lost: delete it and upload it again."""


class CatalogUnavailable(CallError):
    """The database does not answer: try again in a few seconds."""


class FilesUnavailable(CallError):
    """The store of the files does not answer: try again in a few seconds."""


class ShuttingDown(CallError):
    """The video queue is shutting down: call again, and another process will answer."""
