"""Who an intruder can be: each differs from the console in one fact, and has to be refused.

The certificates are made by `bootstrap_certs.py --impostors`, and lie in a folder of their own.
Nothing here can be done with them: scripts/pki/impostors.py says why.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mtls import Identity

from cryptography import x509

from console.attacks import Attacker
from console.catalogue import entries
from console.errors import ConsoleError

_MAX_BYTES: Final = 64 * 1024
_KEY_ENDS: Final = b"-----END PRIVATE KEY-----\n"


class NoImpostors(ConsoleError):
    """There are no impostors' certificates here."""

    fix = (
        "Make them: docker compose run --rm certs, or scripts/bootstrap_certs.py --impostors; and "
        "set CONSOLE_IMPOSTORS."
    )


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of client. `entry` is the title of its entry in what-can-go-wrong.md.

    `shows` is the file with its certificate, "" for none, or `console` for our own.
    """

    title: str
    differs: str
    entry: str = ""
    shows: str = ""
    speaks_tls: bool = True
    is_old: bool = False
    fix: str = ""  # where the entry's is about another case

    def as_json(self) -> dict[str, Any]:
        """Return what the page shows of it."""
        entry = entries().get(self.entry)
        return {
            "title": self.title,
            "differs": self.differs,
            "honest": not self.entry,
            "handshakes": self.speaks_tls and not self.is_old,
            "fix": self.fix or (entry.fix if entry else ""),
            "entry": entry.as_json() if entry else None,
        }


HONEST: Final = "console"
NOT_ALLOWED: Final = "not-allowed"

KINDS: Final[Mapping[str, Kind]] = {
    HONEST: Kind(
        "The console itself",
        "The honest twin: its own certificate. Every other row differs from it in one fact.",
        shows=HONEST,
    ),
    "no-certificate": Kind(
        "No certificate", "Shows none when the server asks for one.", "No certificate"
    ),
    "self-signed": Kind(
        "Self-signed",
        "Bears an honest name, and has signed it itself.",
        "A self-signed certificate",
        "self-signed",
    ),
    "another-ca": Kind(
        "A stranger's CA",
        "Issued by a CA of another system.",
        "Another CA, the same names",
        "another-ca",
    ),
    "same-names": Kind(
        "A CA of the same name",
        "Every name is right, the CA's too; the CA's key is another.",
        "Another CA, the same names",
        "same-names",
    ),
    "expired": Kind(
        "Expired",
        "Issued by our CA; it ended an hour before it was made.",
        "The client's certificate has expired",
        "expired",
    ),
    "not-yet-valid": Kind(
        "Not yet valid",
        "Issued by our CA; it begins when the others have ended.",
        "The client's certificate is not valid yet",
        "not-yet-valid",
    ),
    "server-only": Kind(
        "A server's certificate",
        "Issued by our CA, for serverAuth alone.",
        "A server's certificate, used by a client",
        "server-only",
    ),
    "any-purpose": Kind(
        "No purpose",
        "Issued by our CA, and does not say what it is for.",
        "A certificate that is good for anything",
        "any-purpose",
    ),
    "foreign-host": Kind(
        "A foreign host name",
        "Issued by our CA, with a host name that this CA may not sign.",
        "A name that the CA may not give",
        "foreign-host",
    ),
    "foreign-domain": Kind(
        "Another trust domain",
        "Issued by our CA, for a SPIFFE ID of another trust domain.",
        "A good certificate, and no right",
        "foreign-domain",
        fix="Have it issued for this trust domain: a policy speaks of its own trust domain alone.",
    ),
    "common-name": Kind(
        "Common name only",
        "Issued by our CA; an honest common name, and no subjectAltName.",
        "No SPIFFE ID",
        "common-name",
    ),
    "two-names": Kind(
        "Two SPIFFE IDs", "Issued by our CA, with two names.", "Two SPIFFE IDs", "two-names"
    ),
    "revoked": Kind(
        "Revoked",
        "Valid in everything, and on the revocation list.",
        "The certificate was revoked",
        "revoked",
    ),
    NOT_ALLOWED: Kind(
        "Valid, but not allowed",
        "Right in every respect; no policy names it.",
        "A good certificate, and no right",
        NOT_ALLOWED,
    ),
    "plaintext": Kind(
        "Plaintext", "Speaks without TLS to the same port.", "Plaintext", speaks_tls=False
    ),
    "old-tls": Kind(
        "TLS 1.2",
        "The console's own certificate, and TLS 1.2 at most.",
        "An old TLS version",
        HONEST,
        is_old=True,
    ),
}


def attacker(kind: Kind, folder: Path | None, own: Identity) -> Attacker:
    """Return what a client of this kind shows. Raises `NoImpostors`."""
    if not kind.shows:
        return Attacker(speaks_tls=kind.speaks_tls)
    if kind.shows == HONEST:
        return Attacker(own.chain_pem, own.key_pem, is_old=kind.is_old)
    if folder is None:
        raise NoImpostors
    path = folder / f"{kind.shows}.pem"
    try:
        with path.open("rb") as file:
            key, end, chain = file.read(_MAX_BYTES).partition(_KEY_ENDS)
        # gRPC's library aborts the process for a certificate that it cannot read.
        x509.load_pem_x509_certificates(chain)
    except (OSError, ValueError) as error:
        raise NoImpostors(f"{path.name} cannot be read: {error}", tried=str(path)) from error
    return Attacker(chain, key + end)
