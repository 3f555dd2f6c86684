"""Vectors of two spaces never come into one training set; by the rule of `segue.spaces`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

from features.joins.feature_table import FeatureTable
from features.joins.histories import DailyHistory
from jobs.job import Job
from jobs.training.labels import Labels
from jobs.training.request import Request
from segue.spaces import check_has_spaces, resolve_space
from segue.storage import SPACE

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_VECTORS = ("array<float>", "array<double>")


def keep_one_space(
    job: Job, request: Request, labels: Labels, tables: Sequence[FeatureTable]
) -> tuple[list[FeatureTable], str | None]:
    """The tables without rows of days in another space than the requested one, and the space of what is left;
    None where there are no vectors.

    Raises:
        UsageError: no space is requested, and the labels' days are in several; or one that there is not.
        SegueError: a day has several.
    """
    with_vectors = [table for table in tables if _is_of_one_space(table, request.space)]
    check_has_spaces(request.space, with_vectors, [table.name for table in tables])
    # two small jobs per such table: over the labels' keys and instants, then over the spaces of the days
    # that these get. Of no other days: a table may hold spaces that no label meets
    spaces = {table.name: _read_spaces(table.rows, _days(request, labels, table)) for table in with_vectors}
    chosen = resolve_space(spaces, request.space, lambda: _read_all_spaces(job, with_vectors))
    days = {
        name: [day for day, of_day in of_days.items() if chosen in of_day] for name, of_days in spaces.items()
    }
    # no column of such a table declares a default: a label of a day without rows gets nulls
    return [replace(t, rows=_of_days(t.rows, days[t.name])) if t.name in days else t for t in tables], chosen


def _is_of_one_space(table: FeatureTable, space: str | None) -> bool:
    """Whether days of other spaces are left out: by default only where vectors are requested."""
    if SPACE not in table.rows.columns:
        return False
    # weights and counts of two spaces may stand side by side; only vectors do not compare
    vectors = {field.name for field in table.rows.schema if field.dataType.simpleString() in _VECTORS}
    return space is not None or bool(vectors & set(table.columns))


def _days(request: Request, labels: Labels, table: FeatureTable) -> list[date]:
    """Those that some label gets a row of, if there is one of its keys."""
    from pyspark.sql import functions as F

    # by the join's own rule, so that both mean the same day
    at = F.col(f"`{request.at}`")
    feature_at = DailyHistory(table, "r", request.as_published).visible_feature_at(at)
    rows = labels.rows.dropna(subset=[*table.keys])
    if request.age_limit is not None:
        rows = rows.where(feature_at >= at - F.lit(request.age_limit))
    # as days: Spark hands instants over in the zone of the machine
    midnights = rows.select(F.to_date(feature_at).alias("day")).where("day is not null").distinct().collect()
    return sorted(row["day"] - timedelta(days=1) for row in midnights)


def _read_spaces(rows: DataFrame, days: Sequence[date]) -> dict[date, set[str]]:
    spaces: dict[date, set[str]] = {}
    # a row per day and space, and a day should have one: few enough for the driver
    for row in _of_days(rows, days).select("ds", SPACE).distinct().collect():
        spaces.setdefault(row["ds"], set()).add(row[SPACE])
    return spaces


def _read_all_spaces(job: Job, tables: Sequence[FeatureTable]) -> set[str]:
    """Of every day of the tables, those that no label gets included."""
    rows = (job.at(table.name, job.version(table.name)).select(SPACE).distinct() for table in tables)
    return {row[SPACE] for each in rows for row in each.collect()}


def _of_days(rows: DataFrame, days: Sequence[date]) -> DataFrame:
    from pyspark.sql import functions as F

    return rows.where(F.col("ds").isin(list(days)))
