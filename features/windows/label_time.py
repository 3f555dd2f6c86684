"""Windows that end at a label's own instant: "plays in the last 7d" at 14:03 are those since 14:03 a week ago.

The whole days inside a window are tiles, as they are for daily features. At its two ends lie parts of a
day: whole quarters of an hour, folded once for all labels, and the plays of the one quarter that the
instant cuts. So a track with a hundred thousand plays a day costs a label some hundred rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property, reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.windows.folds import MICROS_A_DAY, fold
from features.windows.operations import required_totals, with_default
from features.windows.partials import plays_of_group
from features.windows.tiles import Tile, cover
from features.windows.totals import totals, values, window_bitmask, windows_of
from schemas.declarations import LIFETIME, Feature, FeatureGroup, days
from schemas.parts import Part

QUARTER = 15 * 60 * 1_000_000
# Their values are of whole days, or of a set of values that no part holds.
NOT_AT_LABEL_TIME = ("distinct", "streak", "top_k", "entropy")


@dataclass(frozen=True)
class LabelTimeFeatures:
    """Some features of a group, for labels of some days.

    Raises:
        ValueError: a column that the group does not have, or of an operation in `NOT_AT_LABEL_TIME`.
    """

    group: FeatureGroup
    columns: tuple[str, ...]
    label_days: tuple[date, ...]

    def __post_init__(self) -> None:
        known = {f.name(w): f.op for f, w in self.group.feature_windows}
        for column in self.columns:
            if column not in known or known[column] in NOT_AT_LABEL_TIME:
                possible = [name for name, op in known.items() if op not in NOT_AT_LABEL_TIME]
                raise ValueError(
                    f"{self.group.table}:{column} cannot be had at a label's own instant; "
                    f"these can: {', '.join(possible)}"
                )

    @cached_property
    def wanted(self) -> list[tuple[Feature, str]]:
        return [(f, w) for f, w in self.group.feature_windows if f.name(w) in self.columns]

    @cached_property
    def windows(self) -> list[str]:
        return windows_of(self.wanted)

    @cached_property
    def parts(self) -> list[Part]:
        return list(dict.fromkeys(part for f, w in self.wanted for part, _ in required_totals(f, w)))

    @cached_property
    def partial_days(self) -> list[date]:
        """The days of the table `group.partials()` that are read."""
        return sorted({ds for _, ds, _, _ in self.plan})

    @cached_property
    def play_days(self) -> list[date]:
        """The days of `sessions` that are read: those of the labels, and those that windows begin in."""
        back = [0, *(days(window) for window in self.windows if window != LIFETIME)]
        return sorted({day - timedelta(days=n) for day in self.label_days for n in back})

    @cached_property
    def plan(self) -> list[tuple[date, date, int, int]]:
        """Label's day, tile, and in which windows it is: the days after a window's first and before the label's."""
        return [
            (day, *tile, inside)
            for day in self.label_days
            for tile, inside in window_bitmask({w: _whole_days(day, w) for w in self.windows}).items()
        ]


def _whole_days(day: date, window: str) -> Iterator[Tile]:
    whole = LIFETIME if window == LIFETIME else f"{days(window) - 1}d"
    return cover(day - timedelta(days=1), whole) if whole != "0d" else iter(())


def label_time_features(
    labels: DataFrame,
    partials: DataFrame,
    sessions: DataFrame,
    exact: LabelTimeFeatures,
    at: str,
    base: DataFrame | None = None,
) -> DataFrame:
    """`labels` with `<table>__<column>` for each asked-for feature, as of each label's own instant.

    Args:
        labels: any columns, the group's keys and the instant `at`; every row gives one row. They are read
            several times, so they should come straight from a source.
        partials: rows of `exact.group.partials()` of `exact.partial_days`.
        sessions: plays of `exact.play_days`.
        base: the same labels with more columns, to which the features are added instead.
    """
    group, rows = exact.group, labels if base is None else base
    label_keys = labels.select(*group.keys, F.col(f"`{at}`").alias("_t")).dropna().distinct()
    label_keys = label_keys.withColumn("_day", F.to_date("_t"))
    plays = plays_of_group(sessions, group).withColumn("_quarter", _quarter(F.col("played_at")))
    edges = _window_edges(label_keys, exact)
    pieces = [
        _whole_day_tiles(label_keys, partials, exact),
        _whole_quarters(edges, plays, exact),
        _plays_of_cut_quarter(edges, plays, exact),
    ]
    summed = _values(reduce(DataFrame.unionByName, pieces), exact)
    found = label_keys.select(*group.keys, "_t").join(summed, [*group.keys, "_t"], "left")
    return _join_labels(rows, found, exact, at)


