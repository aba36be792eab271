from collections.abc import Callable

from mtls.reporting.log_rate_limiter import Kind, LogRateLimiter

import pytest
from hypothesis import given
from hypothesis import strategies as st

EXPIRED: Kind = ("handshake.refused", "expired")
UNKNOWN: Kind = ("handshake.refused", "unknown_ca")


class Clock:
    """Calls what is due when it is told that the time has come."""

    def __init__(self) -> None:
        self.due: list[Callable[[], None]] = []

    def later(self, seconds: float, do: Callable[[], None]) -> None:
        assert seconds == 1.0
        self.due.append(do)

    def tick(self) -> None:
        due, self.due = self.due, []
        for do in due:
            do()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def suppressed() -> list[tuple[Kind, int]]:
    return []


@pytest.fixture
def limit(clock: Clock, suppressed: list[tuple[Kind, int]]) -> LogRateLimiter:
    return LogRateLimiter(
        lambda kind, lines: suppressed.append((kind, lines)), lines=2, later=clock.later
    )


def test_admits_the_first_of_a_kind_and_sums_up_the_rest(
    limit: LogRateLimiter, clock: Clock, suppressed: list[tuple[Kind, int]]
) -> None:
    assert [limit.admits(EXPIRED) for _ in range(5)] == [True, True, False, False, False]
    assert suppressed == []
    clock.tick()
    assert suppressed == [(EXPIRED, 3)]


def test_a_flood_of_one_kind_does_not_silence_another(limit: LogRateLimiter) -> None:
    for _ in range(5):
        limit.admits(EXPIRED)
    assert limit.admits(UNKNOWN)


def test_begins_again_after_the_time(limit: LogRateLimiter, clock: Clock) -> None:
    for _ in range(5):
        limit.admits(EXPIRED)
    clock.tick()
    assert limit.admits(EXPIRED)


def test_says_nothing_when_nothing_was_suppressed(
    limit: LogRateLimiter, clock: Clock, suppressed: list[tuple[Kind, int]]
) -> None:
    limit.admits(EXPIRED)
    limit.admits(EXPIRED)
    clock.tick()
    assert suppressed == []


def test_has_one_timer_for_all_and_none_in_silence(limit: LogRateLimiter, clock: Clock) -> None:
    for _ in range(5):
        limit.admits(EXPIRED)
        limit.admits(UNKNOWN)
    assert len(clock.due) == 1
    clock.tick()
    assert not clock.due


@given(st.lists(st.one_of(st.none(), st.sampled_from([EXPIRED, UNKNOWN]))))
def test_every_event_has_a_line_or_is_in_a_sum(events: list[Kind | None]) -> None:
    """None is the tick of the clock."""
    clock, counted = Clock(), {EXPIRED: 0, UNKNOWN: 0}

    def add(kind: Kind, lines: int) -> None:
        counted[kind] += lines

    limit = LogRateLimiter(add, lines=2, later=clock.later)
    for event in events:
        if event is None:
            clock.tick()
        elif limit.admits(event):
            counted[event] += 1
    limit.flush()
    assert counted == {kind: events.count(kind) for kind in counted}
