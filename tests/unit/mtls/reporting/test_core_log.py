import os

from mtls.reporting.core_log import CoreLine, read_core_log

import pytest
from structlog.testing import capture_logs


def test_a_line_that_cannot_be_dealt_with_is_told_and_the_next_one_is_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GRPC_VERBOSITY", "")  # so that it is put back at the end
    heard: list[str] = []

    def on_line(line: CoreLine) -> None:
        heard.append(line.text)
        if line.text == "first":
            raise ZeroDivisionError

    with capture_logs() as logs, read_core_log(on_line):
        for text in ("first", "second"):
            os.write(2, f"E1123 11:54:13.051165   12025 a.cc:1] {text}\n".encode())
    assert heard == ["first", "second"]
    [failed] = logs
    assert failed["event"] == "core_log.failed"
    assert "first" in failed["line"]
