"""How far a rollover of the CA has come, and so who signs and who is trusted."""

import datetime as dt
import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Self

from cryptography import x509

from pki.authority import Authority
from pki.ca_folder import load_authorities
from pki.errors import AuthorityUnusable
from pki.layout import CA_FOLDER, ROLLOVER
from pki.pem import certificate_pem
from pki.signing import is_issued_by
from pki.store import Owner, write_atomically


class Stage(StrEnum):
    """The stages of a rollover; each is complete before the next begins."""

    TRUST = "trust"
    ISSUE = "issue"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Rollover:
    """The stage that was last asked for, and since when (aware) every folder is as it wants it."""

    stage: Stage
    completed: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Authorities:
    """The CAs that there are, the oldest first.

    There is one, but while a new issuing CA takes over from one of the same root, and while a new
    root takes over from an old one.
    """

    present: tuple[Authority, ...]
    rollover: Rollover | None

    @classmethod
    def load(cls, folder: Path, *, now: dt.datetime) -> Self | None:
        """Read them below `folder`; None if there is none yet. Raises `AuthorityUnusable`."""
        present = tuple(load_authorities(folder, now=now))
        if not present:
            return None
        if len({authority.root for authority in present}) == 1:
            return cls(present, None)
        # The new root is there before the file that says so.
        return cls(present, read_rollover(folder) or Rollover(Stage.TRUST))

    @property
    def issuing(self) -> Authority:
        """The one that signs leaves: the newest of the root whose turn it is."""
        return self.issuers[-1]

    @property
    def issuers(self) -> tuple[Authority, ...]:
        """The ones whose leaves stay in use until they are due for renewal."""
        is_old = self.rollover is not None and self.rollover.stage is Stage.TRUST
        return self._of(self.roots[0 if is_old else -1])

    @property
    def trusted(self) -> tuple[Authority, ...]:
        """The ones whose leaves peers accept."""
        is_over = self.rollover is not None and self.rollover.stage is Stage.DROP
        return self._of(self.roots[-1]) if is_over else self.present

    @property
    def roots(self) -> tuple[x509.Certificate, ...]:
        """The roots, the oldest first."""
        return tuple(dict.fromkeys(authority.root for authority in self.present))

    @property
    def ca_pem(self) -> bytes:
        """The roots that everybody trusts."""
        roots = dict.fromkeys(authority.root for authority in self.trusted)
        return b"".join(map(certificate_pem, roots))

    @property
    def next_generation(self) -> int:
        """The number of the next CA."""
        return self.present[-1].generation + 1

    def without(self, gone: Collection[Authority]) -> Self:
        """Leave out CAs that are not needed any longer."""
        return replace(self, present=tuple(each for each in self.present if each not in gone))

    def issuer_of(self, leaf: x509.Certificate) -> Authority | None:
        """Return the one that signed `leaf`."""
        found = (each for each in self.present if is_issued_by(leaf, each.issuing.certificate))
        return next(found, None)

    def _of(self, root: x509.Certificate) -> tuple[Authority, ...]:
        return tuple(authority for authority in self.present if authority.root == root)


def read_rollover(folder: Path) -> Rollover | None:
    """Read the state below `folder`; None if there is none. Raises `AuthorityUnusable`."""
    path = folder / CA_FOLDER / ROLLOVER.name
    try:
        state = json.loads(path.read_bytes())
        completed = state.get("completed")
        return Rollover(
            Stage(state["stage"]),
            dt.datetime.fromisoformat(completed).astimezone(dt.UTC) if completed else None,
        )
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise AuthorityUnusable(
            f'{path} is damaged. Write {{"stage": "trust"}} into it, or "issue", or "drop": '
            "the stage that was last asked for."
        ) from error


def write_rollover(folder: Path, rollover: Rollover, *, owner: Owner | None) -> None:
    """Write the state below `folder`."""
    completed = rollover.completed.isoformat() if rollover.completed else None
    text = json.dumps({"stage": rollover.stage, "completed": completed})
    path = folder / CA_FOLDER / ROLLOVER.name
    write_atomically(path, text.encode() + b"\n", ROLLOVER.mode, owner)


def end_rollover(folder: Path) -> None:
    """Remove the state below `folder`, if there is one."""
    (folder / CA_FOLDER / ROLLOVER.name).unlink(missing_ok=True)
