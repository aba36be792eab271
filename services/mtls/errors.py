"""The base of every error that this library raises, and the errors that belong to no one module."""


class MtlsError(Exception):
    """Something is wrong with an identity, a peer or its rights."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class ListenError(MtlsError):
    """The address cannot be listened on."""
