"""Every operation of `schemas/operations.py` from its definition, in plain loops over all plays.

Slow and obvious on purpose: nothing here knows of partials, tiles or Spark. The engine is held to it by the
tests, and a training set by `segue verify --training-set`.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

from schemas.declarations import LIFETIME, Feature, window_days

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Play:
    """One play."""

    at: datetime
    play_id: str
    # the values of the SQL expressions in `inputs(feature)`, by their text: loops evaluate no SQL
    inputs: Mapping[str, Any]


@dataclass(frozen=True)
class Sample:
    """What one value is computed from: the plays of the window [t - w, t) that count, oldest first.

    To `AHEAD`, the window is [t, t + w), of a trend twice as long.
    """

    feature: Feature
    t: datetime
    w: timedelta
    plays: list[Play]

    @property
    def values(self) -> list[Any]:
        return [play.inputs[self.feature.input] for play in self.plays]


def value(plays: Iterable[Play], feature: Feature, window: str, t: datetime) -> Any:
    """A feature of the plays of one entity, in the window that ends at `t`; None is null."""
    w = timedelta.max if window == LIFETIME else window_days(window) * DAY
    # a trend compares with the window before; a decayed sum has a half-life, and no window that would end
    back = {"decayed": timedelta.max, "trend": 2 * w if w < timedelta.max else w}.get(feature.op, w)
    inside = [p for p in plays if p.at < t and t - p.at <= back and is_counted(p, feature)]
    result = OPERATIONS[feature.op](Sample(feature, t, w, sorted(inside, key=play_order)))
    return feature.empty_value if result is None else result


def outcome(
    plays: Iterable[Play], feature: Feature, horizon: str, t: datetime, own: str | None = None
) -> Any:
    """The same in the window [t, t + horizon) that begins at `t`, of all plays but the one that is the label itself.

    Args:
        own: id of the label's own play, if it is one; that is its own at `t` alone.
    """
    h = window_days(horizon) * DAY
    # a trend compares with the horizon after
    end = t + (2 * h if feature.op == "trend" else h)
    inside = [p for p in plays if t <= p.at < end and not (p.at == t and p.play_id == own)]
    counted = sorted((p for p in inside if is_counted(p, feature)), key=play_order)
    ahead = feature.op in AHEAD
    operation = AHEAD[feature.op] if ahead else OPERATIONS[feature.op]
    result = operation(Sample(feature, t if ahead else end, h, counted))
    return feature.empty_value if result is None else result


def inputs(feature: Feature) -> list[str]:
    """The SQL expressions that a play must bring the values of."""
    return [sql for sql in (feature.input, feature.where, feature.per) if sql]


def is_counted(play: Play, feature: Feature) -> bool:
    """Whether the filter lets it through, and its inputs are known."""
    needed = (feature.input, feature.per) if feature.per else (feature.input,)
    return play.inputs[feature.where] is True and all(play.inputs[of] is not None for of in needed)


def play_order(play: Play) -> tuple[datetime, bytes]:
    # bytes, as Spark orders strings
    return play.at, play.play_id.encode()


def as_text(item: Any) -> str:
    """As Spark casts it to a string."""
    # doubles, instants and arrays it formats in ways of its own
    if not isinstance(item, str | int):
        raise TypeError(f"{item!r}: compare it as text with strings and integers alone")
    return str(item).lower() if isinstance(item, bool) else str(item)


def exact_sum(numbers: Iterable[float]) -> Decimal:
    """The sum of doubles, each to 12 decimals."""
    unit = Decimal(1).scaleb(-12)
    # of the double's text, not of its binary value: so does Spark's cast to a decimal
    return sum((Decimal(repr(each)).quantize(unit, ROUND_HALF_UP) for each in numbers), Decimal(0))


def typed_sum(numbers: list[Any], type_: str) -> Any:
    return float(exact_sum(numbers)) if type_ == "double" else sum(numbers)


def _sum(sample: Sample) -> Any:
    return typed_sum(sample.values, sample.feature.input_type)


def _variance(sample: Sample) -> float | None:
    # fractions are exact: in doubles, the squares of large values would leave nothing of their differences
    numbers = [Fraction(each) for each in sample.values]
    if not numbers:
        return None
    mean = sum(numbers, Fraction(0)) / len(numbers)
    return float(sum(((each - mean) ** 2 for each in numbers), Fraction(0)) / len(numbers))


def _ratio(sample: Sample) -> float | None:
    below = typed_sum([play.inputs[sample.feature.per] for play in sample.plays], sample.feature.input_type)
    return _sum(sample) / below if below else None


def count_values(items: list[Any]) -> list[tuple[str, int]]:
    counts = Counter(map(as_text, items))
    return sorted(counts.items(), key=lambda item: (-item[1], item[0].encode()))


def _percentiles(sample: Sample) -> list[float] | None:
    """The smallest value that this share of the values does not exceed."""
    numbers = sorted(map(float, sample.values))
    places = [max(math.ceil(rank * len(numbers)) - 1, 0) for rank in sample.feature.at]
    return [numbers[place] for place in places] if numbers else None


def histogram(numbers: Iterable[float], edges: Sequence[float]) -> list[int]:
    # from the right: a value on an edge is in the interval that begins there
    places = [bisect_right(edges, each) for each in numbers]
    return [places.count(n) for n in range(len(edges) + 1)]


def count_by_hour(instants: Iterable[datetime]) -> list[int]:
    hours = [instant.astimezone(UTC).hour for instant in instants]
    return [hours.count(hour) for hour in range(24)]


def _entropy(sample: Sample) -> float:
    # fsum is exact before it rounds once, so the order of the values does not show
    shares = [count / len(sample.plays) for _, count in count_values(sample.values)]
    return round(math.fsum(-share * math.log2(share) for share in shares), 12)


def _trend(sample: Sample) -> float:
    recent = sum(sample.t - play.at <= sample.w for play in sample.plays)
    return math.log2((recent + 1) / (len(sample.plays) - recent + 1))


def decayed_sum(instants: Iterable[datetime], t: datetime, half_life: timedelta) -> float:
    return math.fsum(2.0 ** -((t - instant) / half_life) for instant in instants)


def _streak(sample: Sample) -> int:
    active_days = {(sample.t - DAY).date() - play.at.astimezone(UTC).date() for play in sample.plays}
    return next(n for n in range(len(active_days) + 1) if n * DAY not in active_days)


def _trend_ahead(sample: Sample) -> float:
    near = sum(play.at - sample.t < sample.w for play in sample.plays)
    return math.log2((near + 1) / (len(sample.plays) - near + 1))


def _decayed_ahead(sample: Sample) -> float:
    return math.fsum(2.0 ** -((instant - sample.t) / sample.w) for instant in sample.values)


def _streak_ahead(sample: Sample) -> int:
    active_days = {(play.at - sample.t) // DAY for play in sample.plays}
    return next(n for n in range(len(active_days) + 1) if n not in active_days)


def _of_values(compute: Callable[[list[Any]], Any]) -> Callable[[Sample], Any]:
    """None of no values."""
    return lambda sample: compute(sample.values) if sample.plays else None


OPERATIONS: dict[str, Callable[[Sample], Any]] = {
    "count": lambda sample: len(sample.plays),
    "sum": _sum,
    "mean": lambda sample: _sum(sample) / len(sample.plays) if sample.plays else None,
    "min": _of_values(min),
    "max": _of_values(max),
    "variance": _variance,
    "rate": _of_values(lambda values: values.count(True) / len(values)),
    "ratio": _ratio,
    "first": _of_values(lambda values: values[0]),
    "last": _of_values(lambda values: values[-1]),
    "last_k": lambda sample: sample.values[::-1][: sample.feature.k],
    "top_k": lambda sample: [item for item, _ in count_values(sample.values)[: sample.feature.k]],
    "distinct": lambda sample: len(set(map(as_text, sample.values))),
    # the exact answer: what compares with sketches allows for their errors
    "approx_distinct": lambda sample: len(set(map(as_text, sample.values))),
    "percentiles": _percentiles,
    "histogram": lambda sample: histogram(sample.values, sample.feature.edges),
    "hours": lambda sample: [n / len(sample.plays) if n else 0.0 for n in count_by_hour(sample.values)],
    "entropy": _entropy,
    "trend": _trend,
    "decayed": lambda sample: decayed_sum(sample.values, sample.t, sample.w),
    "streak": _streak,
    "days_since_first": lambda sample: (sample.t - min(sample.values)) / DAY if sample.plays else None,
    "days_since_last": lambda sample: (sample.t - max(sample.values)) / DAY if sample.plays else None,
}
# Those that are turned round in time where the window begins at t.
AHEAD: dict[str, Callable[[Sample], Any]] = {
    "trend": _trend_ahead,
    "decayed": _decayed_ahead,
    "streak": _streak_ahead,
    "days_since_first": lambda sample: (max(sample.values) - sample.t) / DAY if sample.plays else None,
    "days_since_last": lambda sample: (min(sample.values) - sample.t) / DAY if sample.plays else None,
}
