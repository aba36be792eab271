"""Which files lie where under certs/, who may read each, and what each is for."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Final

from pki.identities import Identity

PUBLIC: Final = 0o644
SECRET: Final = 0o600


@dataclass(frozen=True, slots=True)
class File:
    """`holds` says what is in it, `belongs` where it may be copied to."""

    name: str
    mode: int
    holds: str
    belongs: str


CA_FOLDER: Final = "ca"
OFFLINE_FOLDER: Final = "offline-root"
# A copy of every certificate, and of no key: for the time line of the console.
PUBLISHED_FOLDER: Final = "published"
IMPOSTORS_FOLDER: Final = "impostors"

ROOT_CERTIFICATE: Final = File(
    "ca-certificate.crt", PUBLIC, "the root: whom to trust", "everybody; it is no secret"
)
ROOT_KEY: Final = File(
    "ca-private-key.pem", SECRET, "makes issuing CAs", "nobody; best moved to an offline medium"
)
ISSUING_CERTIFICATE: Final = File(
    "issuing-certificate.crt",
    PUBLIC,
    "the CA that signs the leaves",
    "everybody; it is part of every chain",
)
ISSUING_KEY: Final = File(
    "issuing-private-key.pem", SECRET, "signs leaves", "nobody; stays where certificates are made"
)
REVOKED: Final = File(
    "revoked.crl", PUBLIC, "which leaves are revoked", "everybody; it is no secret"
)
ISSUED: Final = File(
    "issued.json", PUBLIC, "the leaves that are in force", "nobody; revoking needs it"
)
ROLLOVER: Final = File("rollover.json", PUBLIC, "how far a rollover of the CA has come", "nobody")
# Of each CA, in ca/<generation>/ and offline-root/<generation>/.
CA_FILES: Final = (ROOT_CERTIFICATE, ISSUING_CERTIFICATE, ISSUING_KEY)
OFFLINE_FILES: Final = (ROOT_KEY,)
# Of all of them, in ca/.
COMMON_CA_FILES: Final = (REVOKED, ISSUED, ROLLOVER)

CHAIN: Final = File(
    "certificate.crt", PUBLIC, "leaf + issuing CA: who I am", "everybody; every peer is shown it"
)
PRIVATE_KEY: Final = File(
    "private-key.pem", SECRET, "proves that I am who I say", "this identity alone"
)
KEY_PAIR: Final = File(
    "key-pair.pem", SECRET, "key + chain in one file", "this identity alone; replaced in one step"
)
PKCS12: Final = File(
    "client.p12", SECRET, "key, chain and root, for a browser", "this person alone (--pkcs12)"
)
IDENTITY_FILES: Final = (ROOT_CERTIFICATE, REVOKED, CHAIN, PRIVATE_KEY, KEY_PAIR, PKCS12)


@dataclass(frozen=True, slots=True)
class Entry:
    """A path that this program makes; `identity` says whose file it is (None: folders, the CA)."""

    path: Path
    mode: int
    identity: Identity | None = None


def generations(folder: Path) -> list[int]:
    """Return the numbers of the CAs whose folders lie in `folder`, ca/ or offline-root/."""
    names = (path.name for path in folder.glob("[0-9]*"))
    return sorted(int(name) for name in names if name.isdecimal())


def entries(folder: Path, identities: Iterable[Identity]) -> Iterator[Entry]:
    """Yield every path that may exist below `folder`, a folder before its content."""
    for name, files in ((CA_FOLDER, CA_FILES), (OFFLINE_FOLDER, OFFLINE_FILES)):
        for generation in generations(folder / name):
            yield Entry(folder / name, 0o700)
            yield Entry(folder / name / str(generation), 0o700)
            for file in files:
                yield Entry(folder / name / str(generation) / file.name, file.mode)
    for file in COMMON_CA_FILES:
        yield Entry(folder / CA_FOLDER / file.name, file.mode)
    for identity in identities:
        # A service's user does not own its folder, so it enters with the right of the others.
        home = PurePath(identity.name)
        for path in (*home.parents[:-1], home):
            yield Entry(folder / path, 0o755)
        for file in IDENTITY_FILES:
            yield Entry(folder / home / file.name, file.mode, identity=identity)
        for path in home.parents:
            yield Entry(folder / PUBLISHED_FOLDER / path, 0o755)
        yield Entry(published(folder, identity), PUBLIC)


def published(folder: Path, identity: Identity) -> Path:
    """Return where the certificate of `identity` lies for everybody."""
    return folder / PUBLISHED_FOLDER / f"{identity.name}.crt"
