"""Puts a training set together: labels, what held at their instants, and the splits."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import TYPE_CHECKING

from features.joins.point_in_time import FeatureTable, Snapshot, point_in_time_join
from features.joins.splits import split
from features.windows.exact import Exact, exact_features
from jobs.errors import WrongUsage
from jobs.job import Job
from jobs.training.labels import Labels
from jobs.training.request import Request, daily_columns, entity_of, exact_columns, group_of, split_refs
from jobs.training.spaces import in_one_space
from schemas import CONTRACTS
from segue import storage

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def assembled(
    job: Job, request: Request, labels: Labels, tables: dict[str, int]
) -> tuple[DataFrame, str | None]:
    """The labels with their features, at these versions of the tables, and the space that their vectors are in.

    Raises:
        WrongUsage: features that there are not; labels without the keys of a table; labels later than the plays.
        UsageError: vectors of several spaces, or a space that there is not.
    """
    daily_refs, exact_refs = split_refs(request)
    daily = daily_columns(daily_refs, tables)
    joined = [_table(job, request, labels, name, columns) for name, columns in daily.items()]
    joined, space = in_one_space(job, request, labels, joined)
    rows = labels.rows
    if joined:
        rows = point_in_time_join(rows, joined, request.at, request.known)
    for name, columns in exact_columns(exact_refs).items():
        rows = _merged(job, request, labels, rows, name, columns)
    return _with_split(request, rows), space


def lost(request: Request, columns: list[str]) -> dict[str, str]:
    """Per daily table, SQL that is true for a label whose values were too old for it."""
    if request.max_age is None:
        return {}
    limit = round(request.max_age * 86_400_000_000)
    age = f"unix_micros(`{request.at}`) - unix_micros(`{{}}`)"
    return {
        name.removesuffix("__feature_at"): f"{age.format(name)} > {limit}"
        for name in columns
        if name.endswith("__feature_at")
    }


def _table(job: Job, request: Request, labels: Labels, name: str, columns: tuple[str, ...]) -> FeatureTable:
    contract = CONTRACTS[name]
    keys = entity_of(contract)
    _check_keys(request, labels, name, keys)
    snapshots = tuple(_serving(_snapshots(job, name), labels.first, labels.last, request.known))
    return FeatureTable(
        name=name,
        rows=job.read(name, [snapshot.ds for snapshot in snapshots]),
        keys=keys,
        columns=columns,
        max_age=request.oldest,
        snapshots=snapshots,
        defaults={c: d for c in columns if (d := contract.column(c).default) is not None},
    )


def _snapshots(job: Job, name: str) -> list[Snapshot]:
    """The published days, oldest first; a day that was published in parts was all there with the last."""
    uri = job.warehouse.table_path(name)
    found: dict[date, datetime] = {}
    for file in storage.Snapshot.at(uri, job.version(name)).files:
        day, at = file.partition["ds"], file.partition["available_at"]
        found[day] = max(at, found.get(day, at))
    return [Snapshot(day, at) for day, at in sorted(found.items())]


def _serving(days: list[Snapshot], first: datetime, last: datetime, known: bool) -> Iterator[Snapshot]:
    """Those that some label between the two instants can get: no later ones, and of the earlier ones the newest."""
    in_time = [day for day in days if _since(day, known) <= last]
    before = [day.ds for day in in_time if _since(day, known) <= first]
    yield from (day for day in in_time if not before or day.ds >= max(before))


def _since(day: Snapshot, known: bool) -> datetime:
    return max(day.feature_at, day.available_at) if known else day.feature_at


def _check_keys(request: Request, labels: Labels, name: str, keys: tuple[str, ...]) -> None:
    if missing := [key for key in keys if key not in labels.rows.columns]:
        raise WrongUsage(
            f"labels {request.labels}: {name} is looked up by {', '.join(keys)}, and there is no {', '.join(missing)}; "
            f"there are: {', '.join(labels.rows.columns)}"
        )


def _merged(
    job: Job, request: Request, labels: Labels, rows: DataFrame, name: str, columns: tuple[str, ...]
) -> DataFrame:
    group = group_of(name)
    _check_keys(request, labels, name, group.keys)
    if request.known:
        raise WrongUsage(
            f"{name}: --known asks for what had been published; windows at a label's instant never were"
        )
    heard = job.source("sessions").days
    if labels.days[-1] > heard[-1]:
        raise WrongUsage(
            f"{name}: labels go on to {labels.days[-1]}, plays end {heard[-1]}: their windows would be too short. "
            "Leave those labels out, or ask for daily features"
        )
    try:
        exact = Exact(group, columns, labels.days)
    except ValueError as problem:
        raise WrongUsage(str(problem)) from None
    partials = job.read(group.partials_table, exact.partial_days)
    plays = job.read("sessions", exact.play_days)
    return exact_features(labels.rows, partials, plays, exact, request.at, beside=rows)


def _with_split(request: Request, rows: DataFrame) -> DataFrame:
    from pyspark.sql import functions as F

    if not (request.instants or request.shares):
        return rows
    entity = _split_entity(request, rows)
    if "split" in rows.columns:
        raise WrongUsage("the labels have a column 'split' already; rename it")
    at = F.col(f"`{request.at}`")
    return rows.withColumn("split", split(at, request.split_instants, entity, request.shares))


def _split_entity(request: Request, rows: DataFrame) -> Column | None:
    from pyspark.sql import functions as F

    shares = request.shares
    if bool(shares) != bool(request.split_by):
        raise WrongUsage("--split-by COLUMN and --shares SHARE ... go together")
    if not shares:
        return None
    if len(shares) not in (2, 3) or abs(sum(shares) - 1) > 1e-9 or min(shares) < 0:
        raise WrongUsage(f"--shares takes two or three that add up to 1; got {' '.join(map(str, shares))}")
    if request.split_by not in rows.columns:
        raise WrongUsage(
            f"--split-by {request.split_by}: no such column; there are: {', '.join(rows.columns)}"
        )
    return F.col(f"`{request.split_by}`")
