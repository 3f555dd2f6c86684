"""The outcomes of a request: which labels' are known, by the release, and what they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, Any

from features.joins.ripeness import CENSORED, RIPE, STATUSES, UNRIPE, Observation
from features.joins.serving import midnight_after
from features.windows.label_time import LabelTimeFeatures, label_time_features
from jobs.errors import JobError, WrongUsage
from jobs.group_events import find_events
from jobs.job import Job
from jobs.receipts import find_erased
from jobs.training.labels import Labels, check_keys
from jobs.training.request import Request, outcome_groups_of
from jobs.training.requests import keep_whole
from schemas import FeatureGroup
from schemas.declarations import USER
from schemas.outcomes import reach
from segue.watermark import floor_day

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

Tables = Mapping[str, Mapping[str, Any]]
# By column of a status, how many labels have which.
Counts = Mapping[str, Mapping[str, int]]


def observe(job: Job, request: Request, labels: Labels, tables: Tables) -> dict[str, Observation]:
    """By table, what there is of the events that the requested outcomes are made of.

    Args:
        tables: of the release, at which they are read.
    """
    groups = outcome_groups_of(request.outcomes)
    for group in groups:
        own = group.events.key[0]
        keys = (*group.keys, own) if own in labels.rows.columns else group.keys
        check_keys(request.labels, labels.rows, group.table, keys)
        if missing := [name for name in (group.events.name, group.partials_table) if name not in tables]:
            raise WrongUsage(
                f"{group.table}: the release has no {' and no '.join(missing)} to make outcomes of"
            )
    return {group.table: _observe_group(job, group, tables) for group in groups}


def _observe_group(job: Job, group: FeatureGroup, tables: Tables) -> Observation:
    events, partials = group.events.name, group.partials_table
    of_events, of_partials = job.source(events).days, job.source(partials).days
    through = _complete_through(tables, partials, of_partials)
    if of_partials[-1] < of_events[-1]:
        # a table that is behind is as complete as its newest day, however much was delivered
        through = min(through, midnight_after(of_partials[-1]))
    # of a window, whole days are in the partials, and the part of its last day is in the events
    next_midnight = floor_day(through) + timedelta(days=1)
    return Observation(
        table=group.table,
        horizons=tuple(dict.fromkeys(reach(*each) for each in group.feature_windows)),
        begin=midnight_after(of_events[0] - timedelta(days=1)),
        end=midnight_after(of_events[-1]),
        through=min(_complete_through(tables, events, of_events), next_midnight - timedelta(microseconds=1)),
        erased=find_erased(job.warehouse, events, job.version(events)) if USER[0] in group.keys else {},
    )


def _complete_through(tables: Tables, table: str, days: Sequence[date]) -> datetime:
    # a manifest has it as text; of a table that says nothing, nothing after its newest day is known
    through = tables.get(table, {}).get("complete_through")
    instant = datetime.fromisoformat(through) if isinstance(through, str) else through
    return instant or midnight_after(days[-1])


def count_statuses(labels: Labels, observations: Mapping[str, Observation]) -> Counts:
    """How many labels are ripe, unripe and censored, which together are all of them; by column of a status."""
    from pyspark.sql import functions as F

    columns = _status_columns(observations)
    if not columns:
        return {}
    counts = [
        F.count_if(F.col(name) == status).alias(f"{name} {status}") for name in columns for status in STATUSES
    ]
    (row,) = _with_statuses(labels, observations).agg(*counts).collect()
    return {name: {status: row[f"{name} {status}"] for status in STATUSES} for name in columns}


def keep_ripe(request: Request, labels: Labels, observations: Mapping[str, Observation]) -> Labels:
    """Those whose outcomes are all known, whole requests of them; raises JobError where there are none."""
    from pyspark.sql import functions as F

    columns = _status_columns(observations)
    is_ripe = reduce(and_, (F.col(name) == RIPE for name in columns))
    rows = keep_whole(_with_statuses(labels, observations), is_ripe, request.groups)
    if (kept := labels.select(rows.drop(*columns))) is None:
        through = min(each.through for each in observations.values())
        raise JobError(
            f"labels {request.labels}: none of {labels.count:,} is ripe; events are complete through "
            f"{through:%Y-%m-%d %H:%M:%S} UTC, and the whole of a horizon must lie before that. Take earlier labels, "
            "or shorter horizons"
        )
    return kept


def _status_columns(observations: Mapping[str, Observation]) -> list[str]:
    return [name for each in observations.values() for name in each.columns.values()]


def _with_statuses(labels: Labels, observations: Mapping[str, Observation]) -> DataFrame:
    rows = labels.rows
    for each in observations.values():
        rows = each.add_statuses(rows, labels.at)
    return rows


def describe_counts(counts: Counts, ripe_only: bool) -> Iterable[str]:
    """For a person: a line for each column of a status."""
    for name, of_status in counts.items():
        numbers = ", ".join(f"{of_status[status]:,} {status}" for status in STATUSES)
        yield f"{name}: {numbers} of {sum(of_status.values()):,} labels"
    unknown = any(of_status[UNRIPE] or of_status[CENSORED] for of_status in counts.values())
    if unknown and not ripe_only:
        yield "outcomes of labels that are not ripe are null; --ripe-only leaves those labels out"


def add_outcomes(
    job: Job, request: Request, labels: Labels, rows: DataFrame, observations: Mapping[str, Observation]
) -> DataFrame:
    """`rows`, which are the labels with features, with their statuses and outcomes."""
    for group in outcome_groups_of(request.outcomes):
        observation = observations[group.table]
        names = tuple(f.name(w) for f, w in group.feature_windows)
        # no label of another day is ripe, and what is not is not read
        days = [day for day in labels.days if observation.begin.date() <= day <= observation.through.date()]
        ahead = LabelTimeFeatures(group, names, tuple(days), ahead=True)
        partials = job.read(group.partials_table, ahead.partial_days)
        events = find_events(job, group, ahead.play_days).rows()
        rows = observation.add_statuses(rows, request.at)
        rows = label_time_features(labels.rows, partials, events, ahead, request.at, base=rows)
        rows = rows.withColumns(dict(_hide_unknown(ahead, observation)))
    return rows


def _hide_unknown(ahead: LabelTimeFeatures, observation: Observation) -> Iterable[tuple[str, Column]]:
    """Null for what is not known: a count of the plays so far would be one of too few."""
    from pyspark.sql import functions as F

    for feature, horizon in ahead.features:
        name = ahead.name(feature, horizon)
        yield name, F.when(F.col(observation.columns[reach(feature, horizon)]) == RIPE, F.col(name))
