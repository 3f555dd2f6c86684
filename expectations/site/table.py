"""The page of one table: rows, nulls and drift by day, and its batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from markupsafe import Markup

from expectations.attempts import Attempt
from expectations.charts.lines import draw_lines, draw_sparkline
from expectations.lineage import NOT_NULL_EXPECTATION
from expectations.site.cells import describe_attempt, map_days
from expectations.site.facts import RootFacts, TableFacts
from expectations.site.files import INDEX, table_file
from expectations.site.page import Page
from expectations.site.trends import find_share

# A share by day.
Shares = Mapping[date, float]


@dataclass(frozen=True)
class TableTrends:
    """What profiles say of the days of a table, by column: shares of nulls, and how far each day drifted."""

    nulls: Mapping[str, Shares] = field(default_factory=dict)
    drift: Mapping[str, Shares] = field(default_factory=dict)
    # what `drift` is measured with and against, in words
    measure: str = ""


@dataclass(frozen=True)
class ColumnTrend:
    """One measure of one column: the newest, the least and the greatest of the days, and a small chart."""

    column: str
    newest: float
    least: float
    greatest: float
    chart: Markup


def make_table_page(
    table: TableFacts, facts: RootFacts, trends: TableTrends, features: Sequence[tuple[str, str]]
) -> Page:
    """`features` are the columns that have a page of their own, and its file."""
    cells = map_days(table, facts.window, facts.nights)
    nulls = trends.nulls or find_null_shares(table.attempts)
    return Page(
        table_file(table.name),
        "site/table.html",
        table.name,
        {
            "table": table,
            "newest": table.attempts[-1] if table.attempts else None,
            "cells": [cell for cell in reversed(cells) if cell.attempt or cell.day in table.rows_by_day],
            "volume": _draw_volume(table, facts.window),
            "nulls": list_trends(nulls, facts.window),
            "nulls_by_batch": not trends.nulls,
            "drift": list_trends(trends.drift, facts.window),
            "measure": trends.measure,
            "features": features,
            "attempts": table.attempts[::-1],
            "describe": describe_attempt,
            "window": facts.window,
        },
        (("All tables", INDEX),),
    )


def find_null_shares(attempts: Sequence[Attempt]) -> dict[str, dict[date, float]]:
    """By column, of the batches that audits looked at, under the last day of each; those without any null left out."""
    shares: dict[str, dict[date, float]] = {}
    for attempt in attempts:
        day = attempt.last_ds or attempt.checked_at.date()
        for row in attempt.results:
            share = find_share(attempt, row) if row["expectation"] == NOT_NULL_EXPECTATION else None
            if share is not None and row["column"]:
                shares.setdefault(row["column"], {})[day] = share
    return {column: by_day for column, by_day in shares.items() if any(by_day.values())}


def list_trends(values: Mapping[str, Shares], window: Sequence[date]) -> list[ColumnTrend]:
    """Those of the window, the greatest newest value first."""
    trends = [_make_trend(column, by_day, window) for column, by_day in values.items()]
    found = [trend for trend in trends if trend is not None]
    return sorted(found, key=lambda trend: (-trend.newest, -trend.greatest, trend.column))


def _make_trend(column: str, by_day: Shares, window: Sequence[date]) -> ColumnTrend | None:
    inside = {day: value for day, value in sorted(by_day.items()) if window[0] <= day <= window[-1]}
    if not inside:
        return None
    values = list(inside.values())
    chart = draw_sparkline(column, inside)
    return ColumnTrend(column, values[-1], min(values), max(values), chart)


def _draw_volume(table: TableFacts, window: Sequence[date]) -> Markup | None:
    """Rows by day; of a table without days by batch."""
    if table.rows_by_day:
        values = {day: table.rows_by_day.get(day) for day in window}
        return draw_lines("Rows by day", {"rows": values}, days=(window[0], window[-1]))
    published = [each for each in table.attempts if each.outcome == "published"]
    values = {each.checked_at.date(): each.rows for each in published}
    return draw_lines("Rows by day of publication", {"rows": values}) if values else None
