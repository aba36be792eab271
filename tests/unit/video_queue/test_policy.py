"""The table names every call of the contract, and nothing else."""

from typing import Any

import pytest
from grpc_health.v1 import health_pb2

from audit_api.v1 import audit_pb2
from video_queue.policy import ALLOWED
from videoqueue_api.v1 import video_queue_pb2


def methods_of(described: Any) -> set[str]:
    """Not typed: at run time the classes are others than in the stubs."""
    return {f"/{described.full_name}/{method.name}" for method in described.methods}


VIDEO_QUEUE = methods_of(video_queue_pb2.DESCRIPTOR.services_by_name["VideoQueue"])
HEALTH = methods_of(health_pb2.DESCRIPTOR.services_by_name["Health"])
AUDIT = methods_of(audit_pb2.DESCRIPTOR.services_by_name["Audit"])


def test_every_call_of_the_contract_is_in_the_table() -> None:
    assert set(ALLOWED) >= VIDEO_QUEUE | AUDIT


def test_of_the_health_service_two_calls_are_in_the_table() -> None:
    health = set(ALLOWED) - VIDEO_QUEUE - AUDIT
    assert health < HEALTH
    assert {method.rpartition("/")[2] for method in health} == {"Check", "Watch"}


@pytest.mark.parametrize("name", ["probe", "console", "client/uploader", "video-queue"])
def test_nobody_but_gateway_and_transcoder_gets_at_videos(name: str) -> None:
    assert not [method for method in VIDEO_QUEUE if name in ALLOWED[method]]


def test_the_audit_is_for_the_probe_and_the_console_alone() -> None:
    assert {frozenset(ALLOWED[method]) for method in AUDIT} == {frozenset({"probe", "console"})}


def test_no_call_is_open_to_both_gateway_and_transcoder() -> None:
    for method in VIDEO_QUEUE:
        assert len(ALLOWED[method]) == 1
