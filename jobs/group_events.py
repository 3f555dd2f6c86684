"""The events that a feature group sums up, as its SQL sees them: those of its source, joined to the catalogue."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from jobs.arguments import requested_days
from jobs.inputs import PinnedTables, TableInput
from jobs.publishing.state import TableState
from schemas import FeatureGroup
from schemas.contract import add_new_columns
from schemas.event_tables import Events
from schemas.tracks import TRACKS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class GroupEvents:
    """Some days of a group's source, and the catalogue; None where the group is made of no column of it."""

    group: FeatureGroup
    events: TableInput
    catalogue: TableInput | None

    def rows(self) -> DataFrame:
        from features.windows.catalogue import add_catalogue_columns

        rows, group = add_new_columns(self.events.rows(), self.group.events), self.group
        if self.catalogue is None:
            return rows
        tracks = add_new_columns(self.catalogue.rows(), group.catalogue)
        return add_catalogue_columns(rows, tracks, group.catalogue_columns)


def find_events(tables: PinnedTables, group: FeatureGroup, days: Sequence[date] | None = None) -> GroupEvents:
    """Raises JobError where the source, or the catalogue if the group is made of it, was never published."""
    catalogue = tables.table(TRACKS.name) if group.catalogue_columns else None
    return GroupEvents(group, tables.table(group.events.name, days), catalogue)


def find_tracks(tables: PinnedTables, group: FeatureGroup) -> TableState | None:
    """The state of the catalogue; None where the group is made of no column of it, or there is none."""
    return tables.state(TRACKS.name) if group.catalogue_columns else None


def find_requested(tables: PinnedTables, group: FeatureGroup, args: argparse.Namespace) -> list[date] | None:
    """The days that options name and the group has events of; None where the group alone has no events of any.

    Raises:
        WrongUsage: there were no plays on any of them.
    """
    requested = requested_days(args, list) if group.daily else []
    if not requested:
        return []
    days = tables.source(group.events.name).days
    # of other events a day may have none, and a flow names days to the steps of all groups
    if isinstance(group.source, Events) and not {*days}.intersection(requested):
        return None
    return requested_days(args, list, days)


def explain_no_entity(group: FeatureGroup, events: TableState, tracks: TableState | None) -> str:
    """Why no event can be of an entity of the group, by the states of its tables alone; empty if one may be."""
    empty = events.empty_columns
    if group.catalogue_columns:
        if tracks is None or not tracks.rows:
            return f"there is no catalogue with {', '.join(group.catalogue_columns)}"
        # of one name in both, the column of the event is meant
        empty |= tracks.empty_columns & set(group.catalogue_columns)
    return no_entity_reason(group) if empty & set(group.keys) else ""


def no_entity_reason(group: FeatureGroup) -> str:
    counts = "" if group.where == "true" else f" where {group.where}"
    event = "play" if isinstance(group.source, str) else f"row of {group.events.name}"
    return f"no {event}{counts} has {' and '.join(group.keys)}"
