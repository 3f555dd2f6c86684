"""What a batch is as a whole: how many rows, which content, whether a key is there twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from schemas import Contract
from schemas.row_hash import row_hash

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, Row

# A 64-bit hash is summed in three parts: sums of whole ones overflow, which ANSI makes an error,
# and sums of halves would after two billion rows. This way 2^41 rows fit.
_PART_BITS = 22
_PARTS = ("low", "middle", "high")
# Of the columns that have a hash of their own.
_KEPT = "kept_"


@dataclass(frozen=True)
class DayProfile:
    """`content_hash` is the sum of the rows' hashes modulo 2^64, whatever the rows' order."""

    rows: int
    content_hash: int
    # the same of some of the columns, where they are requested
    kept_hash: int = 0


@dataclass(frozen=True)
class Profile:
    """A batch in numbers; `days` has the one key None where the table has no days."""

    rows: int
    duplicate_keys: int
    days: dict[date | None, DayProfile]

    @property
    def content_hash(self) -> str:
        """Of all rows; the hashes of disjoint parts of a table add up to the table's."""
        return f"{sum(day.content_hash for day in self.days.values()) % 2**64:016x}"


def profile(df: DataFrame, contract: Contract) -> Profile:
    """Rows and content per day, and how many rows share their key with an earlier one."""
    from pyspark.sql import functions as F

    # Two small aggregations in one query cost less than one over both grains, as a day's sums then need no shuffle
    # of rows; and a key that is there on two days is counted as well.
    per_day = _aggregate_per_day(df, contract)
    # Hashes of keys in this one pass are 2.5 times cheaper than a check for uniqueness.
    keys = df.agg(F.count_distinct(row_hash(df, contract.key)).alias("keys"))
    totals = per_day.unionByName(keys, allowMissingColumns=True).collect()
    days = _days(row for row in totals if row["keys"] is None)
    # a table without days is one group even where it is empty; of no days there is none
    if not (days or contract.by_day):
        days = {None: DayProfile(0, 0)}
    rows = sum(day.rows for day in days.values())
    # Two keys of one hash are no duplicates, so what the hashes say is counted again without them. A struct, as
    # Spark's count leaves out rows where any of several columns is null.
    duplicates = next(rows - row["keys"] for row in totals if row["keys"] is not None)
    if duplicates:
        distinct_keys = F.count_distinct(F.struct(*contract.key))
        duplicates = int(df.agg(F.count("*") - distinct_keys).collect()[0][0])
    return Profile(rows, duplicates, days)


def profile_days(
    df: DataFrame, contract: Contract, kept: Sequence[str] = ()
) -> dict[date | None, DayProfile]:
    """Rows and content per day alone, for rows whose keys have been audited before.

    Args:
        kept: columns, in order, of which each day gets a hash of its own.
    """
    return _days(_aggregate_per_day(df, contract, kept).collect())


def content(df: DataFrame, also: Mapping[str, Column]) -> tuple[DayProfile, dict[str, Any]]:
    """Rows and content of any DataFrame, and other aggregates of the same scan, by name."""
    from pyspark.sql import functions as F

    more = [column.alias(name) for name, column in also.items()]
    row = df.agg(F.count("*").alias("rows"), *_hash_sums(row_hash(df, df.columns)), *more).collect()[0]
    # over no rows the sums are null; a day always has some
    hash_of_all = _combine_hash_sums(row) if row["rows"] else 0
    return DayProfile(row["rows"], hash_of_all), {name: row[name] for name in also}


def _aggregate_per_day(df: DataFrame, contract: Contract, kept: Sequence[str] = ()) -> DataFrame:
    from pyspark.sql import functions as F

    day = F.col("ds") if contract.by_day else F.lit(None).cast("date")
    # `available_at` is no content: it is known only once the batch is published
    names = {
        "": [name for name in contract.names if name != "available_at"],
        **({_KEPT: kept} if kept else {}),
    }
    # each hash is a column first: as an expression it would be computed for each of its parts
    hashes = {prefix: row_hash(df, columns).alias(f"{prefix}hash") for prefix, columns in names.items()}
    sums = [sum_ for prefix in hashes for sum_ in _hash_sums(F.col(f"{prefix}hash"), prefix)]
    return df.select(day.alias("day"), *hashes.values()).groupBy("day").agg(F.count("*").alias("rows"), *sums)


def _days(rows: Iterable[Row]) -> dict[date | None, DayProfile]:
    return {
        row["day"]: DayProfile(
            row["rows"],
            _combine_hash_sums(row),
            _combine_hash_sums(row, _KEPT) if f"{_KEPT}{_PARTS[0]}" in row else 0,
        )
        for row in rows
    }


def _hash_sums(content: Column, prefix: str = "") -> list[Column]:
    from pyspark.sql import functions as F

    # unsigned: an arithmetic shift would fill the top of a negative hash with ones
    mask = F.lit((1 << _PART_BITS) - 1)
    parts = [F.shiftrightunsigned(content, i * _PART_BITS).bitwiseAND(mask) for i in range(len(_PARTS))]
    return [F.sum(part).alias(f"{prefix}{name}") for name, part in zip(_PARTS, parts, strict=True)]


def _combine_hash_sums(row: Row, prefix: str = "") -> int:
    # in Python's integers: the sums have up to 63 bits each, and are shifted
    return sum(int(row[prefix + part]) << (i * _PART_BITS) for i, part in enumerate(_PARTS)) % 2**64
