"""Vectors of two spaces never come into one training set; by the rule of `segue.spaces`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from features.joins.feature_table import FeatureTable, PublishedDay
from features.joins.serving import to_micros
from jobs.job import Job
from jobs.training.labels import Labels
from jobs.training.published_days import find_days, is_of
from jobs.training.request import Request
from segue.spaces import check_has_spaces, resolve_space
from segue.storage import SPACE

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
    spaces = {table.name: _read_spaces(table, find_days(request, labels, table)) for table in with_vectors}
    of_tables = {name: [(day.ds, of_day) for day, of_day in days.items()] for name, days in spaces.items()}
    chosen = resolve_space(of_tables, request.space, lambda: _read_all_spaces(job, with_vectors))
    days = {
        name: [day for day, of_day in of_days.items() if chosen in of_day] for name, of_days in spaces.items()
    }
    # no column of such a table declares a default: a label of a day without rows gets nulls
    return [
        replace(t, rows=t.rows.where(is_of(t, days[t.name]))) if t.name in days else t for t in tables
    ], chosen


def _is_of_one_space(table: FeatureTable, space: str | None) -> bool:
    """Whether days of other spaces are left out: by default only where vectors are requested."""
    if SPACE not in table.rows.columns:
        return False
    # weights and counts of two spaces may stand side by side; only vectors do not compare
    vectors = {field.name for field in table.rows.schema if field.dataType.simpleString() in _VECTORS}
    return space is not None or bool(vectors & set(table.columns))


def _read_spaces(table: FeatureTable, days: Sequence[PublishedDay]) -> dict[PublishedDay, set[str]]:
    """Of the publications that labels get; none for one without rows."""
    from pyspark.sql import functions as F

    at = F.unix_micros("available_at") if table.is_republished else F.lit(None)
    columns = [F.col("ds"), at.alias("at"), F.col(SPACE)]
    spaces: dict[tuple[date, int | None], set[str]] = {}
    # a row per publication and space, and a publication should have one: few enough for the driver
    for row in table.rows.where(is_of(table, days)).select(*columns).distinct().collect():
        spaces.setdefault((row["ds"], row["at"]), set()).add(row[SPACE])
    keys = {day: (day.ds, to_micros(day.available_at) if table.is_republished else None) for day in days}
    return {day: spaces[key] for day, key in keys.items() if key in spaces}


def _read_all_spaces(job: Job, tables: Sequence[FeatureTable]) -> set[str]:
    """Of every day of the tables, those that no label gets included."""
    rows = (job.at(table.name, job.version(table.name)).select(SPACE).distinct() for table in tables)
    return {row[SPACE] for each in rows for row in each.collect()}
