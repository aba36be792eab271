"""Where a run is at work, alone, and with which options."""

import contextlib
import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pki.authority import LEAF_LIFE, KeyType
from pki.identities import IDENTITIES, Identity
from pki.layout import CA_FOLDER, OFFLINE_FOLDER
from pki.ownership import Ownership
from pki.store import Owner, locked, remove_unfinished

UNITS: Final = {
    "d": dt.timedelta(days=1),
    "h": dt.timedelta(hours=1),
    "m": dt.timedelta(minutes=1),
    "s": dt.timedelta(seconds=1),
}


def as_option(duration: dt.timedelta) -> str:
    """Write a duration of whole seconds as the command line takes it: 1 day is 24h."""
    unit = next(name for name in "hms" if duration % UNITS[name] == dt.timedelta(0))
    return f"{duration // UNITS[unit]}{unit}"


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line can ask for; the defaults are those of its options."""

    leaf_life: dt.timedelta = LEAF_LIFE
    key_type: KeyType = "ec"
    force: bool = False
    again: bool = False
    pkcs12: Identity | None = None
    service_owner: int | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """The folder with everything in it, and who shall own what is written there."""

    folder: Path
    options: Options
    ownership: Ownership | None = None

    def owner_of(self, identity: Identity | None) -> Owner | None:
        """Return who shall own a file of `identity` (None: of the CA); None: who runs this."""
        return self.ownership.of(identity) if self.ownership else None


@contextlib.contextmanager
def exclusive_run(
    folder: Path, options: Options, on_wait: Callable[[], object] = lambda: None
) -> Iterator[Run]:
    """Hold `folder` alone, without what a run that was killed has left there.

    `on_wait` is called if another run is at work, before waiting for its end. Raises `PkiError`,
    and `OSError` if the folder does not exist or cannot be written.
    """
    ownership = None
    if options.service_owner is not None:
        ownership = Ownership.under(folder, options.service_owner)
    with locked(folder, on_wait):
        names = (CA_FOLDER, OFFLINE_FOLDER, *(identity.name for identity in IDENTITIES))
        for path in (folder, *(folder / name for name in names)):
            remove_unfinished(path)
        yield Run(folder, options, ownership)
