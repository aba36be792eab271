"""The channel to the video queue: how long it waits, how much it holds, what it repeats.

Repeated are calls that change nothing, and only a few times. An upload or a deletion may have been
done although its answer was lost: only the client knows whether to send it again. A call that has
been answered in part is not repeated either, since the part has been passed on.
https://github.com/grpc/proposal/blob/master/A6-client-retries.md
"""

import json
from contextlib import AbstractAsyncContextManager
from typing import Final

from mtls import Address, IdentitySource, mtls_channel

import grpc.aio

from videoqueue_api.v1.video_queue_pb2 import DESCRIPTOR

REPEATABLE: Final = ("GetVideo", "ListVideos", "WatchVideo", "Download", "DownloadRendition")

_QUEUE: Final = DESCRIPTOR.services_by_name["VideoQueue"].full_name
_HEALTH: Final = "grpc.health.v1.Health"

_SERVICE_CONFIG: Final = json.dumps(
    {
        # Where the queue's name has several addresses, those that are connected are called in turn.
        # Each has shown a certificate with that name; one that was killed is left out
        # until it is back.
        # https://github.com/grpc/grpc/blob/master/doc/load-balancing.md
        "loadBalancingConfig": [{"round_robin": {}}],
        "methodConfig": [
            {
                "name": [
                    *({"service": _QUEUE, "method": method} for method in REPEATABLE),
                    {"service": _HEALTH, "method": "Check"},
                ],
                # gRPC varies each pause by a fifth, and no attempt outlasts the call's deadline.
                "retryPolicy": {
                    "maxAttempts": 3,
                    "initialBackoff": "0.1s",
                    "maxBackoff": "1s",
                    "backoffMultiplier": 4,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ],
        # A bucket for all calls: a failure takes one token, a success gives back a tenth, and with
        # half of them left nothing is repeated. So an outage costs five more calls, not twice as
        # many as there are.
        "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
    }
)
_OPTIONS: Final = (
    # A queue that vanished without closing its socket (power cut, lost network) is noticed in
    # 40 seconds while a call waits for it, and not after TCP's quarter of an hour.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),  # a watch or a claim may wait for long
    # A queue that comes back is found within 5 seconds; the default backs off to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    # A call may have this much here unread. Left to itself the C-core widens the window of a fast
    # connection, and then holds 13 MiB for every reader that is slow.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 1024 * 1024),
    ("grpc.max_send_message_length", 1024 * 1024),  # the queue takes no more
    ("grpc.service_config", _SERVICE_CONFIG),
)


def queue_channel(
    address: Address, identity: IdentitySource, *, max_message_bytes: int = 1024 * 1024
) -> AbstractAsyncContextManager[grpc.aio.Channel]:
    """Return a channel to the queue; it connects at the first call, and again when it must.

    `max_message_bytes` is the largest message that the queue may send.
    """
    options = (*_OPTIONS, ("grpc.max_receive_message_length", max_message_bytes))
    return mtls_channel(address, identity, options)
