"""Each operation: how plays are folded into its parts, and how parts are merged, to end as values (`values.py`).

`items` and `distinct`, which need a row per value, compute their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from pyspark.sql import Column
from pyspark.sql import functions as F

from features.windows.tiles import Tile
from features.windows.values import VALUES, VALUES_AHEAD
from schemas.common import MICROS_A_DAY
from schemas.declarations import Feature, window_days
from schemas.parts import Part

# Working columns, which no table has. A play, or another event, has an instant and an id, whatever they are called;
# a row of parts is merged into a day, or into the instant of a label.
AT: Final = "_at"
ID: Final = "_id"
DAY: Final = "_day"
INSTANT: Final = "_instant"
# Days from the end of the row's own days to the end of what it is merged into.
AGE: Final = "_age"
# Bit i is set if the row is in the i-th window. So a row is read once for all windows, which overlap.
WINDOW_BITS: Final = "_window_bits"

# HyperLogLog registers as a power of two, and KLL's k; the errors are in schemas/operations.py.
HLL_REGISTERS, KLL_K = 12, 200

# Features, each over one of its windows.
FeatureWindows = Sequence[tuple[Feature, str]]


class Aggregate(NamedTuple):
    """How a kind of part is computed; `schemas/parts.py` says what each kind contains."""

    fold: Callable[[Part, Column], Column]
    # of the column of the part, and the age of each of its rows
    merge: Callable[[Part, Column, Column], Column]


def fold(part: Part) -> Column:
    """Over the plays of one entity and day."""
    value = filtered_input(part.of, part.where)
    return _AGGREGATES[part.kind].fold(part, value).alias(part.name)


def merge(part: Part, column: Column, age: Column) -> Column:
    """Over parts whose days do not overlap; null where none is there."""
    return _AGGREGATES[part.kind].merge(part, column, age)


def filtered_input(sql: str, where: str) -> Column:
    # null is what every aggregate leaves out; without a filter, no expression more per play and part
    return F.expr(sql) if where == "true" else F.when(F.expr(where), F.expr(sql))


def windows_of(features: FeatureWindows) -> list[str]:
    """Every window that some total is over, each once."""
    return list(dict.fromkeys(over for f, w in features for _, over in required_totals(f, w)))


def window_bitmask(covers: Mapping[str, Iterable[Tile]]) -> dict[Tile, int]:
    """The tiles of some windows; bit i says that a tile belongs to the i-th."""
    masks: dict[Tile, int] = {}
    for i, tiles in enumerate(covers.values()):
        for tile in tiles:
            masks[tile] = masks.get(tile, 0) | 1 << i
    return masks


def in_window(windows: Sequence[str], window: str) -> Column:
    return F.col(WINDOW_BITS).bitwiseAND(1 << windows.index(window)) != 0


def required_totals(feature: Feature, window: str) -> list[tuple[Part, str]]:
    """The totals that a feature is computed from: which part, over which window."""
    windows = feature.operation.total_windows(window)
    return [(part, over) for part in feature.parts(window) for over in windows]


def totals(
    features: FeatureWindows, windows: Sequence[str], age: Column, where: Column | None = None, of: str = ""
) -> list[Column]:
    """Every part over every window that needs it, once, to be aggregated per entity.

    Args:
        where: which rows are of these features, if others are among them; then `of` is what sets their totals apart.
    """
    is_in = {w: in_window(windows, w) if where is None else where & in_window(windows, w) for w in windows}
    return [
        merge(part, F.when(is_in[over], F.col(part.name)), age).alias(of + _total_name(part, over))
        for part, over in dict.fromkeys(need for f, w in features for need in required_totals(f, w))
    ]


def values(features: FeatureWindows, at: Column, ahead: bool = False, of: str = "") -> list[Column]:
    """The features, in terms of the totals, as of the instant `at`; null where there is nothing.

    Args:
        ahead: windows begin at that instant, and do not end there.
        of: as `totals` has it.
    """
    columns, rules = [], VALUES_AHEAD if ahead else VALUES
    for f, w in features:
        merged = [F.col(f"`{of}{_total_name(part, over)}`") for part, over in required_totals(f, w)]
        columns.append(rules[f.op](f, merged, at).alias(f.name(w)))
    return columns


def _total_name(part: Part, window: str) -> str:
    # no column of a table has a comma in its name
    return f"{part.name}, {window}"


def with_default(feature: Feature, value: Column) -> Column:
    """In the type that was declared, and with the value of no plays where there were none."""
    # all windows of a feature have one type
    type_ = next(feature.columns()).type
    empty = feature.empty_value
    if empty is None:
        return value.cast(type_)
    default = F.array(*map(F.lit, empty)) if isinstance(empty, list) else F.lit(empty)
    return F.coalesce(value.cast(type_), default.cast(type_))


def _merge_sums(part: Part, column: Column, _: Column) -> Column:
    # Spark's sum of decimals has ten digits more, up to 38, than what it adds up
    return F.sum(column).cast(part.type)


def _to_decimal(value: Column, scale: int) -> Column:
    # doubles are added as decimals, whose sum is the same in any order of the rows
    return value.cast(f"decimal(38,{scale})")


def _merge_arrays(length: Callable[[Part], int]) -> Callable[[Part, Column, Column], Column]:
    """Element by element."""
    return lambda part, column, _: F.array(*[F.sum(column[n]) for n in range(length(part))])


def _fold_squares(_: Part, value: Column) -> Column:
    whole = value.cast("decimal(19,0)")  # 19 digits hold any bigint, 38 its square
    return F.sum(whole * whole).cast("decimal(38,0)")


def _fold_histogram(part: Part, value: Column) -> Column:
    limits = [float("-inf"), *_edges(part), float("inf")]
    # at the outer limits nothing is compared, so that infinities and NaN, to Spark the greatest, count as well
    between = [
        (value >= low if low != limits[0] else F.lit(True))
        & (value < high if high != limits[-1] else value.isNotNull())
        for low, high in pairwise(limits)
    ]
    return F.array(*[F.count_if(each) for each in between])


def _edges(part: Part) -> list[float]:
    return [float(edge) for edge in part.detail.split()]


def _collect_plays(part: Part, value: Column) -> Column:
    row = F.struct(F.col(AT).alias("at"), F.col(ID).alias("play_id"), value.alias("value"))
    return _nearest_k(part, F.collect_list(F.when(value.isNotNull(), row)))


def _nearest_k(part: Part, plays: Column) -> Column:
    # structs are sorted by their fields in order: the instant, then the play's id where two are at one instant
    return F.slice(F.sort_array(plays, asc=part.kind == "earliest"), 1, int(part.detail))


def _fold_hll(_: Part, value: Column) -> Column:
    # hashed, as the sketch passes over empty strings, which are values
    hashed = F.when(value.isNotNull(), F.xxhash64(value.cast("string")))
    return F.hll_sketch_agg(hashed, HLL_REGISTERS)


def _decay_weight(part: Part, age: Column) -> Column:
    """2^(-age / half-life). As 2^-(a + b) = 2^-a 2^-b, a day's sum needs no plays to be aged further."""
    return F.pow(F.lit(2.0), -age / window_days(part.detail))


