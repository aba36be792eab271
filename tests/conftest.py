"""What all tests share."""

import os
from typing import Final

import mtls  # noqa: F401  before any test module imports grpc

import hypothesis
import pytest
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

# Nothing is called here but this machine, and gRPC obeys a proxy without a word.
for _name in ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy", "no_proxy"):
    os.environ.pop(_name, None)
    os.environ.pop(_name.upper(), None)

# No test is about time: the machine may be busy with something else.
hypothesis.settings.register_profile("without-deadline", deadline=None)
hypothesis.settings.load_profile("without-deadline")


# The containers share a stack, and a browser drops its requests when one of them comes or goes: to
# it the network has changed.
_ONE_AFTER_THE_OTHER: Final = ("/compose/", "/console/")


class _ByFile(LoadScopeScheduling):  # type: ignore[misc]
    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "containers" if any(each in file for each in _ONE_AFTER_THE_OTHER) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Files run side by side, but for those of containers and browsers."""
    return _ByFile(config, log)
