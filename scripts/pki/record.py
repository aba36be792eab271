"""The record of the leaves in force: to revoke an identity is to know its serial numbers."""

import datetime as dt
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

from cryptography import x509

from pki.authority import BACKDATE
from pki.crl import Revoked
from pki.errors import RecordFull, RecordUnusable
from pki.layout import CA_FOLDER, ISSUED, REVOKED
from pki.store import Owner, write_atomically

# A day's leaves are a dozen; more than this is a loop that issues and issues. If all of them were
# revoked, the list would still be short enough for the services, which read 64 KiB of a file.
MOST_LEAVES: Final = 500


@dataclass(frozen=True, slots=True)
class Leaf:
    """One line of the record; `generation` is that of the CA, `not_after` is aware."""

    serial: int
    identity: str
    generation: int
    not_after: dt.datetime
    revoked: Revoked | None = None

    @classmethod
    def of(cls, certificate: x509.Certificate, identity: str, generation: int) -> Self:
        """Take the line from the certificate."""
        serial, not_after = certificate.serial_number, certificate.not_valid_after_utc
        return cls(serial, identity, generation, not_after)

    @property
    def name(self) -> str:
        """The serial number as the services log it and `openssl x509 -serial` shows it."""
        return f"{self.serial:x}"


@dataclass(frozen=True, slots=True)
class Record:
    """What was issued and has not expired, the oldest first."""

    leaves: tuple[Leaf, ...] = ()

    def in_force(self, now: dt.datetime) -> Self:
        """Leave out what has expired, by clocks too that are a little behind ours."""
        kept = tuple(leaf for leaf in self.leaves if leaf.not_after + BACKDATE > now)
        return replace(self, leaves=kept)

    @property
    def has_room(self) -> bool:
        """Whether leaves may be issued that nobody needs: half is kept for those that are due."""
        return len(self.leaves) <= MOST_LEAVES // 2

    def with_leaves(self, leaves: Iterable[Leaf]) -> Self:
        """Add those that are not in it yet. Raises `RecordFull`."""
        known = {leaf.serial for leaf in self.leaves}
        new = tuple(leaf for leaf in leaves if leaf.serial not in known)
        if new and len(self.leaves) + len(new) > MOST_LEAVES:
            raise RecordFull
        return replace(self, leaves=self.leaves + new)

    def with_revoked(self, revoked: Iterable[Revoked]) -> Self:
        """Mark those leaves as revoked."""
        marks = {each.serial: each for each in revoked}
        leaves = (
            replace(leaf, revoked=marks.get(leaf.serial, leaf.revoked)) for leaf in self.leaves
        )
        return replace(self, leaves=tuple(leaves))

    def revoked_of(self, generation: int) -> list[Revoked]:
        """Return what the revocation list of that CA has to hold."""
        leaves = (leaf for leaf in self.leaves if leaf.generation == generation)
        return [leaf.revoked for leaf in leaves if leaf.revoked]


def read_record(folder: Path) -> Record:
    """Read the record below `folder`; empty if there is none yet. Raises `RecordUnusable`."""
    path = folder / CA_FOLDER / ISSUED.name
    try:
        return Record(tuple(map(_leaf, json.loads(path.read_bytes())["issued"])))
    except FileNotFoundError:
        # It was written first, so it was there; who is revoked must not be forgotten with it.
        if (folder / CA_FOLDER / REVOKED.name).exists():
            raise RecordUnusable(_lost(path, "missing")) from None
        return Record()
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RecordUnusable(_lost(path, "damaged")) from error


def write_record(folder: Path, record: Record, *, owner: Owner | None) -> None:
    """Write the record below `folder`."""
    text = json.dumps({"issued": [_line(leaf) for leaf in record.leaves]}, indent=1)
    path = folder / CA_FOLDER / ISSUED.name
    write_atomically(path, text.encode() + b"\n", ISSUED.mode, owner)


def _lost(path: Path, how: str) -> str:
    return (
        f"{path} is {how}, and it says which leaves are revoked. Put it back; or, if nothing was "
        f"revoked that has not expired, remove it and {REVOKED.name} beside it: a new record is "
        "begun with the leaves that lie in the folders."
    )


def _line(leaf: Leaf) -> dict[str, Any]:
    line: dict[str, Any] = {
        "serial": leaf.name,
        "identity": leaf.identity,
        "generation": leaf.generation,
        "not_after": leaf.not_after.isoformat(),
    }
    if leaf.revoked:
        line["revoked_since"] = leaf.revoked.since.isoformat()
        line["reason"] = leaf.revoked.reason.value if leaf.revoked.reason else None
    return line


def _leaf(line: dict[str, Any]) -> Leaf:
    serial = int(line["serial"], 16)
    revoked = None
    if since := line.get("revoked_since"):
        reason = line["reason"]
        revoked = Revoked(serial, _time(since), x509.ReasonFlags(reason) if reason else None)
    return Leaf(
        serial, str(line["identity"]), int(line["generation"]), _time(line["not_after"]), revoked
    )


def _time(text: str) -> dt.datetime:
    time = dt.datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return time
