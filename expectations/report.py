"""The quality report of one run: what came of every batch, and why, for whoever must trust the data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from expectations.page import NOTHING, Html, document, table, tag
from expectations.wording import format_number

Row = Mapping[str, Any]

SIGNS = {
    "held": "✓ held",
    "broken": "✕ broken",
    "warning": "! warning",
    "noted": "· noted",
    "published": "✓ published",
    "refused": "✕ refused",
    "passed": "= passed, not published",
    "failed": "✕ failed",
    "abandoned": "· abandoned",
    "unchanged": "= unchanged",
    "not made": "· not made",
    "blocked": "· blocked",
    "skipped": "· skipped",
}
_WORST_FIRST = ("broken", "warning", "noted", "held")


@dataclass(frozen=True)
class Section:
    """A table of one's own at the end of the report."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Attempt:
    """One attempt to publish one batch; its results, the worst first."""

    table: str
    batch_id: str
    days: str
    rows: int
    outcome: str
    results: tuple[Row, ...]

    def those(self, status: str) -> list[Row]:
        return [row for row in self.results if _status(row) == status]

    @property
    def held(self) -> str:
        return f"{format_number(len(self.those('held')))} of {format_number(len(self.results))}"


def render(
    rows: Iterable[Row],
    release: Mapping[str, Any] | None,
    title: str,
    steps: Sequence[Row] = (),
    extra: Sequence[Section] = (),
) -> str:
    """One HTML page, complete in itself.

    Args:
        rows: of the table `quality_results`, of one run.
        release: what readers are served now (release_id, released_at, and per table version, rows,
            content_hash and lag_days), or None before the first.
        steps: of the flow, if it was one (step, outcome, rows, seconds, why).
    """
    attempts = _attempts(rows)
    return document(
        title,
        tag("header", tag("h1", title), *_summary(attempts, release)),
        *_steps(steps),
        *_refused(attempts),
        tag("h2", "Batches"),
        _batches(attempts),
        *_warnings(attempts),
        *_expectations(attempts),
        *_release(release),
        *(part for section in extra for part in _section(section)),
    )


def _attempts(rows: Iterable[Row]) -> list[Attempt]:
    """Refused ones first, then as they came."""
    ordered = sorted(rows, key=lambda row: (row["checked_at"], row["attempt_id"]))
    attempts = [_attempt(list(group)) for _, group in groupby(ordered, key=lambda row: row["attempt_id"])]
    return sorted(attempts, key=lambda attempt: attempt.outcome != "refused")


def _attempt(results: list[Row]) -> Attempt:
    about = results[0]
    first, last = about["first_ds"], about["last_ds"]
    return Attempt(
        table=about["table_name"],
        batch_id=about["batch_id"],
        days=NOTHING if first is None else str(first) if first == last else f"{first} to {last}",
        rows=about["rows"],
        outcome=about["outcome"],
        results=tuple(sorted(results, key=lambda row: _WORST_FIRST.index(_status(row)))),
    )


def _status(row: Row) -> str:
    if row["success"]:
        return "held"
    return {"critical": "broken", "warning": "warning"}.get(row["severity"], "noted")


def _sign(status: str) -> Html:
    return tag("span", SIGNS.get(status, status), class_=f"sign {status.replace(' ', '-')}")


def _summary(attempts: list[Attempt], release: Mapping[str, Any] | None) -> list[Html]:
    refused = sum(attempt.outcome == "refused" for attempt in attempts)
    results = [row for attempt in attempts for row in attempt.results]
    statuses = [_status(row) for row in results]
    lead = f"{refused or 'None'} of {len(attempts)} batches refused; readers are served "
    served = f"release {release['release_id']}." if release else "nothing yet."
    facts = {
        "Release served": release["release_id"] if release else "none",
        "Released": release["released_at"] if release else None,
        "Tables behind": sum(bool(t.get("lag_days")) for t in release["tables"].values()) if release else 0,
        "Checks held": f"{format_number(statuses.count('held'))} of {format_number(len(statuses))}",
        "Warnings": statuses.count("warning"),
        "Audited": max((row["checked_at"] for row in results), default=None),
    }
    shown = (tag("div", tag("dt", name), tag("dd", value)) for name, value in facts.items())
    return [tag("p", lead + served, class_="lead"), tag("dl", *shown, class_="facts")]


