"""A B A B: what is compared is measured in turn, so that a noisy moment hits both alike."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Self

Sample = Mapping[str, float]
"""What one round of one side has measured, by the name of the figure."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of the rounds, and the range."""

    median: float
    min: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Return the spread of at least one value."""
        return cls(median(values), min(values), max(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One figure of two sides, `ours` against `theirs`, round for round.

    `bar` is what the ratio ours / theirs is to reach: at least, if more is better, else at most.
    Without a bar it is measured for the plots and for the curious. With `range_bar` the range of
    the ratios, from the smallest to the largest, is to be at most that.
    """

    row: str
    title: str
    unit: str
    ours: str
    theirs: str
    values: tuple[tuple[float, float], ...]
    bar: float | None = None
    range_bar: float | None = None
    more_is_better: bool = False

    @property
    def ratios(self) -> list[float]:
        """Ours / theirs, of each round."""
        return [ours / theirs for ours, theirs in self.values]

    @property
    def is_met(self) -> bool | None:
        """Whether the median of the ratios reaches the bar, and the range its own."""
        if self.bar is None:
            return None
        if self.range_bar is not None and max(self.ratios) - min(self.ratios) > self.range_bar:
            return False
        ratio = median(self.ratios)
        return ratio >= self.bar if self.more_is_better else ratio <= self.bar

    def as_json(self) -> dict[str, Any]:
        """Return all there is to know, for the results file."""
        sides = list(zip(*self.values, strict=True))
        return {
            "row": self.row,
            "title": self.title,
            "unit": self.unit,
            "more_is_better": self.more_is_better,
            "ours": _side(self.ours, sides[0]),
            "theirs": _side(self.theirs, sides[1]),
            "ratio": _spread(self.ratios),
            "bar": self.bar,
            "range_bar": self.range_bar,
            "is_met": self.is_met,
        }


def _side(name: str, values: Sequence[float]) -> dict[str, Any]:
    return {"name": name, **_spread(values), "rounds": [_short(value) for value in values]}


def _spread(values: Sequence[float]) -> dict[str, float]:
    spread = Spread.of(values)
    return {name: _short(getattr(spread, name)) for name in ("median", "min", "max")}


def _short(value: float) -> float:
    """Keep four digits: more of them would only say that no two rounds are alike."""
    return float(f"{value:.4g}")


@dataclass(frozen=True, slots=True)
class Rounds:
    """How often each side is measured, and how often before that, to warm up."""

    measured: int
    warm_ups: int = 1

    def without_warm_up(self) -> "Rounds":
        """Return as many rounds, for servers that are new in each: they warm up in it."""
        return Rounds(self.measured, warm_ups=0)

    def alternate(self, sides: Mapping[str, Callable[[], Sample]]) -> dict[str, list[Sample]]:
        """Measure the sides in turn, round for round; return the samples."""
        samples: dict[str, list[Sample]] = {name: [] for name in sides}
        for number in range(self.warm_ups + self.measured):
            for name, measure in sides.items():
                sample = measure()
                if number >= self.warm_ups:
                    samples[name].append(sample)
        return samples


def compare(
    samples: Mapping[str, list[Sample]],
    ours: str,
    theirs: str,
    figure: str,
    *,
    row: str,
    title: str,
    unit: str,
    bar: float | None = None,
    range_bar: float | None = None,
    more_is_better: bool = False,
) -> Measure:
    """Return one figure of two sides, round for round."""
    rounds = zip(samples[ours], samples[theirs], strict=True)
    return Measure(
        row=row,
        title=title,
        unit=unit,
        ours=ours,
        theirs=theirs,
        values=tuple((one[figure], other[figure]) for one, other in rounds),
        bar=bar,
        range_bar=range_bar,
        more_is_better=more_is_better,
    )
