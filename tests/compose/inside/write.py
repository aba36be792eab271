"""Tries to write a file into each of the folders given; prints the names of the errors as JSON."""

import errno
import json
import sys
import tempfile


def attempt(folder: str) -> str:
    """Return the name of the error, or "" if there is none."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return errno.errorcode[error.errno or 0]


print(json.dumps({folder: attempt(folder) for folder in sys.argv[1:]}))
