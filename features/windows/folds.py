"""How plays fold into each kind of part, and how parts merge; `schemas/parts.py` says what each kind holds."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from pyspark.sql import Column
from pyspark.sql import functions as F

from schemas.declarations import days
from schemas.parts import Part

MICROS_A_DAY = 86_400_000_000
# HyperLogLog registers as a power of two, and KLL's k; the errors stand in schemas/operations.py.
HLL_REGISTERS, KLL_K = 12, 200

Fold = Callable[[Part, Column], Column]
# The column and its age: days from the end of a part to the end of what it is merged into.
Merge = Callable[[Part, Column, Column], Column]


def fold(part: Part) -> Column:
    """Over the plays of one entity and day."""
    value = known(part.of, part.where)
    return _FOLDS[part.kind](part, value).alias(part.name)


def known(sql: str, where: str) -> Column:
    """An input, of the plays that a filter lets through."""
    return F.expr(sql) if where == "true" else F.when(F.expr(where), F.expr(sql))


def merge(part: Part, column: Column, age: Column) -> Column:
    """Over parts whose days do not overlap; null where none is there."""
    return _MERGES[part.kind](part, column, age)


def _decimal(value: Column, scale: int) -> Column:
    return value.cast(f"decimal(38,{scale})")


def _sum_of_squares(_: Part, value: Column) -> Column:
    whole = value.cast("decimal(19,0)")
    return F.sum(whole * whole).cast("decimal(38,0)")


def _collect_plays(part: Part, value: Column) -> Column:
    row = F.struct(F.col("played_at").alias("at"), "play_id", value.alias("value"))
    return _nearest_k(part, F.collect_list(F.when(value.isNotNull(), row)))


def _nearest_k(part: Part, lists: Column) -> Column:
    return F.slice(F.sort_array(lists, asc=part.kind == "earliest"), 1, int(part.detail))


def _hours(_: Part, value: Column) -> Column:
    return F.array(*[F.count_if(F.hour(value) == hour) for hour in range(24)])


def edges(part: Part) -> list[float]:
    return [float(edge) for edge in part.detail.split()]


def _histogram(part: Part, value: Column) -> Column:
    limits = [float("-inf"), *edges(part), float("inf")]
    between = [
        (value >= low if low != limits[0] else F.lit(True))
        & (value < high if high != limits[-1] else value.isNotNull())
        for low, high in pairwise(limits)
    ]
    return F.array(*[F.count_if(each) for each in between])


def _hash(value: Column) -> Column:
    """The sketch passes over empty strings, which are values."""
    return F.when(value.isNotNull(), F.xxhash64(value.cast("string")))


def _decay_weight(part: Part, days_old: Column) -> Column:
    return F.pow(F.lit(2.0), -days_old / days(part.detail))


def _decayed(part: Part, value: Column) -> Column:
    midnight = F.unix_micros(F.date_add("ds", 1).cast("timestamp"))
    age = (midnight - F.unix_micros(value)) / MICROS_A_DAY
    return F.sum(_decimal(_decay_weight(part, age), 18))


def _active_day_bit(_: Part, value: Column) -> Column:
    return F.when(F.count(value) > 0, F.lit(1)).otherwise(0).cast("bigint")


_FOLDS: dict[str, Fold] = {
    "count": lambda _, value: F.count(value),
    "true": lambda _, value: F.count_if(value),
    "sum": lambda _, value: F.sum(value.cast("bigint")),
    "exact": lambda _, value: F.sum(_decimal(value, 12)),
    "squares": _sum_of_squares,
    "exact_squares": lambda _, value: F.sum(_decimal(value * value, 12)),
    "min": lambda _, value: F.min(value),
    "max": lambda _, value: F.max(value),
    "earliest": _collect_plays,
    "latest": _collect_plays,
    "hours": _hours,
    "histogram": _histogram,
    "decayed": _decayed,
    "heard_on": _active_day_bit,
    "hll": lambda _, value: F.hll_sketch_agg(_hash(value), HLL_REGISTERS),
    "kll": lambda _, value: F.kll_sketch_agg_double(value.cast("double"), F.lit(KLL_K)),
}


def _sum(part: Part, column: Column, _: Column) -> Column:
    return F.sum(column).cast(part.type)


def _sum_elementwise(length: Callable[[Part], int]) -> Merge:
    return lambda part, column, _: F.array(*[F.sum(column[n]) for n in range(length(part))])


def _merge_bitmaps(_: Part, column: Column, age: Column) -> Column:
    """Bits of different parts are of different days, so their sum sets them all."""
    older = F.least(age, F.lit(63)).cast("int")
    kept = column.bitwiseAND(F.call_function("shiftright", F.lit(2**63 - 1), older))
    return F.sum(F.call_function("shiftleft", kept, older))


_MERGES: dict[str, Merge] = {
    **dict.fromkeys(("count", "true", "sum", "exact", "squares", "exact_squares"), _sum),
    "min": lambda _, column, __: F.min(column),
    "max": lambda _, column, __: F.max(column),
    **dict.fromkeys(
        ("earliest", "latest"), lambda part, column, _: _nearest_k(part, F.flatten(F.collect_list(column)))
    ),
    "hours": _sum_elementwise(lambda _: 24),
    "histogram": _sum_elementwise(lambda part: len(edges(part)) + 1),
    "decayed": lambda part, column, age: F.sum(_decimal(column * _decay_weight(part, age), 18)),
    "heard_on": _merge_bitmaps,
    "hll": lambda _, column, __: F.hll_union_agg(column, F.lit(True)),
    "kll": lambda _, column, __: F.kll_merge_agg_double(column),
}
