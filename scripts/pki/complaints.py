"""What a person is told when it does not work: one line, with what to do."""

from pathlib import Path
from typing import Final

from pki.errors import PkiError

_ADVICE: Final[dict[type[OSError], str]] = {
    PermissionError: (
        "Run this as the owner of the folder, or give another one with `--folder`. In a container, "
        "`--service-owner` needs the capabilities CHOWN, DAC_OVERRIDE and FOWNER."
    ),
}


def complaint(error: PkiError | OSError, folder: Path) -> str:
    """Return the line; `folder` is where the run was at work."""
    if isinstance(error, PkiError):
        return str(error)
    advice = _ADVICE.get(type(error), "Mend that and run this again: it takes up from there.")
    return f"{error.filename or folder}: {error.strerror}. {advice}"
