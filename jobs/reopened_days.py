"""Which published days of a group's tables are stale for some entities alone: those whose events are others now.

A day names what it was made of. Where that is the name that an earlier version of the source gives it, the events that
differ between that version and now are all that can have changed it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

from pyarrow.fs import FileType

from features.windows.additions import FEW_ROWS
from features.windows.events import find_changed_entities
from features.windows.reopened import ReopenedDays
from jobs.group_events import find_events
from jobs.inputs import TableInput
from jobs.job import Job
from jobs.publishing.commits import list_file_days
from jobs.publishing.state import TableState
from jobs.stale_features import Names, StaleDays, name_features, name_partials
from schemas import FeatureGroup
from segue import log

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Versions to look back at. A night makes one to three of each table; a day that is older is made as a whole.
_VERSIONS = 8


@dataclass(frozen=True)
class StaleEvents:
    """`days` are published, and were made of the source as it was at version `before`."""

    days: tuple[date, ...]
    before: TableState


def find_stale_partial_events(job: Job, group: FeatureGroup, stale: StaleDays) -> StaleEvents | None:
    """Of stale partials; None where they are to be made as a whole."""
    published = _select_published(job, group, group.partials_table, stale)
    for events in _list_versions(job, group.events.name) if published else ():
        if _holds(published, name_partials(group, events)):
            return StaleEvents(tuple(published), events)
    return None


def find_stale_feature_events(job: Job, group: FeatureGroup, stale: StaleDays) -> StaleEvents | None:
    """Of stale features, whose partials must have been made of the same events; None as above."""
    published = _select_published(job, group, group.table, stale)
    if not published:
        return None
    partials, last = list(_list_versions(job, group.partials_table)), max(published)
    now = job.source(group.partials_table), job.source(group.events.name)
    if not _are_partials_of(group, *now, last):
        return None
    for events in _list_versions(job, group.events.name):
        for each in partials:
            if _holds(published, name_features(each, events)) and _are_partials_of(group, each, events, last):
                return StaleEvents(tuple(published), events)
    return None


class ChangedEntities:
    """Of one group: both of its tables are stale by the same ones, which are found once and kept until it is closed."""

    def __init__(self, group: FeatureGroup) -> None:
        self._group = group
        self._found: dict[tuple[object, ...], tuple[DataFrame, int]] = {}

    def __enter__(self) -> ChangedEntities:
        return self

    def __exit__(self, *_: object) -> None:
        for entities, _count in self._found.values():
            entities.unpersist()

    def open_again(
        self, job: Job, table: str, stale: StaleEvents | None
    ) -> tuple[ReopenedDays, TableInput] | tuple[None, None]:
        """The days with these entities, and the rows of them that are published."""
        group, now = self._group, job.source(self._group.events.name)
        days = _list_differences(now, stale) if stale else []
        if stale is None or not _has_files(job, group, stale, days):
            return None, None
        key = now.version, stale.before.version, *days
        if key not in self._found:
            after = find_events(job, group, days)
            before = replace(after, events=replace(after.events, version=stale.before.version))
            entities = find_changed_entities(before.rows(), after.rows(), group).persist()
            self._found[key] = entities, entities.count()
        entities, count = self._found[key]
        if count > FEW_ROWS:
            return None, None
        job.say(
            f"{table}: entities that changed: {count:,}, in days: {len(stale.days)}; the rows of all others are kept"
        )
        published = job.table(table, stale.days)
        return ReopenedDays(stale.days, entities, published.rows()), published


def _select_published(job: Job, group: FeatureGroup, table: str, stale: StaleDays) -> dict[date, str]:
    """The stale days that are made by the same declarations, and the name of what each was made of."""
    state = job.state(table)
    # another catalogue can change the rows of any entity
    if state is None or group.catalogue_columns:
        return {}
    parts = {day: state.day_states[day] for day in stale.whole if day in state.day_states}
    return {
        day: part.upstream
        for day, part in parts.items()
        if part.upstream != stale.sources[day] and state.declared_columns(day) == stale.identities
    }


def _list_versions(job: Job, table: str) -> Iterator[TableState]:
    """What the table held before, newest first, back to the last erasure: that took rows out of days, unnamed."""
    now, path = job.source(table), job.warehouse.table_path(table)
    for version in range(now.version - 1, max(now.version - 1 - _VERSIONS, now.erased_in - 1), -1):
        if saved := log.read_state(path, version):
            yield TableState.loads(version, saved)


def _holds(published: dict[date, str], names: Names) -> bool:
    return all(names.get(day) == name for day, name in published.items())


def _are_partials_of(group: FeatureGroup, partials: TableState, events: TableState, last: date) -> bool:
    """Whether all partials up to a day are made of these events, so that nothing else has changed them."""
    names = name_partials(group, events)
    return all(partials.day_states[day].upstream == names.get(day) for day in partials.days if day <= last)


def _list_differences(now: TableState, stale: StaleEvents) -> list[date]:
    """The days with other rows now, up to the last that is stale."""
    old, new, last = stale.before.day_states, now.day_states, max(stale.days)
    differ = {day for day in new if day not in old or not old[day].same_content_as(new[day])}
    return sorted(day for day in {*differ, *set(old).difference(new)} if day and day <= last)


def _has_files(job: Job, group: FeatureGroup, stale: StaleEvents, days: Sequence[date]) -> bool:
    """Whether maintenance has not removed what the source held then."""
    table = job.warehouse.table(group.events.name, stale.before.version)
    if table is None:
        return False
    folder = job.warehouse.inner(job.warehouse.table_path(group.events.name))
    paths = [f"{folder}/{path}" for path, day in list_file_days(table) if day in days]
    return all(each.type == FileType.File for each in job.warehouse.files.get_file_info(paths))
