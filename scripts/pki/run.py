"""A run of one command: its folder, which it holds alone, and its options."""

import contextlib
import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pki.authority import LEAF_LIFE, KeyType
from pki.identities import Identities, Identity
from pki.layout import CA_FOLDER, IMPOSTORS_FOLDER, OFFLINE_FOLDER, published
from pki.ownership import Ownership
from pki.store import Owner, locked, remove_unfinished

UNITS: Final = {
    "d": dt.timedelta(days=1),
    "h": dt.timedelta(hours=1),
    "m": dt.timedelta(minutes=1),
    "s": dt.timedelta(seconds=1),
}

# A service reads its folder every 5 seconds; after twice that it has loaded what changed there.
LOAD_TIME: Final = dt.timedelta(seconds=10)


def as_option(duration: dt.timedelta) -> str:
    """Write a duration of whole seconds as the command line takes it: 1 day is 24h."""
    unit = next(name for name in "hms" if duration % UNITS[name] == dt.timedelta(0))
    return f"{duration // UNITS[unit]}{unit}"


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line can ask for; the defaults are those of its options.

    `load_time` is how long it takes until every service has loaded what changed in its folder.
    """

    identities: Identities
    leaf_life: dt.timedelta = LEAF_LIFE
    key_type: KeyType = "ec"
    force: bool = False
    again: bool = False
    new_issuing_ca: bool = False
    pkcs12: Identity | None = None
    service_owner: int | None = None
    load_time: dt.timedelta = LOAD_TIME
    impostors: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """The folder that holds everything, the options, and who owns what is written there."""

    folder: Path
    options: Options
    ownership: Ownership | None = None

    def owner_of(self, identity: Identity | None) -> Owner | None:
        """Return the owner of a file of `identity` (None: of the CA); None: the current user."""
        return self.ownership.of(identity) if self.ownership else None


@contextlib.contextmanager
def exclusive_run(
    folder: Path, options: Options, on_wait: Callable[[], object] = lambda: None
) -> Iterator[Run]:
    """Lock `folder`, and remove the unfinished files of a run that was killed.

    `on_wait` is called if another run is at work, before waiting for its end. Raises `PkiError`,
    and `OSError` if the folder does not exist or cannot be written.
    """
    ownership = None
    if options.service_owner is not None:
        ownership = Ownership.under(folder, options.service_owner)
    with locked(folder, on_wait):
        names = (CA_FOLDER, OFFLINE_FOLDER, IMPOSTORS_FOLDER)
        homes = [folder / identity.name for identity in options.identities]
        copies = {published(folder, identity).parent for identity in options.identities}
        for path in (folder, *(folder / name for name in names), *homes, *copies):
            remove_unfinished(path)
        yield Run(folder, options, ownership)
