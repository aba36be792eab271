"""Which calls gRPC makes again by itself: those that change nothing, and only a few times.

An upload or a deletion may have been done although its answer was lost: only the client knows
whether it wants it once more. What has been answered in part is not made again either, since the
part has been passed on. https://github.com/grpc/proposal/blob/master/A6-client-retries.md
"""

import json
from typing import Final

from videoqueue_api.v1.video_queue_pb2 import DESCRIPTOR

REPEATABLE: Final = ("GetVideo", "ListVideos", "WatchVideo", "Download", "DownloadRendition")

_QUEUE: Final = DESCRIPTOR.services_by_name["VideoQueue"].full_name
_HEALTH: Final = "grpc.health.v1.Health"

SERVICE_CONFIG: Final = json.dumps(
    {
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
        # half of them left nothing is made again. So an outage costs five more calls, not twice as
        # many as there are.
        "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
    }
)
