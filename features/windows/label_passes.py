"""Windows of several groups at the instants of events, in one pass over all of them.

What `label_time` computes for one group, where planning a query for each would take longer than the rows do. Labels,
events and partials of all groups are rows of one table each, by the number of their windows and keys of one name; what
they come to is one aggregate for each label. Labels are events themselves, each with a key that no other has, and the
event that a label is counts in no window of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial, reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.windows import operations
from features.windows.events import plays_of_group
from features.windows.label_time import LabelTimeFeatures, find_quarter
from features.windows.operations import AT, DAY, ID, INSTANT, WINDOW_BITS
from features.windows.values import VALUES
from schemas.common import MICROS_A_DAY, quote_name
from schemas.declarations import FeatureGroup
from schemas.parts import Part

# Working columns: the number of a row's windows; a quarter of an hour that an instant cuts, of which plays are rows of
# their own, or `_WHOLE` for the quarters of a day, each a row; and the play of such a row.
_NUMBER, _CUT, _PLAYED_AT, _PLAY = "_number", "_cut_quarter", "_played_at", "_play"
_WHOLE = -1
_union = partial(DataFrame.unionByName, allowMissingColumns=True)


@dataclass(frozen=True)
class Windows:
    """Features of plays of `request.label_days`, and what they are merged from; see `label_time_features`."""

    request: LabelTimeFeatures
    partials: DataFrame
    plays: DataFrame

    @property
    def group(self) -> FeatureGroup:
        return self.request.group

    @property
    def label_days(self) -> Sequence[date]:
        return self.request.label_days

    @property
    def fits(self) -> bool:
        """Whether a sum over rows is all that it takes: lists of items and distinct values are rows of other kinds."""
        return not self.request.day_plan and all(f.op in VALUES for f, _ in self.request.features)


@dataclass(frozen=True)
class DayCount:
    """Days after that of a play on which its entity has a partial, within `days`; for plays of `label_days`."""

    column: str
    group: FeatureGroup
    days: int
    label_days: Sequence[date]
    # of the group, those of one day each
    partials: DataFrame


def add_values(
    rows: DataFrame,
    labels: DataFrame,
    key: str,
    at: str,
    windows: Sequence[Windows],
    day_counts: Sequence[DayCount] = (),
) -> DataFrame:
    """`rows` with a column for each feature and count; null for labels of other days, and without a key of the group.

    Args:
        rows: the labels, with more columns.
        labels: events with `ds`, the instant `at` and the columns of all groups' keys. They are read several times, so
            they should come straight from a source.
        key: the labels' own, as of events.
        windows: those that `fits` is true of.
    """
    needs: list[Windows | DayCount] = [*windows, *day_counts]
    if not needs:
        return rows
    width = max(len(each.group.keys) for each in needs)
    labels = labels.withColumns({_PLAY: F.col(key), INSTANT: F.col(at)})
    pieces = [_count_active_days(labels, width, n, count) for n, count in enumerate(day_counts)]
    if windows:
        pieces.append(_merge_ends(labels, windows, width))
    if any(each.request.plan for each in windows):
        pieces.append(_merge_tiles(labels, windows, width))
    # none of these overlap, so they merge like the parts of different days
    merged = reduce(_union, pieces).groupBy(_PLAY, INSTANT).agg(*_totals(windows, day_counts))
    values = merged.select(F.col(_PLAY).alias(key), *_values(windows, day_counts))
    return rows.join(values, key, "left").withColumns(_defaults(windows, day_counts))


def _has_windows(each: Windows | DayCount) -> Column:
    """Whether a label has them: of its day, and with every key."""
    keys = [F.col(key).isNotNull() for key in each.group.keys]
    return reduce(Column.__and__, keys, F.col("ds").isin(list(each.label_days)))


def _name_keys(group: FeatureGroup, width: int) -> list[Column]:
    names = [F.col(quote_name(key)) for key in group.keys] + [F.lit("")] * (width - len(group.keys))
    return [name.alias(f"_key_{n}") for n, name in enumerate(names)]


def _list_keys(width: int) -> list[str]:
    return [f"_key_{n}" for n in range(width)]


def _add_numbers(labels: DataFrame, structs: Iterable[Column]) -> DataFrame:
    """A row for each label and each of these that it has, without what groups have no use for."""
    return labels.select(_PLAY, INSTANT, F.inline(F.array(*structs))).where(F.col(_NUMBER).isNotNull())


def _number(n: int, each: Windows, width: int, *fields: Column) -> Column:
    struct = F.struct(F.lit(n).alias(_NUMBER), *_name_keys(each.group, width), *fields)
    return F.when(_has_windows(each), struct)


def _merge_ends(labels: DataFrame, windows: Sequence[Windows], width: int) -> DataFrame:
    """The parts of days at the two ends of windows: whole quarters, and the plays of those that an instant cuts."""
    edges, keys = _add_numbers(labels, _list_edges(windows, width)), _list_keys(width)
    edges = edges.withColumns({"ds": F.to_date("_cut"), "_quarter_of_cut": find_quarter(F.col("_cut"))})
    cuts = F.explode(F.array(F.lit(_WHOLE), F.col("_quarter_of_cut"))).alias(_CUT)
    rows = edges.select("*", cuts).join(_fold_plays(windows, width), [_NUMBER, *keys, "ds", _CUT])
    before, quarter, at = F.col("_before"), F.col("_quarter"), F.col(_PLAYED_AT)
    quarters = F.when(before, quarter < F.col("_quarter_of_cut")).otherwise(
        quarter > F.col("_quarter_of_cut")
    )
    plays = F.when(before, at < F.col("_cut")).otherwise(at >= F.col("_cut"))
    # others of the label's instant count
    plays &= F.col(_PLAY) != F.col("_id_of_play")
    parts = [part.name for part in _list_parts(windows)]
    inside = F.when(F.col(_CUT) == _WHOLE, quarters).otherwise(plays)
    return rows.where(inside).select(_PLAY, INSTANT, _NUMBER, "ds", WINDOW_BITS, *parts)


def _list_edges(windows: Sequence[Windows], width: int) -> Iterator[Column]:
    for n, each in enumerate(windows):
        for days, bits, before in each.request.edges:
            cut = F.col(INSTANT) + F.expr(f"interval {24 * days} hours")
            window_bits = F.lit(bits).cast("bigint").alias(WINDOW_BITS)
            yield _number(n, each, width, cut.alias("_cut"), window_bits, F.lit(before).alias("_before"))


def _fold_plays(windows: Sequence[Windows], width: int) -> DataFrame:
    """Parts of each quarter of a day, and of each play; see `_CUT`."""
    plays = reduce(_union, (_select_plays(n, each, width) for n, each in enumerate(windows)))
    none = (F.lit(None).cast("timestamp").alias(_PLAYED_AT), F.lit(None).cast("string").alias("_id_of_play"))
    whole = F.struct(F.lit(_WHOLE).alias(_CUT), *none)
    one = F.struct(F.col("_quarter").alias(_CUT), F.col(AT).alias(_PLAYED_AT), F.col(ID).alias("_id_of_play"))
    by = [_NUMBER, *_list_keys(width), "ds", "_quarter", _CUT, _PLAYED_AT, "_id_of_play"]
    folds = [operations.fold(_of_input(part)).alias(part.name) for part in _list_parts(windows)]
    return plays.select("*", F.inline(F.array(whole, one))).groupBy(*by).agg(*folds)


def _select_plays(n: int, each: Windows, width: int) -> DataFrame:
    # inputs are computed here: what is an error of other groups' plays is computed of none of them
    inputs = [
        operations.filtered_input(part.of, part.where).alias(_name_input(part)) for part in each.request.parts
    ]
    keys, quarter = _name_keys(each.group, width), find_quarter(F.col(AT)).alias("_quarter")
    plays = plays_of_group(each.plays, each.group)
    return plays.select(F.lit(n).alias(_NUMBER), *keys, "ds", quarter, AT, ID, *inputs)


def _list_parts(windows: Sequence[Windows]) -> list[Part]:
    """By name: groups that have the same part share the column."""
    return list({part.name: part for each in windows for part in each.request.parts}.values())


def _name_input(part: Part) -> str:
    return f"input of {part.name}"


def _of_input(part: Part) -> Part:
    return replace(part, of=f"`{_name_input(part)}`", where="true")


def _merge_tiles(labels: DataFrame, windows: Sequence[Windows], width: int) -> DataFrame:
    """The whole days of windows."""
    plan = [(n, *row) for n, each in enumerate(windows) for row in each.request.plan]
    schema = f"{_NUMBER} int, {DAY} date, ds date, span int, {WINDOW_BITS} long"
    days = F.broadcast(labels.sparkSession.createDataFrame(plan, schema))
    whole = [(n, each) for n, each in enumerate(windows) if each.request.plan]
    rows = _add_numbers(labels, [_number(n, each, width) for n, each in whole])
    tiles = rows.withColumn(DAY, F.to_date(INSTANT)).join(days, [_NUMBER, DAY])
    partials = reduce(
        _union,
        (
            each.partials.select(
                F.lit(n).alias(_NUMBER),
                *_name_keys(each.group, width),
                "ds",
                "span",
                *[part.name for part in each.request.parts],
            )
            for n, each in whole
        ),
    )
    return tiles.join(partials, [_NUMBER, *_list_keys(width), "ds", "span"]).drop(
        DAY, "span", *_list_keys(width)
    )


def _count_active_days(labels: DataFrame, width: int, n: int, count: DayCount) -> DataFrame:
    """A row for each day that counts."""
    own = labels.where(_has_windows(count)).select(
        _PLAY, INSTANT, F.col("ds").alias(DAY), *_name_keys(count.group, width)
    )
    days = count.partials.where("span = 1").select("ds", *_name_keys(count.group, width))
    active = own.join(days, _list_keys(width)).where(
        (F.col("ds") > F.col(DAY)) & (F.col("ds") < F.date_add(DAY, count.days))
    )
    # a partial of one day is unique for its entity and day
    return active.select(_PLAY, INSTANT, F.lit(1).alias(f"_active_{n}"))


def _totals(windows: Sequence[Windows], day_counts: Sequence[DayCount]) -> Iterator[Column]:
    age = (F.unix_micros(INSTANT) - F.unix_micros(F.date_add("ds", 1).cast("timestamp"))) / MICROS_A_DAY
    for n, each in enumerate(windows):
        yield from operations.totals(
            each.request.features, each.request.windows, age, F.col(_NUMBER) == n, f"{n}: "
        )
    for n, _ in enumerate(day_counts):
        yield F.count(f"_active_{n}").alias(f"_active_{n}")


def _values(windows: Sequence[Windows], day_counts: Sequence[DayCount]) -> Iterator[Column]:
    for n, each in enumerate(windows):
        request = each.request
        values = operations.values(request.features, F.col(INSTANT), request.ahead, f"{n}: ")
        yield from (
            value.alias(request.name(*feature))
            for feature, value in zip(request.features, values, strict=True)
        )
    for n, count in enumerate(day_counts):
        yield F.col(f"_active_{n}").alias(count.column)


def _defaults(windows: Sequence[Windows], day_counts: Sequence[DayCount]) -> dict[str, Column]:
    """What is of no plays where a label has none in a window, and null where it has no window."""
    columns = {}
    for each in windows:
        for f, w in each.request.features:
            name = each.request.name(f, w)
            columns[name] = F.when(_has_windows(each), operations.with_default(f, F.col(name)))
    for count in day_counts:
        columns[count.column] = F.when(_has_windows(count), F.coalesce(F.col(count.column), F.lit(0)))
    return columns
