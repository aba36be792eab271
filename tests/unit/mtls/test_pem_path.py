"""OpenSSL is given bytes by a path, and no file is written."""

from pathlib import Path

from mtls.ssl_contexts import pem_path

import pytest


@pytest.mark.parametrize("size", [0, 1, 65_536, 1_000_000])
def test_what_is_written_can_be_read_however_much_it_is(size: int) -> None:
    """A pipe holds 64 KiB at the most."""
    with pem_path(b"x" * size) as path:
        assert Path(path).read_bytes() == b"x" * size


def test_nobody_waits_for_a_reader_that_does_not_come() -> None:
    with pem_path(b"x" * 1_000_000):
        pass


def test_nobody_waits_for_a_reader_that_has_enough() -> None:
    with pem_path(b"x" * 1_000_000) as path, open(path, "rb") as file:  # noqa: PTH123
        assert file.read(1) == b"x"
