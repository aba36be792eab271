"""What all tests share."""

import os

import mtls  # noqa: F401  before any test module imports grpc

import hypothesis
import pytest

# Nothing is called here but this machine, and gRPC obeys a proxy without a word.
for _name in ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy", "no_proxy"):
    os.environ.pop(_name, None)
    os.environ.pop(_name.upper(), None)

# No test is about time: the machine may be busy with something else.
hypothesis.settings.register_profile("without-deadline", deadline=None)
hypothesis.settings.load_profile("without-deadline")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Two files run side by side; of the tests of the containers, which share a stack, none do."""
    for item in items:
        is_of_containers = "compose" in item.path.parts
        group = "compose" if is_of_containers else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
