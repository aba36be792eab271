"""Rows in files that are yours: identities.toml, docker-compose.yml, the policy of who is called.

Each function takes the text of a file and returns it with, or without, the row. What is put in and
taken out again leaves no trace.
"""

import re
import tomllib
from collections.abc import Sequence
from typing import Final

from scaffold.errors import ScaffoldError
from scaffold.names import Kind, Service

IDENTITIES: Final = "identities.toml"
COMPOSE: Final = "docker-compose.yml"

_MADE: Final = re.compile(
    r"^  # scripts/new_service (?P<name>\S+) --kind (?P<kind>grpc|http|worker)"
    r"(?: --calls (?P<calls>\S+))?$",
    re.MULTILINE,
)
_PORT: Final = re.compile(r":-(\d+)\}:\d+\"")
_FIRST_PORT: Final = 8443
_EMPTY: Final = "CALLERS: Final = frozenset[str]()\n"
_CALLERS: Final = re.compile(
    r"^CALLERS: Final = frozenset\(\n    \[\n(?P<rows>(?:        .*\n)*)    \]\n\)\n", re.MULTILINE
)


def services_made(compose: str) -> dict[str, Service]:
    """Return the services that new_service has made, by name."""
    found = [match.groupdict(default="") for match in _MADE.finditer(compose)]
    return {
        row["name"]: Service(name=row["name"], kind=Kind(row["kind"]), calls=row["calls"])
        for row in found
    }


def compose_services(compose: str) -> set[str]:
    """Return the names of all services in the file."""
    begin, end = _services(compose)
    return set(re.findall(r"^  ([\w.-]+):", compose[begin:end], re.MULTILINE))


def add_to_compose(compose: str, entry: str) -> str:
    """Return the file with the entry as the last of its services."""
    _, end = _services(compose)
    return f"{compose[:end].rstrip()}\n\n{entry.rstrip()}\n\n{compose[end:]}"


def remove_from_compose(compose: str, service: Service) -> str:
    """Return the file without the entry, from the comment that it begins with to the next entry."""
    begin, end = _services(compose)
    mark = f"  # {service.command}\n"
    start = compose.index(mark, begin)
    following = re.compile(r"^  [^\s]", re.MULTILINE)
    own = following.search(compose, start + len(mark))  # its name
    after = following.search(compose, own.end(), end) if own else None
    return compose[:start] + compose[after.start() if after else end :]


def _services(compose: str) -> tuple[int, int]:
    """Return where the services begin, and where the next part of the file does."""
    begin = re.search(r"^services:.*\n", compose, re.MULTILINE)
    if begin is None:
        raise ScaffoldError(f"{COMPOSE} has no line `services:`, so there is no place for one.")
    end = re.compile(r"^[^\s#]", re.MULTILINE).search(compose, begin.end())
    return begin.end(), end.start() if end else len(compose)


def free_port(compose: str) -> int:
    """Return the first port after those that are published."""
    return max((int(port) + 1 for port in _PORT.findall(compose)), default=_FIRST_PORT)


def identity_rows(identities: str) -> list[dict[str, object]]:
    """Return the rows of the file. Raises `ScaffoldError`."""
    try:
        rows = tomllib.loads(identities)["identity"]
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise ScaffoldError(f"{IDENTITIES} cannot be read ({error}): correct it.") from error
    return list(rows)


def add_identity(
    identities: str, name: str, uses: Sequence[str], hosts: Sequence[str], purpose: str
) -> str:
    """Return the file with a row for a service."""
    if "[[identity]]" not in identities:
        raise ScaffoldError(
            f"{IDENTITIES} has no tables [[identity]]: write its rows so, and try again."
        )
    row = f'[[identity]]\nname = "{name}"\nuse = {_list(uses)}\n'
    row += f"dns_names = {_list(hosts)}\n" if hosts else ""
    return f'{identities.rstrip()}\n\n{row}purpose = "{purpose}"\n'


def remove_identity(identities: str, name: str) -> str:
    """Return the file without the row of that name, if it has one."""
    head, *rows = re.split(r"^(?=\[\[identity\]\])", identities, flags=re.MULTILINE)
    kept = [
        row for row in rows if not re.search(rf'^name = "{re.escape(name)}"$', row, re.MULTILINE)
    ]
    return f"{''.join([head, *kept]).rstrip()}\n"


def _list(values: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{value}"' for value in values) + "]"


def callers_in(policy: str) -> list[str] | None:
    """Return the rows of CALLERS in a policy; None if it has none that new_service could write."""
    if _EMPTY in policy:
        return []
    match = _CALLERS.search(policy)
    return match["rows"].splitlines() if match else None


def with_caller(policy: str, name: str) -> str:
    """Return the policy with one caller more."""
    rows = callers_in(policy) or []
    return _with_rows(policy, [*rows, f'        "{name}",'])


def without_caller(policy: str, name: str) -> str:
    """Return the policy with one caller less."""
    rows = callers_in(policy) or []
    return _with_rows(policy, [row for row in rows if not row.startswith(f'        "{name}",')])


def without_callers(policy: str) -> str:
    """Return the policy with no caller at all."""
    return _with_rows(policy, [])


def _with_rows(policy: str, rows: list[str]) -> str:
    lines = "".join(f"{row}\n" for row in rows)
    table = f"CALLERS: Final = frozenset(\n    [\n{lines}    ]\n)\n" if rows else _EMPTY
    if _EMPTY in policy:
        return policy.replace(_EMPTY, table)
    return _CALLERS.sub(lambda _: table, policy)
