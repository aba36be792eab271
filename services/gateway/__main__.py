"""Starts the gateway: `python -m gateway`, configured by the environment (README.md)."""

import sys

from mtls import Role

from gateway.config import Config
from gateway.server import serving
from runtime.service import run_service


def main() -> int:
    """Run the service; return the exit code."""
    return run_service(Config, serving, Role.SERVER, Role.CLIENT)


if __name__ == "__main__":
    sys.exit(main())
