"""Puts a training set together: labels, the features as of their instants, and the splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from features.joins.feature_table import FEATURE_AT, output_name
from features.joins.point_in_time import FeatureTable, point_in_time_join
from features.joins.ripeness import Observation
from features.joins.splits import split
from features.windows.additions import FEW_ROWS
from features.windows.label_time import LabelTimeFeatures, label_time_features
from jobs.errors import WrongUsage
from jobs.group_events import find_events
from jobs.job import Job
from jobs.training.columns import SPLIT
from jobs.training.idle_rows import read_rows_of_labels
from jobs.training.labels import Labels, check_keys
from jobs.training.outcomes import add_outcomes
from jobs.training.published_days import LabelledDays
from jobs.training.request import Columns, Request, daily_columns, label_time_columns, split_refs
from jobs.training.requests import request_instant
from jobs.training.spaces import keep_one_space
from schemas import FEATURE_GROUPS
from schemas.common import MICROS_A_DAY, quote_name
from segue.publications import Publications
from segue.storage import Snapshot

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class TrainingRows:
    """The labels with their features, what came of them, and the split.

    `outputs` are the columns of features, `daily` the tables whose `feature_at` is among them; `space`
    is the one of the vectors, None where there are none.
    """

    rows: DataFrame
    outputs: tuple[str, ...]
    daily: tuple[str, ...]
    space: str | None


def assemble(
    job: Job,
    request: Request,
    labels: Labels,
    tables: dict[str, int],
    observations: Mapping[str, Observation] = MappingProxyType({}),
) -> TrainingRows:
    """What is requested, at these versions of the tables.

    Args:
        observations: of the tables of outcomes, what there is of their events.

    Raises:
        WrongUsage: features that there are not; labels without the keys of a table; labels later than the plays.
        UsageError: vectors of several spaces, or a space that there is not.
    """
    daily_refs, label_time_refs = split_refs(request)
    snapshot = cache(job.snapshot)
    daily = daily_columns(daily_refs, tables, snapshot)
    joined = [
        _feature_table(job, request, labels, snapshot(name), columns) for name, columns in daily.items()
    ]
    joined, space = keep_one_space(job, request, labels, joined)
    rows = labels.rows
    if joined:
        # one call for all tables: those with the same keys share one shuffle of the labels
        rows = point_in_time_join(rows, joined, request.at, request.as_published)
    for name, columns in label_time_columns(label_time_refs).items():
        rows = _join_label_time(job, request, labels, rows, name, columns)
    outputs = tuple(name for name in rows.columns if name not in labels.rows.columns)
    rows = add_outcomes(job, request, labels, rows, observations)
    return TrainingRows(_with_split(request, rows), outputs, tuple(daily), space)


def age_conditions(request: Request, tables: Sequence[str]) -> dict[str, str]:
    """Per daily table, SQL that is true for a label whose values were too old for it."""
    if request.max_age is None:
        return {}
    # in whole microseconds on both sides: exactly as old as the limit is not too old
    limit = round(request.max_age * MICROS_A_DAY)
    feature_at = {table: f"unix_micros({quote_name(output_name(table, FEATURE_AT))})" for table in tables}
    return {
        table: f"unix_micros({quote_name(request.at)}) - {at} > {limit}" for table, at in feature_at.items()
    }


def _feature_table(
    job: Job, request: Request, labels: Labels, table: Snapshot, columns: Columns
) -> FeatureTable:
    # the label's instant takes the place of the day
    keys = tuple(key for key in table.key if key != "ds")
    check_keys(request.labels, labels.rows, table.name, keys)
    days = LabelledDays(Publications(table, request.as_published), labels, request.as_published)
    feature_table = FeatureTable(
        name=table.name,
        rows=days.read(job),
        keys=keys,
        columns=columns,
        max_age=request.age_limit,
        published_days=days.days,
        # who has no row on the label's day has not played: that is a count of 0, not an unknown one
        defaults={name: default for name, default in table.defaults.items() if name in columns},
    )
    days.check(request, labels, feature_table)
    if table.idle.keys().isdisjoint(columns):
        # of all else, who has no row has the default either way
        return feature_table
    return replace(feature_table, rows=read_rows_of_labels(job, request, labels, feature_table, days))


def _join_label_time(
    job: Job, request: Request, labels: Labels, rows: DataFrame, name: str, columns: Columns
) -> DataFrame:
    group = next(group for group in FEATURE_GROUPS if group.table == name)
    check_keys(request.labels, labels.rows, name, group.keys)
    if request.as_published:
        raise WrongUsage(
            f"{name}: --as-published asks for what had been published; windows at a label's instant never were"
        )
    last_day = job.source(group.events.name).days[-1]
    if labels.days[-1] > last_day:
        events = "plays" if isinstance(group.source, str) else group.events.name
        raise WrongUsage(
            f"{name}: labels go on to {labels.days[-1]}, {events} end {last_day}: their windows would be too short. "
            "Leave those labels out, or ask for daily features"
        )
    try:
        exact = LabelTimeFeatures(group, columns, labels.days)
    except ValueError as problem:
        raise WrongUsage(str(problem)) from None
    partials = job.read(group.partials_table, exact.partial_days)
    plays = find_events(job, group, exact.play_days).rows()
    # of the labels as they were read: with the columns joined so far, the join would be run several times
    few = labels.count <= FEW_ROWS
    return label_time_features(labels.rows, partials, plays, exact, request.at, base=rows, few_labels=few)


def _with_split(request: Request, rows: DataFrame) -> DataFrame:
    if not (request.instants or request.shares):
        return rows
    from pyspark.sql import functions as F

    entity = F.col(quote_name(request.split_by)) if request.split_by and request.shares else None
    at = request_instant(request.at, request.groups)
    of_rows = split(at, request.split_instants, entity, request.shares, request.split_salt)
    return rows.withColumn(SPLIT, of_rows)
