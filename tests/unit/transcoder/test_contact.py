"""An outage is told once, however often it is met with, and so is its end."""

from mtls.address import Address

from tests.unit.transcoder.conftest import Events
from transcoder.queue_client import Contact


def test_only_changes_are_told(events: Events) -> None:
    contact = Contact(Address("video-queue", 50051))
    for note in "llffllf":
        contact.found() if note == "f" else contact.lost("nobody listens")
    names = [event["event"].removeprefix("queue.") for event in events]
    assert names == ["unreachable", "reached", "unreachable", "reached"]


def test_nothing_is_sure_before_the_first_answer_or_after_an_outage() -> None:
    contact = Contact(Address("video-queue", 50051))
    assert not contact.is_sure
    contact.found()
    assert contact.is_sure
    contact.lost("nobody listens")
    assert not contact.is_sure
