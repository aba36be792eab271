"""Starts the video queue: `python -m video_queue`, configured by the environment (README.md)."""

import sys

from mtls.certificates import Role

from runtime.service import run_service
from video_queue.config import Config
from video_queue.server import running


def main() -> int:
    """Run the service; return the exit code."""
    return run_service(Config, running, Role.SERVER, serves_grpc=True)


if __name__ == "__main__":
    sys.exit(main())
