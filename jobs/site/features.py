"""The columns of a root with their profiles, read for a page about each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta

from expectations.column_profiles import ColumnProfile
from expectations.site.features import WEEK, FeatureFacts
from jobs.catalogue.catalogue import Catalogue
from jobs.health.drift_settings import DriftSettings

DAYS_SHOWN = 28
# Facts that the page says by its title or by charts.
_SHOWN = ("meaning", "nulls")

Profiles = Mapping[date, ColumnProfile]


def read_features(catalogue: Catalogue, last_day: date, settings: DriftSettings) -> Iterator[FeatureFacts]:
    """Every column that has a profile in the newest days, by table and in the table's order.

    Args:
        last_day: of the days shown.
        settings: with what days are compared.
    """
    days = [last_day - timedelta(days=n) for n in reversed(range(DAYS_SHOWN))]
    references = {day: settings.find_reference(day) for day in days}
    wanted = {*days, *references.values(), *(day - WEEK for day in days)}
    for table, profiles in _read_profiles(catalogue, wanted).items():
        for entry in catalogue.describe_columns(table, with_expectations=False):
            own = profiles.get(entry.column, {})
            if any(day in own for day in days):
                yield _describe_feature(entry, own, days, references, settings)


