"""What the rows of an input became: counted by their reasons, and said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from expectations.verdict import Refused
from jobs.job import Job

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row

# The commonest ones; the report has all of them, as a measure each.
REASONS_SHOWN = 5


@dataclass(frozen=True)
class RowCounts:
    """`reasons` counts the rejects with each reason; `left_out` those of other kinds, as the source declares."""

    rows: int
    rejected: int
    left_out: int
    reasons: Mapping[str, int]


def count_reasons(rows_with_reasons: DataFrame) -> list[Row]:
    """`file`, `reasons` and `count` of the rows of a file that have the very same reasons."""
    from pyspark.sql import functions as F

    # one pass for rows, rejects and reasons: there are few different lists of reasons. Less the header of each file
    # that has one, which is no row of it
    rows = F.count("*") - F.max(F.col("is_header").cast("int"))
    grouped = rows_with_reasons.groupBy("file", "reasons").agg(rows.alias("count")).collect()
    return [row for row in grouped if row["count"]]


def sum_reasons(counts: Iterable[Row]) -> Counter[str]:
    # a row with two reasons counts once for each, so these add up to more than the rejects
    reasons: Counter[str] = Counter()
    for row in counts:
        reasons.update(dict.fromkeys(row["reasons"] or (), row["count"]))
    return reasons


def count_rows(rows_with_reasons: DataFrame) -> RowCounts:
    counts = count_reasons(rows_with_reasons)
    return RowCounts(
        rows=sum(row["count"] for row in counts),
        rejected=sum(row["count"] for row in counts if row["reasons"]),
        left_out=sum(row["count"] for row in counts if row["reasons"] is None),
        reasons=sum_reasons(counts),
    )


def measure_reasons(reasons: Mapping[str, int]) -> dict[str, float]:
    """For the report."""
    return {f"rejects_{'_'.join(reason.split())}": count for reason, count in reasons.items()}


def say_reasons(job: Job, reasons: Mapping[str, int]) -> None:
    for reason, count in sorted(reasons.items(), key=lambda item: -item[1])[:REASONS_SHOWN]:
        job.say(f"    {count:,} rejected: {reason}")


def add_quarantine_hint(job: Job, refused: Refused, rejected: int, rejects_table: str) -> Refused:
    if not rejected:
        return refused
    where = (
        f"The {rejected:,} rejected rows are published in {job.warehouse.table_path(rejects_table)}, "
        "a Delta table: each with its text, file and reasons."
    )
    return Refused(f"{refused}\n{where}", refused.verdict)
