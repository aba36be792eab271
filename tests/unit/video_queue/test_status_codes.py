"""Every error that a call can raise has a status, and a message for a person."""

import pytest

from video_queue.api.status_codes import CODES
from video_queue.domain.errors import CallError


def test_every_error_of_a_call_has_a_status() -> None:
    assert set(CODES) == set(CallError.__subclasses__())


@pytest.mark.parametrize("kind", CODES)
def test_every_default_message_says_what_to_do(kind: type[CallError]) -> None:
    message = str(kind())
    assert ": " in message
    assert message.endswith((".", "video_queue.proto."))
