import pytest

from benchmarks.rounds import Rounds, Sample, compare


def test_the_sides_take_turns_and_warm_ups_are_left_out() -> None:
    order: list[str] = []

    def side(name: str) -> Sample:
        order.append(name)
        return {"number": len(order)}

    samples = Rounds(2, warm_ups=1).alternate({"a": lambda: side("a"), "b": lambda: side("b")})
    assert order == ["a", "b", "a", "b", "a", "b"]
    assert samples == {"a": [{"number": 3}, {"number": 5}], "b": [{"number": 4}, {"number": 6}]}


@pytest.mark.parametrize(
    ("bar", "more_is_better", "is_met"),
    [(0.5, False, True), (0.49, False, False), (0.5, True, True), (0.51, True, False)],
)
def test_the_median_of_the_ratios_is_judged(
    *, bar: float, more_is_better: bool, is_met: bool
) -> None:
    samples: dict[str, list[Sample]] = {
        "a": [{"x": 1.0}, {"x": 1.0}, {"x": 9.0}],
        "b": [{"x": 2.0}, {"x": 4.0}, {"x": 1.0}],
    }
    measure = compare(
        samples, "a", "b", "x", row="1", title="", unit="", bar=bar, more_is_better=more_is_better
    )
    assert measure.ratios == [0.5, 0.25, 9.0]
    assert measure.as_json()["ratio"] == {"median": 0.5, "min": 0.25, "max": 9.0}
    assert measure.is_met is is_met
