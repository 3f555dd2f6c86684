"""Which expectations of a suite seeded faults break, in one pass over all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
from great_expectations.expectations.expectation import Expectation
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from expectations.quarantine import find_violation_sql
from expectations.suite import Bound, Suite
from jobs.publishing.declared_columns import schema_of
from reference.seeded_faults import Name, Seed, list_names, seed_faults
from schemas import Contract


def make_frame(spark: SparkSession, suite: Suite, contract: Contract) -> tuple[list[Seed], DataFrame]:
    """All faults of a suite, four rows each, and the fault's place as a column."""
    seeds = list(seed_faults(suite, contract))
    rows = [{"fault": place, **row} for place, seed in enumerate(seeds) for row in seed.rows]
    # nullable, whatever the contract says, or Spark would take for granted that nothing is null
    fields = [field.with_nullable(True) for field in pa.schema(schema_of(contract).to_arrow())]
    # by Arrow, as so few rows are then part of the plan: conditions are evaluated over them without a job
    return seeds, spark.createDataFrame(
        pa.Table.from_pylist(rows, schema=pa.schema([pa.field("fault", pa.int32()), *fields]))
    )


def count_violations(suite: Suite, faults: int, df: DataFrame) -> list[dict[Name, int]]:
    """Of each fault in order, rows that break each expectation, by its name."""
    names = list_names(suite)
    rows = {name: each for name, each in names.items() if not isinstance(each, Bound)}
    arguments = [each.configuration.kwargs for each in rows.values()]
    flags = [
        find_violation_sql(e) or f"{a['column']} is null"
        for e, a in zip(rows.values(), arguments, strict=True)
    ]
    values = [f"cast({a.get('value', 'null')} as string)" for a in arguments]
    found = df.selectExpr("fault", f"array({', '.join(flags)})", f"array({', '.join(values)})").collect()
    by_fault = {fault: [row[1:] for row in found if row[0] == fault] for fault in range(faults)}
    counts = [
        {
            name: _count(
                each, [broken[n] for broken, _ in by_fault[fault]], [seen[n] for _, seen in by_fault[fault]]
            )
            for n, (name, each) in enumerate(rows.items())
        }
        for fault in range(faults)
    ]
    for fault, broken in find_broken_shares([each for each in names.values() if isinstance(each, Bound)], df):
        counts[fault] |= broken
    return counts


def find_broken_shares(bounds: Sequence[Bound], df: DataFrame) -> Iterator[tuple[int, dict[Name, int]]]:
    if bounds:
        for fault, *shares in df.groupBy("fault").agg(*[F.expr(each.share) for each in bounds]).collect():
            pairs = zip(bounds, shares, strict=True)
            yield (
                fault,
                {(b.column, b.limits): int(not b.check({b.measure: share}).success) for b, share in pairs},
            )


def _count(expectation: Expectation, broken: Sequence[bool | None], values: Sequence[str | None]) -> int:
    """Rows that break it; 1 where they do so together."""
    if find_violation_sql(expectation):
        return sum(map(bool, broken))
    if "value" in expectation.configuration.kwargs:
        return int(len({*values} - {None}) > 1)
    return int(all(broken))
