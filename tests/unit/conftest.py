"""What the unit tests share."""

from mtls.reporting import events
from mtls.reporting.log_rate_limiter import LogRateLimiter

import pytest


@pytest.fixture(autouse=True)
def rate_limit(monkeypatch: pytest.MonkeyPatch) -> LogRateLimiter:
    """The log's rate limit, for one test, and without a clock.

    What a test has suppressed would else be logged a second later, in the middle of another one.
    """
    limit = LogRateLimiter(events._log_suppressed, later=lambda *_: None)  # noqa: SLF001
    monkeypatch.setattr(events, "_LIMIT", limit)
    return limit
