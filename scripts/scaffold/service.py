"""A service: everything that adding it changes, and everything that removing it takes away."""

import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from pki.errors import IdentitiesUnusable
from pki.identities import load_identities
from scaffold import shared_files
from scaffold.changes import Changes
from scaffold.errors import ScaffoldError
from scaffold.generated import compiled, formatted
from scaffold.names import (
    Kind,
    Service,
    check_hides_nothing,
    check_name,
    class_of,
    module_of,
    prefix_of,
)
from scaffold.shared_files import COMPOSE, IDENTITIES
from scaffold.templates import Values, render

_FRAME: Final = ("__init__.py", "__main__.py", "config.py", "Dockerfile", "README.md")
_FILES: Final = {
    Kind.GRPC: (*_FRAME, "policy.py", "server.py", "servicer.py"),
    Kind.HTTP: (*_FRAME, "policy.py", "server.py", "handlers.py"),
    Kind.WORKER: (*_FRAME, "worker.py"),
}
_EDIT_FIRST: Final = {
    Kind.GRPC: (
        "protos/{m}_api/v1/{m}.proto",
        "services/{m}/servicer.py",
        "services/{m}/policy.py",
    ),
    Kind.HTTP: ("services/{m}/handlers.py", "services/{m}/policy.py"),
    Kind.WORKER: ("services/{m}/worker.py",),
}
_PURPOSES: Final = {Kind.GRPC: "serves gRPC", Kind.HTTP: "serves HTTP", Kind.WORKER: "works"}
_RPC: Final = re.compile(
    r"^\s*rpc\s+(\w+)\s*\(\s*(\w+)\s*\)\s*returns\s*\(\s*\w+\s*\)", re.MULTILINE
)


def add(changes: Changes, service: Service, callers: Sequence[str] | None = None) -> None:
    """Plan a new service. If it is gRPC, `callers` may call it; by default a person may.

    Raises `ScaffoldError` if the name is taken, in whole or in part, or if `service.calls` names no
    service whose contract is known.
    """
    check_name(service.name)
    _check_is_new(changes, service)
    check_hides_nothing(service.name, changes.root)
    if service.kind is Kind.WORKER and not service.calls:
        raise ScaffoldError("A worker calls a service and is called by none: add --calls OTHER.")
    for path, text in _rendered(changes, service, callers).items():
        changes.create(path, text)
    identities = _with_identity(changes.read(IDENTITIES), service)
    changes.edit(IDENTITIES, identities)
    compose = changes.read(COMPOSE)
    entry = render("service/compose.yml", _values(changes, service))
    changes.edit(COMPOSE, shared_files.add_to_compose(compose, entry))
    if service.calls:
        policy = _policy_of(service.calls)
        changes.edit(policy, shared_files.with_caller(changes.read(policy), service.name))


def remove(changes: Changes, name: str) -> None:
    """Plan to take a service away.

    Raises `ScaffoldError` if another calls it, or if work would be lost.
    """
    compose = changes.read(COMPOSE)
    made = shared_files.services_made(compose)
    if name not in made:
        listed = ", ".join(made) or "none yet"
        raise ScaffoldError(f"new_service has not made {name!r}, but: {listed}.")
    service = made[name]
    if callers := [each.name for each in made.values() if each.calls == name]:
        raise ScaffoldError(f"{', '.join(callers)} calls {name}: remove that first.")
    for path in _files_of(changes.root, service):
        changes.delete(path)
    changes.edit(COMPOSE, shared_files.remove_from_compose(compose, service))
    changes.edit(IDENTITIES, shared_files.remove_identity(changes.read(IDENTITIES), name))
    if service.calls:
        policy = _policy_of(service.calls)
        changes.edit(policy, shared_files.without_caller(changes.read(policy), name))
    _check_nothing_is_lost(changes, service)


def edit_first(service: Service) -> list[str]:
    """Return the files that a person edits first."""
    return [path.format(m=service.module) for path in _EDIT_FIRST[service.kind]]


