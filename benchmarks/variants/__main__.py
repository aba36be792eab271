"""Starts a service with one thing changed."""

import argparse
import importlib
import sys

from benchmarks.variants import hooks, memory_store, transports

SERVICES = ("gateway", "video_queue")


def main() -> int:
    """Change what is asked for, then start the service as always."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("service", choices=SERVICES)
    parser.add_argument("--transport", choices=transports.CHOICES, default="mtls")
    parser.add_argument("--store", choices=("disk", "memory"), default="disk")
    parser.add_argument("--without-hooks", action="store_true")
    asked = parser.parse_args()
    start = importlib.import_module(f"{asked.service}.__main__")
    if asked.transport != "mtls":
        transports.use(asked.transport, asked.service)
    if asked.without_hooks:
        hooks.take_out(asked.service)
    if asked.store == "memory":
        memory_store.use()
    return int(start.main())


if __name__ == "__main__":
    sys.exit(main())
