"""What can go wrong while certificates are made; each message says what to do next."""

from pathlib import Path
from typing import Final


class PkiError(Exception):
    """The certificates cannot be made."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class IdentitiesUnusable(PkiError):
    """The file that names the identities cannot be used."""


class AuthorityUnusable(PkiError):
    """A CA below ca/ cannot be used."""


class RootKeyAway(PkiError):
    """A new issuing CA is needed, and the key of the root is kept elsewhere."""


class RecordUnusable(PkiError):
    """The record of what was issued is lost."""


class RecordFull(PkiError):
    """Hundreds of leaves are in force already: find out who issues them. Expired ones make room."""


class NothingToRevoke(PkiError):
    """No leaf that is in force has this name or this serial number."""


class StageNotAllowed(PkiError):
    """This stage of the rollover is not allowed yet."""


class NotAPerson(PkiError):
    """client.p12 is for a person's identity."""


class FolderBusy(PkiError):
    """Another run has held the folder for over a minute; find it with `ps`, end it, try again."""


class FolderUnusable(PkiError):
    """The folder cannot be written; give another one with `--folder`."""


class KeyUnreadable(PkiError):
    """The private key belongs to another user; run this as that user."""


_ADVICE: Final[dict[type[OSError], str]] = {
    PermissionError: (
        "Run this as the owner of the folder, or give another one with `--folder`. In a container, "
        "`--service-owner` needs the capabilities CHOWN, DAC_OVERRIDE and FOWNER."
    ),
}


def error_message(error: PkiError | OSError, folder: Path) -> str:
    """Return one line that says what happened in `folder`, and what to do."""
    if isinstance(error, PkiError):
        return str(error)
    advice = _ADVICE.get(type(error), "Fix that and run this again: it continues from there.")
    return f"{error.filename or folder}: {error.strerror}. {advice}"
