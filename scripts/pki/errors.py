"""What can go wrong while certificates are made; each message says what to do next."""


class PkiError(Exception):
    """The certificates cannot be made."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class AuthorityUnusable(PkiError):
    """The CA that lies in the folder can issue nothing more; `--force` makes another."""


class FolderBusy(PkiError):
    """Another run has held the folder for over a minute; find it with `ps`, end it, try again."""


class FolderUnusable(PkiError):
    """The folder cannot be written; give another one with `--folder`."""


class KeyUnreadable(PkiError):
    """The private key belongs to another user; run this as that user."""
