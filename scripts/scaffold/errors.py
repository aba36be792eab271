"""The base of this package's errors: each is told in one line, and nothing has been changed."""


class ScaffoldError(Exception):
    """It cannot be made. The message says why, and what to do."""
