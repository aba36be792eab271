"""Prints what /proc says of the rights of the processes here, as JSON: a list of {field: value}.

Health checks are left out: the engine starts them as it has started this program, beside process 1,
and until they have become what they will be, they are still the engine's own.
"""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

OURS = {"1", str(os.getpid())}


def processes() -> Iterator[dict[str, list[str]]]:
    """Yield process 1 and all that it has started, and this one."""
    for path in Path("/proc").glob("[0-9]*/status"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            lines = (line.partition(":") for line in path.read_text().splitlines())
            process = {field: value.split() for field, _, value in lines}
            if process["PPid"] != ["0"] or process["Pid"][0] in OURS:
                yield process


print(json.dumps(list(processes())))
