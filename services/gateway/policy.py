"""Who may do what: names are the paths of SPIFFE IDs in our own trust domain.

HEAD is judged as GET. A route that is not in the table is refused. For a path that does not exist,
a peer of the table gets 404, and any other peer 403.
"""

from collections.abc import Mapping
from typing import Final

_READERS: Final = frozenset({"client/uploader", "client/viewer", "console"})
_WRITERS: Final = frozenset({"client/uploader", "console"})
_AUDITORS: Final = frozenset({"probe", "console"})

ALLOWED: Final[Mapping[str, frozenset[str]]] = {
    "GET /videos": _READERS,
    "GET /videos/{id}": _READERS,
    "GET /videos/{id}/events": _READERS,
    "GET /videos/{id}/source": _READERS,
    "GET /videos/{id}/renditions/{name}": _READERS,
    "GET /videos/{id}/thumbnail": _READERS,
    "GET /openapi.json": _READERS,
    "POST /videos": _WRITERS,
    "DELETE /videos/{id}": _WRITERS,  # their own: the queue looks at the owner
    "GET /healthz": _READERS | {"probe", "gateway"},  # its container asks it with its own key
    "GET /audit/refusals": _AUDITORS,
    "GET /audit/policy": _AUDITORS,
}

METRICS_READERS: Final = frozenset({"probe"})  # of GATEWAY_METRICS
