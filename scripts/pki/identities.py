"""Who there is: the identities of a system, their names and what their certificates are for.

They are data, in a file such as identities.toml at the root of the repository:

    trust_domain = "example.test"

    [[identity]]
    name = "greeter"
    use = ["server"]
    dns_names = ["greeter"]
    purpose = "says hello"
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any, Final, Self

from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from pki.errors import IdentitiesUnusable

SERVER: Final = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT: Final = ExtendedKeyUsageOID.CLIENT_AUTH

_USES: Final = {"server": SERVER, "client": CLIENT}
_LOCALHOST: Final = "localhost"
# Folders of the CA, beside those of the identities.
_RESERVED: Final = frozenset({"ca", "offline-root", "impostors", "published"})

_MOST_BYTES: Final = 64 * 1024
_MOST_IDENTITIES: Final = 100
_MOST_DNS_NAMES: Final = 20  # of one identity
_LONGEST_PURPOSE: Final = 200
# A certificate's organization and common name take 64 characters (RFC 5280, appendix A.1), and a
# CA's common name is the trust domain and what kind of CA it is.
_LONGEST_TRUST_DOMAIN: Final = 45
_LONGEST_NAME: Final = 64

_TRUST_DOMAIN: Final = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?")
# Segments of a SPIFFE ID's path, and of a folder's. Without dots: OpenSSL takes a common name with
# a dot for a host name, and holds it against the name constraints.
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]*(/[a-z0-9][a-z0-9_-]*)*")
_DNS_LABEL: Final = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_DNS_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z){_DNS_LABEL}(\.{_DNS_LABEL})*")


@dataclass(frozen=True, slots=True)
class Identity:
    """One identity: `name` is the path of its SPIFFE ID, and its folder under certs/.

    `dns_names` are the host names that clients dial, so only a server has any. The files of an
    identity belong to a service, or to a person at the host.
    """

    trust_domain: str
    name: str
    ekus: tuple[ObjectIdentifier, ...]
    purpose: str
    dns_names: tuple[str, ...] = ()
    is_person: bool = False

    @property
    def uri(self) -> str:
        """The SPIFFE ID, by which every peer knows this identity."""
        return f"spiffe://{self.trust_domain}/{self.name}"


@dataclass(frozen=True, slots=True)
class Identities:
    """All identities of a trust domain, in the order of their file."""

    trust_domain: str
    rows: tuple[Identity, ...]

    def __iter__(self) -> Iterator[Identity]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def dns_names(self) -> tuple[str, ...]:
        """Every host name that a server has: what the issuing CA has to be allowed to sign."""
        return tuple(sorted({name for identity in self for name in identity.dns_names}))

    @property
    def persons(self) -> tuple[Identity, ...]:
        """The identities that people use, with curl or a browser."""
        return tuple(identity for identity in self if identity.is_person)

    def named(self, name: str) -> Identity:
        """Return the identity of that name; `KeyError` if there is none."""
        return {identity.name: identity for identity in self}[name]

    def with_localhost(self) -> Self:
        """Give every server the name `localhost` too, as services need it that share a machine."""
        rows = (
            replace(identity, dns_names=(*identity.dns_names, _LOCALHOST))
            if SERVER in identity.ekus and _LOCALHOST not in identity.dns_names
            else identity
            for identity in self
        )
        return replace(self, rows=tuple(rows))


def load_identities(path: Path) -> Identities:
    """Read the identities from a TOML file. Raises `IdentitiesUnusable`."""
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise _InvalidError(f"it is larger than {_MOST_BYTES // 1024} KiB")
        return _identities(tomllib.loads(content.decode()))
    except OSError as error:
        raise IdentitiesUnusable(
            f"{path} cannot be read ({error.strerror}). It says which certificates to make; "
            "give another file with `--identities`."
        ) from error
    except (ValueError, RecursionError) as error:
        raise IdentitiesUnusable(f"{path} cannot be used: {error}. Correct it.") from error


class _InvalidError(ValueError):
    """What is wrong with the content of the file."""


def _identities(table: Mapping[str, Any]) -> Identities:
    _check_keys(table, required={"trust_domain", "identity"})
    trust_domain, rows = table["trust_domain"], table["identity"]
    if (
        not isinstance(trust_domain, str)
        or not _TRUST_DOMAIN.fullmatch(trust_domain)
        or len(trust_domain) > _LONGEST_TRUST_DOMAIN
    ):
        raise _InvalidError(
            f"trust_domain is {_shown(trust_domain)}; it must be a name such as example.test, of "
            f"lower-case letters, digits, dots, hyphens and underscores, at most "
            f"{_LONGEST_TRUST_DOMAIN} characters"
        )
    if not isinstance(rows, list) or not 1 <= len(rows) <= _MOST_IDENTITIES:
        raise _InvalidError(f"it must have 1 to {_MOST_IDENTITIES} tables [[identity]]")
    identities = []
    for number, row in enumerate(rows, 1):
        try:
            identities.append(_identity(trust_domain, row))
        except _InvalidError as error:
            raise _InvalidError(f"[[identity]] number {number}: {error}") from error
    for one, other in combinations(identities, 2):
        if one.name == other.name:
            raise _InvalidError(f"two identities have the name {_shown(one.name)}")
        for inner, outer in ((one, other), (other, one)):
            if inner.name.startswith(f"{outer.name}/"):
                raise _InvalidError(
                    f"{inner.name} would lie in the folder of {outer.name}; rename one of them"
                )
    return Identities(trust_domain, tuple(identities))


def _identity(trust_domain: str, row: object) -> Identity:
    if not isinstance(row, dict):
        raise _InvalidError(f"it is {_shown(row)}, and must be a table")
    _check_keys(row, required={"name", "use", "purpose"}, optional={"dns_names", "person"})
    name, purpose, person = row["name"], row["purpose"], row.get("person", False)
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise _InvalidError(
            f"name is {_shown(name)}; it must be a name such as gateway or client/viewer, of "
            "lower-case letters, digits, hyphens and underscores, at most "
            f"{_LONGEST_NAME} characters"
        )
    if name.partition("/")[0] in _RESERVED:
        raise _InvalidError(f"the folder {name} is the CA's; choose another name")
    if not isinstance(purpose, str) or not purpose.isprintable() or not purpose:
        raise _InvalidError(f"purpose is {_shown(purpose)}; it must be one line of text")
    if len(purpose) > _LONGEST_PURPOSE:
        raise _InvalidError(f"purpose is longer than {_LONGEST_PURPOSE} characters")
    if not isinstance(person, bool):
        raise _InvalidError(f"person is {_shown(person)}; it must be true or false")
    ekus = tuple(_USES[use] for use in _strings(row, "use", most=len(_USES), allowed=_USES))
    dns_names = _strings(row, "dns_names", most=_MOST_DNS_NAMES)
    for dns_name in dns_names:
        is_address = dns_name.rpartition(".")[2].isdecimal()
        if not _DNS_NAME.fullmatch(dns_name) or is_address:
            raise _InvalidError(
                f"{_shown(dns_name)} in dns_names is not a host name; it must have lower-case "
                "letters, digits, hyphens and dots, and be no IP address"
            )
    if SERVER in ekus and not dns_names:
        raise _InvalidError(f"{name} is a server and has no dns_names, so no client can dial it")
    if SERVER not in ekus and dns_names:
        raise _InvalidError(f"{name} has dns_names and is no server; only servers are dialled")
    return Identity(trust_domain, name, ekus, purpose, dns_names, person)


def _strings(
    row: Mapping[str, Any], key: str, *, most: int, allowed: Mapping[str, object] | None = None
) -> tuple[str, ...]:
    """Return a list of strings, each given once; only `use` must not be empty."""
    values = row.get(key, [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise _InvalidError(f"{key} is {_shown(values)}; it must be a list of strings")
    if allowed is not None and (not values or not set(values) <= set(allowed)):
        choices = " or ".join(allowed)
        raise _InvalidError(f"{key} is {_shown(values)}; it must be a list of {choices}, or both")
    if len(values) > most or len(set(values)) < len(values):
        raise _InvalidError(f"{key} must hold at most {most} names, and none of them twice")
    return tuple(values)


def _check_keys(
    table: Mapping[str, Any],
    *,
    required: set[str],
    optional: frozenset[str] | set[str] = frozenset(),
) -> None:
    if missing := sorted(required - table.keys()):
        raise _InvalidError(f"{missing[0]} is missing")
    if unknown := sorted(table.keys() - required - optional):
        known = ", ".join(sorted(required | optional))
        raise _InvalidError(f"it holds {_shown(unknown[0])}, which means nothing; known: {known}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
