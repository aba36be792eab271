"""Who owns which file when root makes the certificates for others (docker compose does).

The services' user owns the files that services must read. Everything else (the CA, the client
certificates, all folders) belongs to the owner of the clone, who can use curl and delete all of it.
"""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pki.errors import FolderUnusable
from pki.identities import Identity
from pki.layout import entries
from pki.store import Owner


@dataclass(frozen=True, slots=True)
class Ownership:
    """The user that services run as, and the owner of the folder that holds everything."""

    service: Owner
    host: Owner

    @classmethod
    def under(cls, folder: Path, service_uid: int) -> Self:
        """Take the host's user from `folder`, which must exist. Raises `FolderUnusable`."""
        if os.geteuid() != 0:
            raise FolderUnusable("Only root can give files away: leave `--service-owner` out.")
        status = folder.stat()
        return cls(Owner(service_uid, service_uid), Owner(status.st_uid, status.st_gid))

    def of(self, identity: Identity | None) -> Owner:
        """Return who owns a file of `identity`; None: a folder, or a file of the CA."""
        return self.service if identity and not identity.is_person else self.host


def fix_owners_and_modes(
    folder: Path, identities: Iterable[Identity], ownership: Ownership | None
) -> int:
    """Give every path its mode and, with `ownership`, its owner; return how many were wrong.

    Another user's file is left alone: only its owner or root may change it.
    """
    repaired = 0
    for entry in entries(folder, identities):
        try:
            status = entry.path.lstat()
        except FileNotFoundError:
            continue
        if stat.S_ISLNK(status.st_mode):
            continue
        wrong_mode = stat.S_IMODE(status.st_mode) != entry.mode
        if wrong_mode and os.geteuid() in {0, status.st_uid}:
            entry.path.chmod(entry.mode)
            repaired += 1
        if ownership is None:
            continue
        owner = ownership.of(entry.identity)
        if (status.st_uid, status.st_gid) != (owner.uid, owner.gid):
            os.chown(entry.path, owner.uid, owner.gid, follow_symlinks=False)
            repaired += 1
    return repaired
