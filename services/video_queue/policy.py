"""Who may call what: names are the paths of SPIFFE IDs in our own trust domain.

A method that is not in the table is refused, also one that a library adds later: Health/List.
"""

from collections.abc import Mapping
from typing import Final

_SERVICE: Final = "/videoqueue.v1.VideoQueue/"
_HEALTH: Final = "/grpc.health.v1.Health/"
_AUDIT: Final = "/audit.v1.Audit/"

_GATEWAY: Final = frozenset({"gateway"})
_WORKER: Final = frozenset({"transcoder"})
_ANY_OF_OURS: Final = _GATEWAY | _WORKER | {"probe"}
_AUDITORS: Final = frozenset({"probe", "console"})

MAY_ACT_FOR_OTHERS: Final = _GATEWAY
"""Who is believed on whose behalf it calls: only the gateway has seen a person's certificate."""

ALLOWED: Final[Mapping[str, frozenset[str]]] = {
    _SERVICE + "Upload": _GATEWAY,
    _SERVICE + "GetVideo": _GATEWAY,
    _SERVICE + "ListVideos": _GATEWAY,
    _SERVICE + "WatchVideo": _GATEWAY,
    _SERVICE + "Download": _GATEWAY,
    _SERVICE + "DownloadRendition": _GATEWAY,
    _SERVICE + "DeleteVideo": _GATEWAY,
    _SERVICE + "ClaimVideo": _WORKER,
    _SERVICE + "FetchSource": _WORKER,
    _SERVICE + "Heartbeat": _WORKER,
    _SERVICE + "PublishRendition": _WORKER,
    _SERVICE + "UpdateVideoStatus": _WORKER,
    _HEALTH + "Check": _ANY_OF_OURS,
    _HEALTH + "Watch": _ANY_OF_OURS,
    _AUDIT + "ListRefusals": _AUDITORS,
    _AUDIT + "ListDecisions": _AUDITORS,
}

CALLERS: Final = frozenset().union(*ALLOWED.values())

METRICS_READERS: Final = frozenset({"probe"})  # of VIDEO_QUEUE_METRICS
