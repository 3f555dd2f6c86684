"""How each operation folds a day, merges days and ends as a value; `schemas/declarations.py` says
what each means.

A *partial* is the fold of one entity's plays of one day. A *total* is the merge of the partials of a
window. Both are named after what they hold, so features that need the same share it: of the thirty
columns of a group, every rate over plays uses one count. `_age` is a partial's distance in days
from the day that is described: 0 is that day itself, and a window of w days holds the ages 0 … w - 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, reduce

from pyspark.sql import Column
from pyspark.sql import functions as F

from schemas.declarations import LIFETIME, Feature, FeatureGroup, days

MICROS_A_DAY = 86_400_000_000


@dataclass(frozen=True)
class Part:
    """One partial of a day: how plays fold into it, and how days of it merge."""

    name: str
    fold: Column
    merge: Callable[[Column], Column] = F.sum

    def total(self, window: str) -> str:
        return f"{self.name}, {window}"

    def merged(self, window: str) -> Column:
        """The total over a window."""
        here = F.col(f"`{self.name}`")
        inside = here if window == LIFETIME else F.when(F.col("_age") < days(window), here)
        return self.merge(inside).alias(self.total(window))


@dataclass(frozen=True)
class Operation:
    """`parts` of a feature; `totals` says over which windows they are merged; `value` is made of those."""

    parts: Callable[[Feature, str], list[Part]]
    value: Callable[[list[Column]], Column]
    totals: Callable[[str], list[str]] = lambda window: [window]

    def totals_of(self, feature: Feature, window: str) -> list[tuple[Part, str]]:
        return [(part, over) for part in self.parts(feature, window) for over in self.totals(window)]


def partials(group: FeatureGroup) -> list[Column]:
    """What to aggregate per entity and day."""
    return list({part.name: part.fold.alias(part.name) for part, _ in _needed(group)}.values())


def totals(group: FeatureGroup) -> list[Column]:
    """What to aggregate per entity and described day."""
    return list({part.total(window): part.merged(window) for part, window in _needed(group)}.values())


def values(group: FeatureGroup) -> list[Column]:
    """The features, in terms of the totals."""
    found = []
    for feature, window in _folded(group):
        operation = OPERATIONS[feature.op]
        given = [F.col(f"`{part.total(over)}`") for part, over in operation.totals_of(feature, window)]
        found.append(operation.value(given).alias(feature.name(window)))
    return found


def _needed(group: FeatureGroup) -> list[tuple[Part, str]]:
    return [
        need
        for feature, window in _folded(group)
        for need in OPERATIONS[feature.op].totals_of(feature, window)
    ]


def _folded(group: FeatureGroup) -> list[tuple[Feature, str]]:
    """All but the distinct counts, whose partials would be sets: `features/distinct.py` has those."""
    return [(feature, w) for feature in group.features if feature.op in OPERATIONS for w in feature.windows]


def _count(feature: Feature, _: str) -> list[Part]:
    return [Part(f"count of {feature.input}", F.count(F.expr(feature.input)))]


def _sum(feature: Feature, _: str) -> list[Part]:
    return [Part(f"sum of {feature.input}", F.sum(F.expr(feature.input)))]


def _mean(feature: Feature, window: str) -> list[Part]:
    real = Part(f"real sum of {feature.input}", F.sum(F.expr(feature.input).cast("double")))
    return [real, *_count(feature, window)]


def _rate(feature: Feature, window: str) -> list[Part]:
    return [Part(f"true of {feature.input}", F.count_if(F.expr(feature.input))), *_count(feature, window)]


def _hours(feature: Feature, _: str) -> list[Part]:
    """Twenty-four counts: an array would have to be added up by an interpreted function."""
    hour = F.hour(F.expr(feature.input))
    return [Part(f"hour {h} of {feature.input}", F.count_if(hour == h)) for h in range(24)]


def _decayed(feature: Feature, window: str) -> list[Part]:
    """The decayed sum as of the end of its day; merging fades it by its age."""
    midnight = F.unix_micros(F.date_add("ds", 1).cast("timestamp"))
    age = (midnight - F.unix_micros(F.expr(feature.input))) / MICROS_A_DAY
    fold = F.sum(F.pow(F.lit(2.0), -age / days(window)))
    faded = F.pow(F.lit(2.0), -F.col("_age") / days(window))
    return [Part(f"decayed {window} of {feature.input}", fold, lambda here: F.sum(here * faded))]


def _extreme(name: str, of: Callable[[Column], Column], feature: Feature, _: str) -> list[Part]:
    return [Part(f"{name} of {feature.input}", of(F.expr(feature.input)), of)]


def _or_zero(total: Column) -> Column:
    return F.coalesce(total, F.lit(0))


def _ratio(given: list[Column]) -> Column:
    return F.try_divide(given[0].cast("double"), given[1])


def _growth(given: list[Column]) -> Column:
    recent, both = map(_or_zero, given)
    return F.coalesce(F.log2((recent + 1) / (both - recent + 1)), F.lit(0.0))


def _shares(given: list[Column]) -> Column:
    all_plays = F.greatest(reduce(lambda a, b: a + b, map(_or_zero, given)), F.lit(1))
    return F.array(*[_or_zero(count) / all_plays for count in given])


def _days_since(given: list[Column]) -> Column:
    midnight = F.unix_micros(F.date_add("ds", 1).cast("timestamp"))
    # an entity has a row only from its first play on, so there is always an instant
    return F.coalesce((midnight - F.unix_micros(given[0])) / MICROS_A_DAY, F.lit(0.0))


def _always(_: str) -> list[str]:
    """All days that there are, whatever the window says: it is a half-life, or none."""
    return [LIFETIME]


OPERATIONS: dict[str, Operation] = {
    "count": Operation(_count, lambda given: _or_zero(given[0])),
    "sum": Operation(_sum, lambda given: _or_zero(given[0])),
    "mean": Operation(_mean, _ratio),
    "rate": Operation(_rate, _ratio),
    "trend": Operation(_count, _growth, lambda window: [window, f"{2 * days(window)}d"]),
    "hours": Operation(_hours, _shares),
    "decayed": Operation(_decayed, lambda given: F.coalesce(given[0], F.lit(0.0)), _always),
    "days_since_first": Operation(partial(_extreme, "first", F.min), _days_since),
    "days_since_last": Operation(partial(_extreme, "last", F.max), _days_since),
}