def _join_labels(rows: DataFrame, found: DataFrame, exact: LabelTimeFeatures, at: str) -> DataFrame:
    keys = exact.group.keys
    named = {f"{exact.group.table}__{f.name(w)}": with_default(f, F.col(f.name(w))) for f, w in exact.wanted}
    values = [column.alias(name) for name, column in named.items()]
    values_of_labels = found.select(*[F.col(key).alias(f"_of_{key}") for key in keys], "_t", *values)
    same = [rows[f"`{key}`"] == values_of_labels[f"_of_{key}"] for key in keys]
    joined = rows.join(values_of_labels, [*same, rows[f"`{at}`"] == values_of_labels["_t"]], "left")
    return joined.select(*[rows[f"`{name}`"] for name in rows.columns], *named)


def _values(pieces: DataFrame, exact: LabelTimeFeatures) -> DataFrame:
    by = [*exact.group.keys, "_t"]
    age = (F.unix_micros("_t") - F.unix_micros(F.date_add("ds", 1).cast("timestamp"))) / MICROS_A_DAY
    summed = pieces.groupBy(*by).agg(*totals(exact.wanted, exact.windows, age))
    return summed.select(*by, *values(exact.wanted, F.col("_t")))


def _whole_day_tiles(label_keys: DataFrame, partials: DataFrame, exact: LabelTimeFeatures) -> DataFrame:
    schema = "_day date, ds date, span int, _inside long"
    plan = label_keys.sparkSession.createDataFrame(exact.plan, schema)
    keys = exact.group.keys
    rows = partials.select(*keys, "ds", "span", *_names(exact))
    return (
        label_keys.join(F.broadcast(plan), "_day")
        .join(rows, [*keys, "ds", "span"])
        .select(*keys, "_t", "ds", "_inside", *_names(exact))
    )


def _window_edges(label_keys: DataFrame, exact: LabelTimeFeatures) -> DataFrame:
    """Per instant: the label's own day up to it, for all windows; and per window, its first day from there on."""
    everything = (1 << len(exact.windows)) - 1
    ends = [_edge(F.col("_t"), everything, before=True)]
    ends += [
        _edge(F.col("_t") - F.expr(f"interval {24 * days(window)} hours"), 1 << i, before=False)
        for i, window in enumerate(exact.windows)
        if window != LIFETIME
    ]
    edges = label_keys.select(*exact.group.keys, "_t", F.inline(F.array(*ends)))
    return edges.withColumns({"ds": F.to_date("_cut"), "_at_quarter": _quarter(F.col("_cut"))})


def _edge(cut: Column, inside: int, before: bool) -> Column:
    return F.struct(
        cut.alias("_cut"), F.lit(inside).cast("bigint").alias("_inside"), F.lit(before).alias("_before")
    )


def _quarter(instant: Column) -> Column:
    return F.floor(F.pmod(F.unix_micros(instant), F.lit(MICROS_A_DAY)) / QUARTER).cast("int")


def _whole_quarters(edges: DataFrame, plays: DataFrame, exact: LabelTimeFeatures) -> DataFrame:
    folded = _fold_quarters(plays, exact, [])
    side = F.when(F.col("_before"), F.col("_quarter") < F.col("_at_quarter")).otherwise(
        F.col("_quarter") > F.col("_at_quarter")
    )
    return _of(edges.join(folded, [*exact.group.keys, "ds"]).where(side), exact)


def _plays_of_cut_quarter(edges: DataFrame, plays: DataFrame, exact: LabelTimeFeatures) -> DataFrame:
    folded = _fold_quarters(plays, exact, ["played_at", "play_id"])
    side = F.when(F.col("_before"), F.col("played_at") < F.col("_cut")).otherwise(
        F.col("played_at") >= F.col("_cut")
    )
    quarter = edges.withColumnRenamed("_at_quarter", "_quarter")
    return _of(quarter.join(folded, [*exact.group.keys, "ds", "_quarter"]).where(side), exact)


def _fold_quarters(plays: DataFrame, exact: LabelTimeFeatures, finer: Sequence[str]) -> DataFrame:
    return plays.groupBy(*exact.group.keys, "ds", "_quarter", *finer).agg(*map(fold, exact.parts))


def _of(rows: DataFrame, exact: LabelTimeFeatures) -> DataFrame:
    return rows.select(*exact.group.keys, "_t", "ds", "_inside", *_names(exact))


def _names(exact: LabelTimeFeatures) -> list[str]:
    return [part.name for part in exact.parts]
