"""The base of this package's errors. runtime/errors.py has the one that ends a start."""


class VideoQueueError(Exception):
    """The video queue cannot do this."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())
