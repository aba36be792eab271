"""gRPC reads its cipher suites when it is imported, so mtls has to come first."""

import os
import subprocess
import sys


def run(code: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GRPC_")}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "PYTHONPATH": "services"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_mtls_refuses_to_come_after_grpc() -> None:
    assert run("import mtls, grpc").returncode == 0
    assert "Import mtls before grpc" in run("import grpc, mtls").stderr
