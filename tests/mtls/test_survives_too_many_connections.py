"""More connections than the limit: open ones are served, and new ones after some have closed."""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import grpc
import pytest

from local_stack import Stack
from tests.mtls.floodable import Floodable
from tests.mtls.honest import honest_client
from tests.mtls.scrape import metrics_address, sample, scrape
from tests.mtls.target import Target
from tests.mtls.vitals import sockets

MAX_CONNECTIONS: Final = 20


def test_one_address_does_not_get_all_connections_of_the_gateway(floodable: Floodable) -> None:
    since = floodable.services["gateway"].log.position()
    result = floodable.survives("gateway", "half-open")
    assert result.dropped["max_connections_per_address"] > 0
    assert set(result.dropped) == {"max_connections_per_address"}
    dropped = [
        event
        for event in floodable.services["gateway"].log.events(since)
        if event["event"] == "connection.dropped"
    ]
    assert {event["limit"] for event in dropped} == {"max_connections_per_address"}
    assert {event["peer"].partition(":")[0] for event in dropped} == {"127.0.0.2"}


def test_a_full_video_queue_serves_those_that_it_has(floodable: Floodable, tmp_path: Path) -> None:
    """gRPC has no limit per address: strangers can keep newcomers out, until their time is over."""
    stack = Stack(tmp_path, floodable.stack.authority)
    stack.write_certificates()
    queue = stack.start_queue(VIDEO_QUEUE_MAX_CONNECTIONS=str(MAX_CONNECTIONS))
    with queue, honest_client(stack, queue) as honest:
        honest.again()
        before = sockets(queue)
        target = Target(queue.address, stack.authority.ca_pem)
        with ExitStack() as strangers:
            for _ in range(2 * MAX_CONNECTIONS):
                strangers.enter_context(target.connect())
                honest.again()
                assert sockets(queue) <= before + MAX_CONNECTIONS + 1  # one that is being closed
            with pytest.raises(grpc.RpcError) as kept_out:
                honest.anew()
            assert kept_out.value.code() is grpc.StatusCode.UNAVAILABLE
            honest.again()
        until = time.monotonic() + 30
        while sockets(queue) > before and time.monotonic() < until:
            honest.again()
        honest.anew()


def test_one_address_does_not_get_all_connections_of_the_metrics(floodable: Floodable) -> None:
    queue = floodable.services["video-queue"]
    target = Target(metrics_address(queue), floodable.stack.authority.ca_pem)
    with ExitStack() as silent:
        for _ in range(MAX_CONNECTIONS):
            silent.enter_context(target.connect())
        labels = {"endpoint": "metrics", "limit": "max_connections_per_address"}
        samples = scrape(floodable.stack, queue)
    assert sample(samples, "mtls_connections_dropped_total", **labels) > 0