def _fold_decayed(part: Part, value: Column) -> Column:
    # to the end of the play's own day, which is the age that every merge adds its days to
    midnight = F.unix_micros(F.date_add("ds", 1).cast("timestamp"))
    age = (midnight - F.unix_micros(value)) / MICROS_A_DAY
    return F.sum(_to_decimal(_decay_weight(part, age), 18))


def _merge_decayed(part: Part, column: Column, age: Column) -> Column:
    # rounded at each merge, to 18 decimals: there a backfill can differ from daily runs
    return F.sum(_to_decimal(column * _decay_weight(part, age), 18))


def _fold_decayed_ahead(part: Part, value: Column) -> Column:
    since = (F.unix_micros(value) - F.unix_micros(F.col("ds").cast("timestamp"))) / MICROS_A_DAY
    return F.sum(_to_decimal(_decay_weight(part, since), 18))


def _merge_decayed_ahead(part: Part, column: Column, age: Column) -> Column:
    # from the label to the beginning of the day; the label's own begins before it
    return F.sum(_to_decimal(column * _decay_weight(part, -(age + 1)), 18))


def _fold_extent(_: Part, value: Column) -> Column:
    at = F.when(value.isNotNull(), F.col(AT))
    return F.when(F.count(at) > 0, F.struct(F.min(at).alias("first"), F.max(at).alias("last")))


