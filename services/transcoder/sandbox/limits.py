"""What one video may cost."""

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds for one video. `memory_bytes` has to grow with `max_pixels` and `threads`."""

    # Of one picture as it is stored: up to 4K in either of its two meanings, so no 8K.
    max_pixels: int = 4096 * 2304
    max_seconds: float = 4 * 3600
    # Of all threads together.
    cpu_seconds: int = 12 * 3600
    # Of the heap and all stacks (RLIMIT_DATA).
    memory_bytes: int = 2 * 1024**3
    # Of each file that is made.
    output_bytes: int = 8 * 1024**3
    open_files: int = 64
    # Between two steps of progress, of which there are a thousand.
    stall_seconds: float = 300
    # Of the decoder and of each encoder: every one of them holds some pictures in memory, so that
    # a machine with many cores must not take as many as it could.
    threads: int = min(4, os.cpu_count() or 1)
