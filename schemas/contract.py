"""What a contract is, and the one function that checks a DataFrame against it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # contracts are plain data: reading one must not need Spark
    from pyspark.sql import DataFrame
    from pyspark.sql.types import DataType, StructType


class ContractError(ValueError):
    """A DataFrame that differs from its contract; the text lists every discrepancy."""


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    # Spark DDL
    type: str
    comment: str
    # empty where the type says it all
    unit: str = ""
    nullable: bool = True
    # a hard range, as SQL after the column's name (`>= 0`): a last line behind the expectations, for what the
    # code that makes the rows promises
    check: str = ""
    # what an entity without a row has, as JSON has it; None where that is unknown
    default: Any = None
    # why nobody should begin to use it; empty for a column that stays
    deprecated: str = ""
    # what becomes of the value on days of which no row is written: see `Feature.describe_idle`
    idle: str = ""
    # whether `feature_profiles` says how its values are distributed: not of ids, hashes, vectors and free text
    profile: bool = True

    @property
    def metadata(self) -> dict[str, str]:
        """Stored in the table itself, for clients without contracts."""
        comment = f"{self.comment} [{self.unit}]" if self.unit else self.comment
        # 0 and [] are defaults as well; no entry at all says that there is none
        default = {} if self.default is None else {"segue.default": json.dumps(self.default)}
        deprecated = {"segue.deprecated": self.deprecated} if self.deprecated else {}
        idle = {"segue.idle": self.idle} if self.idle else {}
        return {"comment": comment, **default, **deprecated, **idle}


@dataclass(frozen=True)
class Contract:
    """One table; `key` is unique per row."""

    name: str
    meaning: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    # the column that look-ups ask by, and what `bucket` hashes
    entity: str | None = None
    event_time: str | None = None
    # an `available_at` that is a partition stands in the log alone: the commit sets it and copies no file
    partitions: tuple[str, ...] = ("ds", "available_at")
    # 0 for tables without an entity
    buckets: int = 0
    # columns whose minimum and maximum the log may hold: an id of a listener would outlive its erasure there
    statistics: tuple[str, ...] = ()
    # by users, who take columns away as well: the table keeps such a column, null in what is published from then on
    declared: bool = False

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def by_day(self) -> bool:
        """Whether a batch replaces days; otherwise it replaces the whole table."""
        return "ds" in self.partitions

    @property
    def daily(self) -> bool:
        """Whether a row says what an entity was on a day: what labels are joined to."""
        keys = [name for name in self.key if name != "ds"]
        return len(keys) < len(self.key) and all(self.column(name).type == "string" for name in keys)

    @property
    def one_row_per_entity(self) -> bool:
        """On a day, or of all where it has no days: what look-ups are for."""
        return self.entity is not None and {*self.key} - {"ds"} == {self.entity}

    @property
    def personal(self) -> bool:
        """Whether rows name a listener, so that erasing one must rewrite them."""
        return "user_id" in self.names

    @property
    def versioned(self) -> bool:
        """Whether rows are of one training of embeddings: who reads two such tables of a day compares vectors."""
        return "version_id" in self.names and "version_id" not in self.key

    @property
    def constraints(self) -> dict[str, str]:
        """CHECK constraints by name: hard ranges, and keys that are not empty."""
        # A table keeps those that it was created with. To Delta a check that comes to null is broken, so a column
        # that may be null says so.
        ranges = {
            f"{c.name}_range": (f"{c.name} is null or " if c.nullable else "") + f"{c.name} {c.check}"
            for c in self.columns
            if c.check
        }
        keys = [name for name in self.key if self.column(name).type == "string"]
        return ranges | {f"{name}_not_empty": f"{name} <> ''" for name in keys}

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    def extend(self, columns: Iterable[Column]) -> Contract:
        """With those of these columns that it has not."""
        # at the end, where the table gets them too
        new = tuple(column for column in columns if column.name not in self.names)
        return replace(self, columns=(*self.columns, *new)) if new else self

    def struct(self) -> StructType:
        """The Spark schema, comments included."""
        from pyspark.sql.types import StructField, StructType

        return StructType(
            [StructField(c.name, _spark_type(c.type), c.nullable, c.metadata) for c in self.columns]
        )


def conform(df: DataFrame, contract: Contract) -> DataFrame:
    """The contract's columns of `df`, in the contract's order; `bucket` and `available_at` may be absent.

    Raises:
        ContractError: once, with every column that is there twice, missing, unexpected, wrongly typed or nullable.
    """
    # a column that is there twice cannot be referred to, not even to add others beside it
    duplicates = sorted({name for name in df.columns if df.columns.count(name) > 1})
    df = df if duplicates else _add_implied_columns(df, contract)
    actual = {field.name: field for field in df.schema.fields}
    expected = {field.name: field for field in contract.struct().fields}
    shared = [name for name in expected if name in actual]
    discrepancies = {
        "twice": duplicates,
        "missing": [n for n in expected if n not in actual],
        "unexpected": [n for n in actual if n not in expected],
        "wrong type": [
            f"{n} (is {actual[n].dataType.simpleString()}, contract says {contract.column(n).type})"
            for n in shared
            if actual[n].dataType.simpleString() != expected[n].dataType.simpleString()
        ],
        # one way only: a column that the contract lets be null may be declared not null
        "null where the contract allows none": [
            n for n in shared if actual[n].nullable and not expected[n].nullable
        ],
    }
    if any(discrepancies.values()):
        parts = [f"{kind}: {', '.join(names)}" for kind, names in discrepancies.items() if names]
        raise ContractError(f"table {contract.name} breaks its contract; {'; '.join(parts)}")
    return df.select(*contract.names)


def add_new_columns(rows: DataFrame, contract: Contract) -> DataFrame:
    """Columns declared since a table was last published to come with its next batch; until then no row has a value."""
    from pyspark.sql import functions as F

    missing = [column for column in contract.columns if column.name not in rows.columns]
    nulls = {column.name: F.lit(None).cast(column.type) for column in missing}
    return rows.withColumns(nulls) if nulls else rows


def _add_implied_columns(df: DataFrame, contract: Contract) -> DataFrame:
    from pyspark.sql import functions as F

    # the instant of publication is known only at the commit
    implied = {"available_at": F.lit(None).cast("timestamp")}
    if contract.entity in df.columns:
        bucket = F.expr(f"cast(pmod(xxhash64({contract.entity}), {contract.buckets}) as int)")
        implied["bucket"] = F.coalesce(bucket, F.lit(0))  # to the planner, any remainder may be null
    absent = {n: c for n, c in implied.items() if n in contract.names and n not in df.columns}
    return df.withColumns(absent)


def _spark_type(text: str) -> DataType:
    from pyspark.sql import types as T

    # `StructType.fromDDL` needs a JVM, and tables are created and verified without one
    if text.startswith("array<"):
        return T.ArrayType(_spark_type(text[len("array<") : -1]))
    if text.startswith("struct<"):
        fields = (field.partition(":") for field in text[len("struct<") : -1].split(","))
        return T.StructType([T.StructField(name, _spark_type(type_)) for name, _, type_ in fields])
    if text.startswith("decimal("):
        return T.DecimalType(*map(int, re.findall(r"\d+", text)))
    numbers = (T.LongType(), T.IntegerType(), T.DoubleType(), T.FloatType())
    others = (T.StringType(), T.BinaryType(), T.BooleanType(), T.TimestampType(), T.DateType())
    return {type_.simpleString(): type_ for type_ in (*numbers, *others)}[text]
