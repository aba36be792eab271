"""Add a service to this repository: its folder, policy, identity, contract, container and tests.

What it has made is taken out again with --remove.
"""

import argparse
import sys
from pathlib import Path

from scaffold import service as services
from scaffold.changes import Changes
from scaffold.errors import ScaffoldError
from scaffold.names import Kind, Service


def main(arguments: list[str] | None = None) -> int:
    """Run the command line in the current folder; return the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/new_service", description=__doc__)
    parser.add_argument("name", metavar="NAME", help="of the service and its identity: order-book")
    parser.add_argument("--kind", type=Kind, choices=list(Kind), help="what it is")
    parser.add_argument("--calls", metavar="OTHER", default="", help="a gRPC service that it calls")
    parser.add_argument("--remove", action="store_true", help="take out what was made")
    options = parser.parse_args(arguments)
    if options.remove == bool(options.kind or options.calls):
        parser.error("give --kind to make a service, or --remove alone to take one out")
    changes = Changes(Path.cwd())
    try:
        if options.remove:
            services.remove(changes, options.name)
            changes.apply()
            print(_removed(options.name))
            return 0
        service = Service(name=options.name, kind=options.kind, calls=options.calls)
        services.add(changes, service)
        before = {path for path in changes.files if (changes.root / path).exists()}
        changes.apply()
    except ScaffoldError as error:
        print(f"new_service: {error}", file=sys.stderr)
        return 1
    print(_made(service, sorted(before)))
    return 0


def _made(service: Service, edited: list[str]) -> str:
    module = service.module
    tests, rows = f"tests/unit/{module} tests/mtls/test_{module}_*.py", ", ".join(edited)
    return "\n".join(
        [
            f"{service.name} is made: services/{module} and its tests; a row in {rows}.",
            "Edit first:",
            *(f"    {path}" for path in services.edit_first(service)),
            "Then:",
            *(["    ./scripts/generate_protos"] if service.kind is Kind.GRPC else []),
            f"    ./scripts/test {tests}",
            "    docker compose run --rm certs && docker compose restart renewer",
            f"    docker compose up --build --detach --wait {service.name}",
        ]
    )


def _removed(name: str) -> str:
    return (
        f"{name} is removed. If it has run, its container and its certificate are still there:\n"
        f"    docker compose up --detach --remove-orphans && rm -r certs/{name}"
    )


if __name__ == "__main__":
    sys.exit(main())
