"""Lives and intervals, as people write and read them: 90s, 30m, 24h, 30d."""

import datetime as dt
import re
from typing import Final

UNITS: Final = {
    "d": dt.timedelta(days=1),
    "h": dt.timedelta(hours=1),
    "m": dt.timedelta(minutes=1),
    "s": dt.timedelta(seconds=1),
}
_DURATION: Final = re.compile(r"([0-9]{1,7})([smhd])")


def parse_duration(text: str) -> dt.timedelta:
    """Read a whole number with its unit. Raises `ValueError`."""
    match = _DURATION.fullmatch(text)
    if not match:
        raise ValueError(f"{text} is not a number with a unit, such as 90s, 30m, 24h or 30d")
    return int(match[1]) * UNITS[match[2]]


def whole(duration: dt.timedelta) -> str:
    """Write a duration of whole seconds, as `parse_duration` reads it: 1 day is 24h."""
    unit = next(name for name in "hms" if duration % UNITS[name] == dt.timedelta(0))
    return f"{duration // UNITS[unit]}{unit}"


def rough(duration: dt.timedelta) -> str:
    """Write a duration in the unit that fits, rounded down: 29.9d, 23.9h, 59m, 59s."""
    name, unit = next(((n, u) for n, u in UNITS.items() if duration >= u), ("s", UNITS["s"]))
    tenths = duration * 10 // unit
    return f"{duration // unit}{name}" if name in "sm" else f"{tenths / 10:.1f}{name}"
