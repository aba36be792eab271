"""Starts the console: `python -m console`, configured by the environment (README.md)."""

import sys

from mtls import Role

from console.config import Config
from console.server import serving
from runtime.service import run_service


def main() -> int:
    """Run the service; return the exit code."""
    return run_service(Config, serving, Role.CLIENT)


if __name__ == "__main__":
    sys.exit(main())
