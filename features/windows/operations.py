"""Each operation: how plays are folded into its parts, how parts are merged, and what value they end as.

`items` and `distinct`, which need a row per value, compute their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from itertools import pairwise
from typing import Final, NamedTuple

from pyspark.sql import Column
from pyspark.sql import functions as F

from features.windows.tiles import Tile
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
# The merged parts in the order of the declaration, and the instant at which the window ends.
Value = Callable[[Feature, list[Column], Column], Column]


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


def totals(features: FeatureWindows, windows: Sequence[str], age: Column) -> list[Column]:
    """Every part over every window that needs it, once, to be aggregated per entity."""
    return [
        merge(part, F.when(in_window(windows, over), F.col(part.name)), age).alias(_total_name(part, over))
        for part, over in dict.fromkeys(need for f, w in features for need in required_totals(f, w))
    ]


def values(features: FeatureWindows, at: Column) -> list[Column]:
    """The features, in terms of the totals, as of the instant `at`; null where there is nothing."""
    columns = []
    for f, w in features:
        merged = [F.col(f"`{_total_name(part, over)}`") for part, over in required_totals(f, w)]
        columns.append(VALUES[f.op](f, merged, at).alias(f.name(w)))
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


def _ratio(_: Feature, totals: list[Column], __: Column) -> Column:
    return F.try_divide(totals[0].cast("double"), totals[1].cast("double"))


def _variance(feature: Feature, totals: list[Column], _: Column) -> Column:
    """From exact sums: (n Q - S²) / n²."""
    squares, total, count = totals
    if feature.input_type == "double":
        mean = F.try_divide(total.cast("double"), count)
        # of equal values the two sides differ by rounding alone, which may leave a little less than nothing
        spread = F.greatest(F.try_divide(squares.cast("double"), count) - mean * mean, F.lit(0.0))
        # `greatest` passes over a null
        return F.when(mean.isNotNull(), F.round(spread, 12))
    # integers stay integers until the end, so nothing cancels
    whole = total.cast("decimal(19,0)")
    spread = count.cast("decimal(19,0)") * squares - whole * whole
    return F.try_divide(F.try_divide(spread.cast("double"), count), count)


def _log2_growth(_: Feature, totals: list[Column], __: Column) -> Column:
    recent, both = (F.coalesce(count, F.lit(0)) for count in totals)
    # one play more on both sides: a first week of plays has a growth, and no play at all has none
    return F.log2((recent + 1) / (both - recent + 1))


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


def _quantiles(feature: Feature, totals: list[Column], _: Column) -> Column:
    sketch = totals[0]
    ranks = F.array(*map(F.lit, feature.at)).cast("array<double>")
    # a sketch of no values has no quantile, and asking for one is an error
    return F.when(F.kll_sketch_get_n_double(sketch) > 0, F.kll_sketch_get_quantile_double(sketch, ranks))


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


def _merge_bitmaps(_: Part, column: Column, age: Column) -> Column:
    """Bits of different parts are of different days, so their sum sets them all."""
    older = F.least(age, F.lit(63)).cast("int")
    # days that would be moved beyond bit 62 are dropped first: bit 63 is the sign
    recent = column.bitwiseAND(F.call_function("shiftright", F.lit(2**63 - 1), older))
    return F.sum(F.call_function("shiftleft", recent, older))


def _hour_shares(_: Feature, totals: list[Column], __: Column) -> Column:
    by_hour = [F.coalesce(totals[0][n], F.lit(0)) for n in range(24)]
    plays = F.greatest(reduce(lambda a, b: a + b, by_hour), F.lit(1))
    return F.when(totals[0].isNotNull(), F.array(*[count / plays for count in by_hour]))


def _streak(_: Feature, totals: list[Column], __: Column) -> Column:
    """The ones at the low end of the bits: adding one turns just those over."""
    bits = totals[0]
    return F.bit_count(bits.bitwiseXOR(bits + 1)) - 1


def _days_since(_: Feature, totals: list[Column], at: Column) -> Column:
    return (F.unix_micros(at) - F.unix_micros(totals[0])) / MICROS_A_DAY


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
    "heard_on": Aggregate(
        lambda _, value: F.when(F.count(value) > 0, F.lit(1)).otherwise(0).cast("bigint"), _merge_bitmaps
    ),
}
VALUES: dict[str, Value] = {
    **dict.fromkeys(("count", "sum", "min", "max", "decayed"), lambda _, totals, __: totals[0]),
    **dict.fromkeys(("mean", "rate", "ratio"), _ratio),
    "variance": _variance,
    "trend": _log2_growth,
    # where no part is there, a sum of its elements is null, and the histogram has zeros
    "histogram": lambda _, totals, __: F.transform(totals[0], lambda count: F.coalesce(count, F.lit(0))),
    # `get`, as an index beyond the end of a list is an error in ANSI mode
    **dict.fromkeys(("first", "last"), lambda _, totals, __: F.get(totals[0], F.lit(0))["value"]),
    "last_k": lambda _, totals, __: F.transform(totals[0], lambda play: play["value"]),
    "approx_distinct": lambda _, totals, __: F.hll_sketch_estimate(totals[0]),
    "percentiles": _quantiles,
    "hours": _hour_shares,
    "streak": _streak,
    **dict.fromkeys(("days_since_first", "days_since_last"), _days_since),
}
