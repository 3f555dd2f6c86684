"""The first page: what is new, what is wrong now, the map of tables and days, freshness and releases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from itertools import groupby

from expectations.attempts import Attempt, Row, list_facts
from expectations.site.cells import LEGEND, NO_ROWS, Cell, map_days
from expectations.site.facts import NEWS_SPAN, RootFacts
from expectations.site.files import INDEX
from expectations.site.news import list_news
from expectations.site.page import Page
from expectations.site.trends import History
from expectations.wording import count_words, format_number


def make_index_page(facts: RootFacts, histories: Mapping[str, History]) -> Page:
    rows = [(table, map_days(table, facts.window, facts.nights)) for table in facts.tables]
    return Page(
        INDEX,
        "site/index.html",
        facts.title,
        {
            "summary": _summarise(facts),
            "news": list_news(facts, histories),
            "news_title": _name_span(facts),
            "silence": _describe_silence(facts),
            "alerts": _select(facts.indicators, "wrong"),
            "rows": rows,
            "window": facts.window,
            "find_months": find_months,
            "counts": _count(rows),
            "window_words": _describe_window(facts),
            "measured": [*_select(facts.indicators, "note"), *_select(facts.indicators, "fine")],
            "release": facts.releases[0] if facts.releases else None,
            "releases": facts.releases,
            "facts": list_facts(_list_newest_published(facts)),
        },
    )


def find_months(days: Sequence[date]) -> list[tuple[str, int]]:
    """Each month of the days, and how many of them it has."""
    return [(month, len(list(group))) for month, group in groupby(days, key=lambda day: f"{day:%B %Y}")]


def _summarise(facts: RootFacts) -> str:
    """The state of the root in a sentence."""
    wrong = len(_select(facts.indicators, "wrong"))
    alerts = (
        f"{count_words(wrong, 'alert')} {'is' if wrong == 1 else 'are'} on" if wrong else "No alert is on"
    )
    return f"{alerts}. {_describe_served(facts.releases[0] if facts.releases else None)}"


def _describe_served(release: Row | None) -> str:
    if release is None:
        return "Readers are served nothing yet."
    behind = sum(bool(table.get("lag_days")) for table in release["tables"].values())
    tables = count_words(len(release["tables"]), "table")
    late = f", {behind} of them behind" if behind else ""
    return f"Readers are served release {release['release_id']} with {tables}{late}."


def _name_span(facts: RootFacts) -> str:
    silent = facts.last_audit is not None and facts.last_audit < facts.made_at - NEWS_SPAN
    return f"New on {facts.last_audit:%d %B %Y}" if silent and facts.last_audit else "New since yesterday"


def _describe_silence(facts: RootFacts) -> str:
    """Where no batch came since yesterday."""
    if facts.last_audit is None:
        return "No audit is on record for the days shown."
    age = facts.made_at - facts.last_audit
    if age < NEWS_SPAN:
        return ""
    last = f"{facts.last_audit:%Y-%m-%d %H:%M} UTC"
    return f"No batch was audited since {last}, {count_words(age.days, 'day')} ago. That day had:"


def _select(indicators: Sequence[Row], status: str) -> list[Row]:
    return [each for each in indicators if each["status"] == status]


def _list_newest_published(facts: RootFacts) -> Iterator[Attempt]:
    """Of each table: what a refused file lacks says nothing about its source."""
    for table in facts.tables:
        yield from [each for each in table.attempts if each.outcome == "published"][-1:]


def _count(rows: Sequence[tuple[object, Sequence[Cell]]]) -> list[tuple[str, int]]:
    """Of each status how many cells; of those that nobody need look for none."""
    counts = Counter(cell.status for _, cells in rows for cell in cells)
    return [(status, counts[status]) for status in LEGEND if status != NO_ROWS]


def _describe_window(facts: RootFacts) -> Iterator[str]:
    first, last = facts.window[0], facts.window[-1]
    yield f"{count_words(len(facts.window), 'day')}, {first} to {last}."
    behind = (facts.made_at.date() - last).days - 1
    if behind > 0:
        yield f"No nightly table has a later day: the last one ended {count_words(behind, 'day')} ago."
    yield "A table without days stands at the newest day of the run that made it."


def describe_lags(release: Row) -> str:
    """Which tables a release carries at older days than its own."""
    lags = {name: table.get("lag_days") or 0 for name, table in sorted(release["tables"].items())}
    return ", ".join(f"{name} by {count_words(lag, 'day')}" for name, lag in lags.items() if lag)


def describe_amount(indicator: Row, name: str) -> str | None:
    """Its value or its bound, with the unit."""
    number = indicator[name]
    if number is None:
        return None
    # whole bytes of a disk are twelve digits
    if indicator["unit"] == "bytes":
        return f"{number / 2**30:,.1f} GiB"
    # a bound of 0.35 is neither 0.3 nor 0.4, and one of 0.001 is not 0
    rounded = round(number, 1) if abs(number) >= 1 else float(f"{number:.2g}")
    return f"{format_number(rounded)} {indicator['unit']}".strip()
