"""What all tests share."""

import mtls  # noqa: F401  before any test module imports grpc

import hypothesis

# No test is about time: the machine may be busy with something else.
hypothesis.settings.register_profile("without-deadline", deadline=None)
hypothesis.settings.load_profile("without-deadline")