def _check_is_new(changes: Changes, service: Service) -> None:
    """Raise `ScaffoldError` if anything of the service is there."""
    rows = shared_files.identity_rows(changes.read(IDENTITIES))
    there = (
        [f"the identity in {IDENTITIES}"] if service.name in {row["name"] for row in rows} else []
    )
    if service.name in shared_files.compose_services(changes.read(COMPOSE)):
        there.append(f"the service in {COMPOSE}")
    there += _files_of(changes.root, service)
    if there:
        shown = ", ".join(there[:4]) + (f" and {len(there) - 4} files more" if there[4:] else "")
        raise ScaffoldError(
            f"{service.name} is there already: {shown}. Choose another name, or remove what is "
            "there: scripts/new_service --remove takes out what it has made."
        )


def _check_nothing_is_lost(changes: Changes, service: Service) -> None:
    """Raise `ScaffoldError` if a file to be deleted is neither as it was made nor in git."""
    if not (unsaved := changes.unsaved()):
        return
    try:
        fresh = _rendered(changes, service, None)
    except ScaffoldError:  # what it was made from has changed
        fresh = {}
    nobody = shared_files.without_callers  # whom it has let in since is no work that is lost
    there = {path: (changes.root / path).read_text("utf-8") for path in unsaved}
    lost = [path for path in unsaved if nobody(fresh.get(path, "")) != nobody(there[path])]
    if lost:
        raise ScaffoldError(
            f"You have changed {', '.join(lost)}, and git does not have it: commit it, so that you "
            "can get it back, or delete it yourself."
        )


def _files_of(root: Path, service: Service) -> list[str]:
    """Return the files that belong to the service alone, without what Python makes of them."""
    module = service.module
    folders = (
        f"services/{module}",
        f"protos/{module}_api",
        f"protos/gen/{module}_api",
        f"tests/unit/{module}",
    )
    found = [file for folder in folders for file in (root / folder).rglob("*") if file.is_file()]
    found += [root / path for path, _ in _tests(service) if (root / path).is_file()]
    paths = {file.relative_to(root) for file in found}
    return sorted(path.as_posix() for path in paths if "__pycache__" not in path.parts)


def _rendered(changes: Changes, service: Service, callers: Sequence[str] | None) -> dict[str, str]:
    """Return the files of the service by path."""
    values, module = _values(changes, service), service.module
    folder = f"services/{module}"
    files = {
        f"{folder}/{name}": render(f"service/{_template_of(service.kind, name)}", values)
        for name in _FILES[service.kind]
    }
    files |= {path: render(template, values) for path, template in _tests(service)}
    generated: dict[str, str] = {}
    if service.calls:
        client = f"{folder}/{module_of(service.calls)}_client.py"
        files[client] = render("service/calls/client.py", values)
    if service.kind is Kind.GRPC:
        policy = f"{folder}/policy.py"
        for caller in [values["person"]] if callers is None else callers:
            files[policy] = shared_files.with_caller(files[policy], caller)
        contract = f"{module}_api/v1/{module}.proto"
        files[f"protos/{contract}"] = render("service/grpc/contract.proto", values)
        code = compiled(contract, files[f"protos/{contract}"])
        generated = {f"protos/gen/{path}": text for path, text in code.items()}
    apis = [f"{module_of(name)}_api" for name in (service.name, service.calls) if name]
    return formatted(changes.root, files, [module, *apis]) | generated


def _template_of(kind: Kind, name: str) -> str:
    return f"frame/{name}" if name in _FRAME else f"{kind}/{name}"


def _tests(service: Service) -> Iterator[tuple[str, str]]:
    kind, module = service.kind, service.module
    claim = "calls_no_impostor" if kind is Kind.WORKER else "refuses_strangers"
    yield f"tests/unit/{module}/test_{module}.py", f"service/{kind}/test_unit.py"
    yield f"tests/mtls/test_{module}_{claim}.py", f"service/{kind}/test_claim.py"


