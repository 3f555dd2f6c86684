"""hours, decayed, streak, days_since_first, days_since_last: when plays were, more than what they were of."""

from __future__ import annotations

from functools import reduce

from pyspark.sql import Column
from pyspark.sql import functions as F

from features.windows.aggregates import Aggregate, Value, sum_arrays, to_decimal
from schemas.common import MICROS_A_DAY
from schemas.declarations import Feature, window_days
from schemas.parts import Part


def _decay_weight(part: Part, age: Column) -> Column:
    """2^(-age / half-life). As 2^-(a + b) = 2^-a 2^-b, a day's sum needs no plays to be aged further."""
    return F.pow(F.lit(2.0), -age / window_days(part.detail))


def _fold_decayed(part: Part, value: Column) -> Column:
    # to the end of the play's own day, which is the age that every merge adds its days to
    midnight = F.unix_micros(F.date_add("ds", 1).cast("timestamp"))
    age = (midnight - F.unix_micros(value)) / MICROS_A_DAY
    return F.sum(to_decimal(_decay_weight(part, age), 18))


def _merge_bitmaps(_: Part, column: Column, age: Column) -> Column:
    """Bits of different parts are of different days, so their sum sets them all."""
    older = F.least(age, F.lit(63)).cast("int")
    # days that would be moved beyond bit 62 are dropped first: bit 63 is the sign
    kept = column.bitwiseAND(F.call_function("shiftright", F.lit(2**63 - 1), older))
    return F.sum(F.call_function("shiftleft", kept, older))


AGGREGATES: dict[str, Aggregate] = {
    "hours": Aggregate(
        lambda _, value: F.array(*[F.count_if(F.hour(value) == hour) for hour in range(24)]),
        sum_arrays(lambda _: 24),
    ),
    # rounded at each merge, to 18 decimals: there a backfill can differ from daily runs
    "decayed": Aggregate(
        _fold_decayed, lambda part, column, age: F.sum(to_decimal(column * _decay_weight(part, age), 18))
    ),
    "heard_on": Aggregate(
        lambda _, value: F.when(F.count(value) > 0, F.lit(1)).otherwise(0).cast("bigint"), _merge_bitmaps
    ),
}


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


VALUES: dict[str, Value] = {
    "hours": _hour_shares,
    "decayed": lambda _, totals, __: totals[0],
    "streak": _streak,
    "days_since_first": _days_since,
    "days_since_last": _days_since,
}
