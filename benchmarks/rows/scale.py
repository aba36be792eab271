"""How much each row does: for figures, or just to see that it still runs."""

from dataclasses import dataclass
from typing import Final

from benchmarks.rounds import Rounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The sizes of one run of the benchmarks. With `is_smoke` rows share their servers."""

    is_smoke: bool = False
    rounds: Rounds
    requests: int
    warm_up_requests: int
    connections: int
    open_connections: int
    sidecar_requests: int
    sidecar_bytes: int
    growth: tuple[int, ...]
    flood_seconds: float
    bulk_bytes: int
    warm_up_bytes: int
    few_videos: int
    some_videos: int
    many_videos: int
    store_calls: int


FULL: Final = Scale(
    rounds=Rounds(5),
    requests=2000,
    warm_up_requests=500,
    connections=200,
    open_connections=400,
    sidecar_requests=1000,
    sidecar_bytes=32 * 1024**2,
    growth=(1, 10, 100, 1000),
    flood_seconds=2,
    bulk_bytes=128 * 1024**2,
    warm_up_bytes=16 * 1024**2,
    few_videos=1_000,
    some_videos=10_000,
    many_videos=1_000_000,
    store_calls=200,
)
SMOKE: Final = Scale(
    is_smoke=True,
    rounds=Rounds(1, warm_ups=0),
    requests=64,
    warm_up_requests=0,
    connections=8,
    open_connections=8,
    sidecar_requests=64,
    sidecar_bytes=1024**2,
    growth=(1, 2, 4, 8),
    flood_seconds=0.2,
    bulk_bytes=1024**2,
    warm_up_bytes=1024,
    few_videos=300,
    some_videos=300,
    many_videos=600,
    store_calls=4,
)
