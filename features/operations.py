"""How each operation folds a day and merges days; `schemas/declarations.py` says what each means.

A partial is the fold of one entity's plays of one day; its column is named after operation and
input, so that features which fold alike share it. `_age` is the partial's distance in days from the
day that is described: 0 is that day itself, and a window of w days holds the ages 0 … w - 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pyspark.sql import Column
from pyspark.sql import functions as F

from schemas.declarations import Feature, FeatureGroup, days

MICROS_A_DAY = 86_400_000_000


@dataclass(frozen=True)
class Operation:
    """`fold`: partials of a day by suffix. `merge`: value of a window from the partials' columns."""

    fold: Callable[[Feature], dict[str, Column]]
    merge: Callable[[Callable[[str], Column], str], Column]


def partials(group: FeatureGroup) -> list[Column]:
    """What to aggregate per entity and day."""
    folded = {
        _partial_name(feature, suffix): column
        for feature in _folded(group)
        for suffix, column in OPERATIONS[feature.op].fold(feature).items()
    }
    return [column.alias(name) for name, column in folded.items()]


def merged(group: FeatureGroup) -> Iterator[Column]:
    """What to aggregate per entity and described day."""
    for feature in _folded(group):
        for window in feature.windows:

            def partial(suffix: str, feature: Feature = feature) -> Column:
                return F.col(_partial_name(feature, suffix))

            yield OPERATIONS[feature.op].merge(partial, window).alias(feature.name(window))


def _folded(group: FeatureGroup) -> list[Feature]:
    """All but the distinct counts, whose partials would be sets: `features/distinct.py` has those."""
    return [feature for feature in group.features if feature.op in OPERATIONS]


def _partial_name(feature: Feature, suffix: str) -> str:
    return f"{suffix} of {feature.input}"


def _within(column: Column, window: str) -> Column:
    return F.when(F.col("_age") < days(window), column)


def _total(column: Column, window: str) -> Column:
    return F.coalesce(F.sum(_within(column, window)), F.lit(0))


def _fold_count(feature: Feature) -> dict[str, Column]:
    return {"count": F.count(F.expr(feature.input))}


def _fold_sum(feature: Feature) -> dict[str, Column]:
    return {"sum": F.sum(F.expr(feature.input))}


def _fold_mean(feature: Feature) -> dict[str, Column]:
    return {**_fold_count(feature), "real sum": F.sum(F.expr(feature.input).cast("double"))}


def _fold_rate(feature: Feature) -> dict[str, Column]:
    return {**_fold_count(feature), "true": F.count_if(F.expr(feature.input))}


def _fold_hours(feature: Feature) -> dict[str, Column]:
    """Twenty-four counts: an array would have to be added up by an interpreted function."""
    hour = F.hour(F.expr(feature.input))
    return {f"hour {h}": F.count_if(hour == h) for h in range(24)}


def _fold_decayed(feature: Feature) -> dict[str, Column]:
    """The decayed sum as of the end of the day, one per half-life."""
    midnight = F.unix_micros(F.date_add("ds", 1).cast("timestamp"))
    age = (midnight - F.unix_micros(F.expr(feature.input))) / MICROS_A_DAY
    return {f"decayed {w}": F.sum(F.pow(F.lit(2.0), -age / days(w))) for w in feature.windows}


def _merge_ratio(total: str) -> Callable[[Callable[[str], Column], str], Column]:
    def merge(partial: Callable[[str], Column], window: str) -> Column:
        plays = F.sum(_within(partial("count"), window))
        return F.try_divide(F.sum(_within(partial(total), window)).cast("double"), plays)

    return merge


def _merge_trend(partial: Callable[[str], Column], window: str) -> Column:
    recent = _total(partial("count"), window)
    both = _total(partial("count"), f"{2 * days(window)}d")
    return F.coalesce(F.log2((recent + 1) / (both - recent + 1)), F.lit(0.0))


def _merge_hours(partial: Callable[[str], Column], window: str) -> Column:
    counts = [_total(partial(f"hour {h}"), window) for h in range(24)]
    plays = F.greatest(sum(counts, F.lit(0)), F.lit(1))
    return F.array(*[count / plays for count in counts])


def _merge_decayed(partial: Callable[[str], Column], window: str) -> Column:
    faded = F.pow(F.lit(2.0), -F.col("_age") / days(window))
    return F.coalesce(F.sum(partial(f"decayed {window}") * faded), F.lit(0.0))


def _days_since(instant: Column) -> Column:
    midnight = F.unix_micros(F.date_add("_day", 1).cast("timestamp"))
    # an entity has a row only from its first play on, so there is always an instant
    return F.coalesce((midnight - F.unix_micros(instant)) / MICROS_A_DAY, F.lit(0.0))


OPERATIONS: dict[str, Operation] = {
    "count": Operation(_fold_count, lambda partial, window: _total(partial("count"), window)),
    "sum": Operation(_fold_sum, lambda partial, window: _total(partial("sum"), window)),
    "mean": Operation(_fold_mean, _merge_ratio("real sum")),
    "rate": Operation(_fold_rate, _merge_ratio("true")),
    "trend": Operation(_fold_count, _merge_trend),
    "hours": Operation(_fold_hours, _merge_hours),
    "decayed": Operation(_fold_decayed, _merge_decayed),
    "days_since_first": Operation(
        lambda feature: {"first": F.min(F.expr(feature.input))},
        lambda partial, _: _days_since(F.min(partial("first"))),
    ),
    "days_since_last": Operation(
        lambda feature: {"last": F.max(F.expr(feature.input))},
        lambda partial, _: _days_since(F.max(partial("last"))),
    ),
}
