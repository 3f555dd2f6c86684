"""Days of features that were made with an older catalogue than there is now: which they are, and how they become stale.

None is by itself: a catalogue changes each night, and all history would be made anew.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import date

from jobs.publishing.warehouse import Warehouse
from jobs.stale_features import StaleDays, find_last_published, widen_to_tiles
from schemas import FeatureGroup
from schemas.tracks import TRACKS


def find_older_days(warehouse: Warehouse, group: FeatureGroup, table: str) -> list[date]:
    """Those of one of the group's tables; none where it is made of no column of the catalogue."""
    state = warehouse.state(table) if group.catalogue_columns else None
    # maintenance makes versions too, of the same rows
    catalogue = find_last_published(warehouse, TRACKS.name)
    if state is None or catalogue is None:
        return []
    versions = {day: part.catalogue for day, part in state.day_states.items() if day is not None}
    return sorted(day for day, of in versions.items() if of is not None and of < catalogue.version())


def renew_days(stale: StaleDays, older: Collection[date]) -> StaleDays:
    """With these days among those that are made as a whole: another catalogue can have other keys."""
    whole = {*stale.whole, *older}
    extended = tuple(day for day in stale.extended if day not in whole)
    return replace(stale, whole=tuple(sorted(whole)), extended=extended)


def renew_partials(stale: StaleDays, older: Collection[date]) -> StaleDays:
    """The same of partials, with all days whose tiles sum up one of them."""
    renewed = renew_days(stale, older)
    if not older:
        return renewed
    others = tuple(day for day in stale.sources if day not in renewed.whole)
    return renew_days(stale, widen_to_tiles(replace(renewed, extended=others)).whole)
