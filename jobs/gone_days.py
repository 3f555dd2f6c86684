"""Days that a table holds and its source no longer has: nothing would ever take the place of what was made of them.

So they go, before anything is made of the table, in one commit that also makes stale what was made on top of them.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

from jobs.idle_rows import list_days_after
from jobs.inputs import WorkToDo, only_looks
from jobs.job import Job
from jobs.outcomes import PUBLISHED, Outcome, add_outcome
from jobs.publishing.state import TableState
from jobs.publishing.state_commits import remove_days
from schemas import FeatureGroup


def list_gone_days(table: TableState | None, source: Collection[date | None]) -> list[date]:
    return [day for day in table.days if day not in source] if table else []


def find_gone_partials(partials: TableState | None, events: TableState) -> list[date]:
    """Days before the first and after the last that the group's source has; tiles end on all between."""
    first, last = events.days[0], events.days[-1]
    return [day for day in partials.days if not first <= day <= last] if partials else []


def find_gone_features(
    group: FeatureGroup, features: TableState | None, events: TableState
) -> tuple[list[date], list[date]]:
    """The days without events, and those that are to be made again without them."""
    gone = list_gone_days(features, events.day_states)
    return gone, list_days_after(group, features, gone)


def remove_gone_partials(job: Job, group: FeatureGroup) -> Job:
    events, table = job.source(group.events.name), group.partials_table
    # what sums up one of them is stale by what it is made of
    return remove_gone_days(job, table, group.events.name, find_gone_partials(job.state(table), events), ())


def remove_gone_features(job: Job, group: FeatureGroup) -> Job:
    events, table = job.source(group.events.name), group.table
    return remove_gone_days(
        job, table, group.events.name, *find_gone_features(group, job.state(table), events)
    )


def remove_gone_days(
    job: Job, table: str, source: str, gone: Collection[date], again: Collection[date]
) -> Job:
    """The job to go on with, which sees the table without them."""
    if not gone:
        return job
    if only_looks():
        raise WorkToDo
    with job.lease(table):
        state = remove_days(job.warehouse, table, gone, again, {"run": job.run_id, "job": job.name})
    job.say(f"{table}: {len(gone)} days gone that {source} has no more, {min(gone)} to {max(gone)}")
    add_outcome(Outcome(table, PUBLISHED, 0, state.version if state else None))
    return job.fresh()
