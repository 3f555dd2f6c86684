"""The columns of a root with their profiles, read for a page about each."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import date, timedelta
from itertools import groupby

from expectations.column_profiles import ColumnProfile
from expectations.site.features import WEEK, FeatureFacts
from jobs.catalogue.catalogue import Catalogue
from jobs.catalogue.entries import ColumnEntry
from jobs.catalogue.pages import list_places
from jobs.catalogue.wording import list_column_facts
from jobs.health.drift_settings import DriftSettings
from jobs.publishing.profiles import read_profiles
from schemas import FEATURE_GROUPS

DAYS_SHOWN = 28
# Facts that the page has in its title and its charts.
_SHOWN = ("meaning", "nulls")


def read_features(
    catalogue: Catalogue,
    tables: Collection[str],
    last_day: date,
    settings: DriftSettings,
    pages: str | None = None,
) -> Iterator[FeatureFacts]:
    """Every column of these tables that has a profile of a day shown, by table and in the table's order.

    Args:
        last_day: of the days shown.
        settings: with what days are compared.
        pages: where pages of the catalogue are, from the top folder of the site; None where there are none.
    """
    days = [last_day - timedelta(days=n) for n in reversed(range(DAYS_SHOWN))]
    references = {day: settings.find_reference(day) for day in days}
    every_day = {*days, *references.values(), *(day - WEEK for day in days)}
    for table, by_column in _read_profiles(catalogue, tables, every_day):
        places = list_places(catalogue, table) if pages is not None else {}
        for entry in catalogue.describe_columns(table, with_expectations=False):
            profiles = by_column.get(entry.column, {})
            if not profiles.keys().isdisjoint(days):
                yield FeatureFacts(
                    table,
                    entry.column,
                    entry.meaning,
                    tuple(_list_facts(catalogue, entry)),
                    days,
                    profiles,
                    references,
                    settings.limits(table, entry.column),
                    f"{pages}{places[entry.column].href()}" if entry.column in places else None,
                )


def _read_profiles(
    catalogue: Catalogue, tables: Collection[str], days: Collection[date]
) -> Iterator[tuple[str, Mapping[str, Mapping[date, ColumnProfile]]]]:
    """By table and column, of the days."""
    # what features are merged from says nothing that their own pages do not
    shown = {*tables} - {group.partials_table for group in FEATURE_GROUPS}
    rows = read_profiles(catalogue.inventory.warehouse, shown, days=days)
    for table, of_table in groupby(rows, key=lambda row: str(row["table_name"])):
        by_column: dict[str, dict[date, ColumnProfile]] = {}
        for row in of_table:
            # a table without days has one profile, of which nothing can be drawn over days
            if row["ds"] is not None:
                by_column.setdefault(row["column"], {})[row["ds"]] = ColumnProfile.from_row(row)
        yield table, by_column


def _list_facts(catalogue: Catalogue, entry: ColumnEntry) -> Iterator[tuple[str, str]]:
    yield from (fact for fact in list_column_facts(entry) if fact[0] not in _SHOWN)
    published = catalogue.inventory.published(entry.table)
    if published and published.first_day:
        yield "since", f"{published.first_day}, the first day of the table"
