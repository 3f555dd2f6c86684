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

from schemas.declarations import LIFETIME, Feature, days

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Play:
    """One play: when, which, and the values of the SQL expressions in `inputs(feature)`, by their text."""

    at: datetime
    play_id: str
    inputs: Mapping[str, Any]


@dataclass(frozen=True)
class Asked:
    """One value that is wanted, and the plays that it is made of, oldest first."""

    feature: Feature
    t: datetime
    w: timedelta
    plays: list[Play]

    @property
    def values(self) -> list[Any]:
        return [play.inputs[self.feature.input] for play in self.plays]


def value(plays: Iterable[Play], feature: Feature, window: str, t: datetime) -> Any:
    """A feature of the plays of one entity, in the window that ends at `t`; None is null."""
    w = timedelta.max if window == LIFETIME else days(window) * DAY
    back = {"decayed": timedelta.max, "trend": 2 * w if w < timedelta.max else w}.get(feature.op, w)
    inside = [p for p in plays if p.at < t and t - p.at <= back and is_counted(p, feature)]
    found = OPERATIONS[feature.op](Asked(feature, t, w, sorted(inside, key=order)))
    return feature.of_none if found is None else found


def inputs(feature: Feature) -> list[str]:
    """The SQL expressions that a play must bring the values of."""
    return [sql for sql in (feature.input, feature.where, feature.per) if sql]


def is_counted(play: Play, feature: Feature) -> bool:
    """Whether the filter lets it through, and what is asked of it is known."""
    needed = (feature.input, feature.per) if feature.per else (feature.input,)
    return play.inputs[feature.where] is True and all(play.inputs[of] is not None for of in needed)


def order(play: Play) -> tuple[datetime, bytes]:
    return play.at, play.play_id.encode()


def text(known: Any) -> str:
    """A string, an integer or a truth as Spark writes it; the others it writes in its own way."""
    if not isinstance(known, str | int):
        raise TypeError(f"{known!r}: compare it as text with strings and integers alone")
    return str(known).lower() if isinstance(known, bool) else str(known)


def exactly(known: Iterable[float]) -> Decimal:
    """The sum of doubles, each to 12 decimals."""
    unit = Decimal(1).scaleb(-12)
    return sum((Decimal(repr(each)).quantize(unit, ROUND_HALF_UP) for each in known), Decimal(0))


def total(known: list[Any], type_: str) -> Any:
    return float(exactly(known)) if type_ == "double" else sum(known)


def _sum(asked: Asked) -> Any:
    return total(asked.values, asked.feature.input_type)


def _mean(asked: Asked) -> float | None:
    return _sum(asked) / len(asked.values) if asked.values else None


def _variance(asked: Asked) -> float | None:
    known = [Fraction(each) for each in asked.values]
    if not known:
        return None
    mean = sum(known, Fraction(0)) / len(known)
    return float(sum(((each - mean) ** 2 for each in known), Fraction(0)) / len(known))


def _rate(asked: Asked) -> float | None:
    return asked.values.count(True) / len(asked.values) if asked.values else None


def _ratio(asked: Asked) -> float | None:
    below = total([play.inputs[asked.feature.per] for play in asked.plays], asked.feature.input_type)
    return _sum(asked) / below if below else None


def most_played(known: list[Any]) -> list[tuple[str, int]]:
    counted = Counter(map(text, known))
    return sorted(counted.items(), key=lambda item: (-item[1], item[0].encode()))


def _percentiles(asked: Asked) -> list[float] | None:
    """The smallest value that this share of the values does not exceed."""
    known = sorted(map(float, asked.values))
    return [known[max(math.ceil(rank * len(known)) - 1, 0)] for rank in asked.feature.at] if known else None


def histogram(known: Iterable[float], edges: Sequence[float]) -> list[int]:
    place = [bisect_right(edges, each) for each in known]
    return [place.count(n) for n in range(len(edges) + 1)]


def by_hour(instants: Iterable[datetime]) -> list[int]:
    hours = [instant.astimezone(UTC).hour for instant in instants]
    return [hours.count(hour) for hour in range(24)]


def _hours(asked: Asked) -> list[float]:
    return [count / len(asked.plays) if count else 0.0 for count in by_hour(asked.values)]


def _entropy(asked: Asked) -> float:
    shares = [count / len(asked.plays) for _, count in most_played(asked.values)]
    return round(math.fsum(-share * math.log2(share) for share in shares), 12)


def _trend(asked: Asked) -> float:
    recent = sum(asked.t - play.at <= asked.w for play in asked.plays)
    return math.log2((recent + 1) / (len(asked.plays) - recent + 1))


def faded(instants: Iterable[datetime], t: datetime, half_life: timedelta) -> float:
    return math.fsum(2.0 ** -((t - instant) / half_life) for instant in instants)


def _streak(asked: Asked) -> int:
    heard_on = {(asked.t - DAY).date() - play.at.astimezone(UTC).date() for play in asked.plays}
    return next(n for n in range(len(heard_on) + 1) if n * DAY not in heard_on)


def _days_since(found: Callable[[list[datetime]], datetime]) -> Callable[[Asked], float | None]:
    return lambda asked: (asked.t - found(asked.values)) / DAY if asked.plays else None


def _of_any(found: Callable[[list[Any]], Any]) -> Callable[[Asked], Any]:
    return lambda asked: found(asked.values) if asked.plays else None


OPERATIONS: dict[str, Callable[[Asked], Any]] = {
    "count": lambda asked: len(asked.plays),
    "sum": _sum,
    "mean": _mean,
    "min": _of_any(min),
    "max": _of_any(max),
    "variance": _variance,
    "rate": _rate,
    "ratio": _ratio,
    "first": _of_any(lambda known: known[0]),
    "last": _of_any(lambda known: known[-1]),
    "last_k": lambda asked: asked.values[::-1][: asked.feature.k],
    "top_k": lambda asked: [item for item, _ in most_played(asked.values)[: asked.feature.k]],
    "distinct": lambda asked: len(set(map(text, asked.values))),
    "approx_distinct": lambda asked: len(set(map(text, asked.values))),
    "percentiles": _percentiles,
    "histogram": lambda asked: histogram(asked.values, asked.feature.edges),
    "hours": _hours,
    "entropy": _entropy,
    "trend": _trend,
    "decayed": lambda asked: faded(asked.values, asked.t, asked.w),
    "streak": _streak,
    "days_since_first": _days_since(min),
    "days_since_last": _days_since(max),
}