def _steps(steps: Sequence[Row]) -> list[Html]:
    rows = [
        (s["step"], _sign(s["outcome"]), s["rows"] or NOTHING, f"{s['seconds']:.1f} s", s["why"] or NOTHING)
        for s in steps
    ]
    return [tag("h2", "Steps"), table(("Step", "Outcome", "Rows", "Time", "Why"), rows)] if rows else []


def _refused(attempts: list[Attempt]) -> list[Html]:
    refused = [attempt for attempt in attempts if attempt.outcome == "refused"]
    return [tag("h2", "Refused"), *map(_card, refused)] if refused else []


def _card(attempt: Attempt) -> Html:
    head = tag("h3", _sign("refused"), " ", attempt.table, ", ", attempt.days)
    unseen = f"{format_number(attempt.rows)} rows that nobody sees; batch "
    about = tag("p", unseen, tag("code", attempt.batch_id), class_="soft")
    why = tag("ul", *map(_failure, attempt.those("broken")))
    return tag("article", head, about, why, class_="refused box")


def _failure(row: Row) -> Html:
    where = [tag("strong", row["column"]), ": "] if row["column"] else []
    said = tag("div", *where, "expected ", row["expected"], "; observed ", tag("strong", row["observed"]))
    return tag("li", said, tag("div", row["expectation"], class_="name"))


def _batches(attempts: list[Attempt]) -> Html:
    columns = ("Table", "Days", "Rows", "Outcome", "Checks held", "Warnings", "Noted")
    return table(
        columns,
        (
            (
                a.table,
                a.days,
                a.rows,
                _sign(a.outcome),
                a.held,
                *(len(a.those(status)) for status in ("warning", "noted")),
            )
            for a in attempts
        ),
    )


def _warnings(attempts: list[Attempt]) -> list[Html]:
    found = [(attempt, row) for attempt in attempts for row in attempt.those("warning")]
    rows = [(a.table, a.days, r["column"], r["expected"], r["observed"]) for a, r in found]
    columns = ("Table", "Days", "Column", "Expected", "Observed")
    return [tag("h2", "Warnings"), table(columns, rows)] if rows else []


def _expectations(attempts: list[Attempt]) -> list[Html]:
    search = Html('<input type="search" placeholder="Search tables, columns, words" aria-label="Search">')
    only = Html('<label><input type="checkbox"> only what did not hold</label>')
    controls = Html(f'<div class="filter" hidden>{search}{only}</div>')
    return [tag("h2", "Every expectation"), controls, *map(_details, attempts)]


def _details(attempt: Attempt) -> Html:
    summary = tag(
        "summary",
        tag("strong", attempt.table),
        tag("span", attempt.days, class_="soft"),
        _sign(attempt.outcome),
        tag("span", f"{attempt.held} held", class_="soft"),
    )
    columns = ("Result", "Column", "Expected", "Observed", "Severity", "Expectation")
    rows = (
        (
            _sign(_status(row)),
            row["column"],
            row["expected"],
            row["observed"],
            row["severity"],
            tag("span", row["expectation"], class_="name"),
        )
        for row in attempt.results
    )
    return tag("details", summary, table(columns, rows), class_="batch")


def _release(release: Mapping[str, Any] | None) -> list[Html]:
    if release is None:
        return []
    tables = sorted(release.get("tables", {}).items())
    rows = [(n, t["version"], t["rows"], _lag(t), tag("code", t["content_hash"])) for n, t in tables]
    title = f"Release {release['release_id']}"
    columns = ("Table", "Version", "Rows", "Lag", "Content hash")
    return [tag("h2", title), table(columns, rows)] if rows else []


def _lag(entry: Mapping[str, Any]) -> str:
    days = entry.get("lag_days") or 0
    return f"{days} day{'s' if days > 1 else ''}" if days else NOTHING


def _section(section: Section) -> list[Html]:
    if not section.rows:
        return [tag("h2", section.title), tag("p", "none", class_="soft")]
    return [tag("h2", section.title), table(section.columns, section.rows)]