def _values(changes: Changes, service: Service) -> Values:
    """Return what the templates are filled with; a text that is empty leaves a section out."""
    compose = changes.read(COMPOSE)
    made = shared_files.services_made(compose)
    other, person = service.calls, _first_person(changes.read(IDENTITIES))
    values = {
        "name": service.name,
        "module": service.module,
        "class": class_of(service.name),
        "prefix": prefix_of(service.name),
        "command": service.command,
        "grpc": "yes" if service.kind is Kind.GRPC else "",
        "http": "yes" if service.kind is Kind.HTTP else "",
        "worker": "yes" if service.kind is Kind.WORKER else "",
        "serves": "" if service.kind is Kind.WORKER else "yes",
        "contracts": "yes" if other or service.kind is Kind.GRPC else "",
        "person": person,
        "port": str(shared_files.free_port(compose)),
        "calls": other,
    }
    if other:
        values |= {
            "other": other,
            "other_module": module_of(other),
            "other_class": class_of(other),
            "other_prefix": prefix_of(other),
            "others": "\n".join(f"        {line}," for line in _starts(made, other)),
        }
        values |= _first_rpc(changes, service, made)
    return values


def _starts(made: dict[str, Service], name: str) -> list[str]:
    """Return how a test starts a service, and before it those that it calls, one a line."""
    calls = made[name].calls if name in made else ""
    before = _starts(made, calls) if calls else []
    address = f"{prefix_of(name)}_{prefix_of(calls)}_ADDRESS"
    variable = f', {{"{address}": {module_of(calls)}.address}}'
    return [*before, f'lab.running("{name}"{variable if calls else ""}) as {module_of(name)}']


def _first_rpc(changes: Changes, service: Service, made: dict[str, Service]) -> dict[str, str]:
    """Return the RPC that the new service calls first. Raises `ScaffoldError` if there is none."""
    other = service.calls
    instead = "Make it without --calls, and write the call as services/mtls/README.md shows."
    if other not in made:
        callable_now = [each.name for each in made.values() if each.kind is Kind.GRPC]
        known = ", ".join(callable_now) or "none yet"
        raise ScaffoldError(
            f"--calls {other}: that is no gRPC service that new_service has made ({known}), so its "
            f"contract is not known here. {instead}"
        )
    if made[other].kind is not Kind.GRPC:
        raise ScaffoldError(f"--calls {other}: it serves no gRPC. {instead}")
    module = module_of(other)
    contract = f"protos/{module}_api/v1/{module}.proto"
    if not (rpc := _RPC.search(changes.read(contract))):
        raise ScaffoldError(f"{contract} has no RPC with one request and one answer. {instead}")
    if shared_files.callers_in(changes.read(_policy_of(other))) is None:
        raise ScaffoldError(
            f"{_policy_of(other)} no longer has CALLERS in the form that new_service writes, so "
            f"{service.name} cannot be put there. {instead}"
        )
    return {"rpc": rpc[1], "request": rpc[2]}


def _policy_of(name: str) -> str:
    return f"services/{module_of(name)}/policy.py"


def _first_person(identities: str) -> str:
    rows = shared_files.identity_rows(identities)
    persons = [str(row["name"]) for row in rows if row.get("person")]
    if not persons:
        raise ScaffoldError(f"{IDENTITIES} has nobody with `person = true`, who could try it.")
    return persons[0]


def _with_identity(identities: str, service: Service) -> str:
    """Return the file with the row of the service. Raises `ScaffoldError` if it cannot be used."""
    uses = [] if service.kind is Kind.WORKER else ["server"]
    uses += ["client"] if service.calls else []
    hosts = [service.name] if "server" in uses else []
    hosts += ["localhost"] if service.kind is Kind.HTTP else []  # it is published on the host
    purpose = _PURPOSES[service.kind] + (f", calls {service.calls}" if service.calls else "")
    text = shared_files.add_identity(identities, service.name, uses, hosts, purpose)
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(text)
        file.flush()
        try:
            load_identities(Path(file.name))
        except IdentitiesUnusable as error:
            raise ScaffoldError(str(error).replace(file.name, IDENTITIES)) from error
    return text