def _merge_extents(_: Part, column: Column, __: Column) -> Column:
    """Bit n is set if there is a play in the n-th 24 hours from the label's instant on."""
    # a day is of two such, and its first and last play tell of both
    begin = F.unix_micros(INSTANT)
    bits = [
        F.call_function("shiftleft", F.lit(1).cast("bigint"), _whole_days(begin, column[end]))
        for end in ("first", "last")
    ]
    return F.bit_or(bits[0].bitwiseOR(bits[1]))


def _whole_days(begin: Column, instant: Column) -> Column:
    return F.floor((F.unix_micros(instant) - begin) / F.lit(MICROS_A_DAY)).cast("int")


def _merge_bitmaps(_: Part, column: Column, age: Column) -> Column:
    """Bits of different parts are of different days, so their sum sets them all."""
    older = F.least(age, F.lit(63)).cast("int")
    # days that would be moved beyond bit 62 are dropped first: bit 63 is the sign
    recent = column.bitwiseAND(F.call_function("shiftright", F.lit(2**63 - 1), older))
    return F.sum(F.call_function("shiftleft", recent, older))


_AGGREGATES: dict[str, Aggregate] = {
    "count": Aggregate(lambda _, value: F.count(value), _merge_sums),
    "true": Aggregate(lambda _, value: F.count_if(value), _merge_sums),
    "sum": Aggregate(lambda _, value: F.sum(value.cast("bigint")), _merge_sums),
    "exact": Aggregate(lambda _, value: F.sum(_to_decimal(value, 12)), _merge_sums),
    "squares": Aggregate(_fold_squares, _merge_sums),
    "exact_squares": Aggregate(lambda _, value: F.sum(_to_decimal(value * value, 12)), _merge_sums),
    "min": Aggregate(lambda _, value: F.min(value), lambda _, column, __: F.min(column)),
    "max": Aggregate(lambda _, value: F.max(value), lambda _, column, __: F.max(column)),
    "histogram": Aggregate(_fold_histogram, _merge_arrays(lambda part: len(_edges(part)) + 1)),
    **dict.fromkeys(
        ("earliest", "latest"),
        Aggregate(
            _collect_plays, lambda part, column, _: _nearest_k(part, F.flatten(F.collect_list(column)))
        ),
    ),
    # a few kilobytes per entity and tile, whatever the plays
    "hll": Aggregate(_fold_hll, lambda _, column, __: F.hll_union_agg(column, F.lit(True))),
    "kll": Aggregate(
        lambda _, value: F.kll_sketch_agg_double(value.cast("double"), F.lit(KLL_K)),
        lambda _, column, __: F.kll_merge_agg_double(column),
    ),
    "hours": Aggregate(
        lambda _, value: F.array(*[F.count_if(F.hour(value) == hour) for hour in range(24)]),
        _merge_arrays(lambda _: 24),
    ),
    "decayed": Aggregate(_fold_decayed, _merge_decayed),
    "decayed_ahead": Aggregate(_fold_decayed_ahead, _merge_decayed_ahead),
    "extent": Aggregate(_fold_extent, _merge_extents),
    "heard_on": Aggregate(
        lambda _, value: F.when(F.count(value) > 0, F.lit(1)).otherwise(0).cast("bigint"), _merge_bitmaps
    ),
}
