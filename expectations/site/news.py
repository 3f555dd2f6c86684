"""What is new, in words: the first thing on the first page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from expectations.attempts import ABANDONED, UNCHANGED, Attempt, Row, describe_row
from expectations.site.cells import NOT_EVALUATED, REFUSED, WARNED, judge_attempt
from expectations.site.facts import RootFacts, TableFacts
from expectations.site.trends import Finding, History
from expectations.wording import count_words


@dataclass(frozen=True)
class News:
    """One sentence about a table or a release; `status` is that of a cell, or of an alert."""

    status: str
    subject: str
    words: str
    attempt: Attempt | None = None


_OUTCOMES = {"refused": "was refused", ABANDONED: "was abandoned"}
# The worst first.
NEWS_LABELS = {
    REFUSED: "✕ refused",
    NOT_EVALUATED: "? not evaluated",
    "wrong": "✕ alert",
    WARNED: "! warning",
    "released": "✓ released",
    "over": "✓ over",
}


def list_news(facts: RootFacts, histories: Mapping[str, History]) -> list[News]:
    """The worst first: refused and failed batches, alerts, new warnings, releases, and what is over."""
    since = facts.news_since
    news = [each for table in facts.tables for each in _list_of_table(table, histories[table.name], since)]
    news += _list_alerts(facts.indicators, since)
    news += _list_releases(facts.releases, since)
    order = list(NEWS_LABELS)
    return sorted(news, key=lambda each: order.index(each.status))


def _list_of_table(table: TableFacts, history: History, since: datetime) -> Iterator[News]:
    recent = [attempt for attempt in table.attempts if attempt.checked_at > since]
    if not recent:
        return
    newest, status = recent[-1], judge_attempt(recent[-1])
    if status in (REFUSED, NOT_EVALUATED):
        yield News(status, table.name, _describe_bad(newest, len(recent)), newest)
        return
    yield from _list_over(table, newest, history, since)
    for finding in history.find(newest, ("warning",)):
        if finding.is_new:
            yield News(WARNED, table.name, describe_finding(finding), newest)


def _describe_bad(attempt: Attempt, attempts: int) -> str:
    of_days = f"the batch of {attempt.days}" if attempt.days else "the newest batch"
    broken = attempt.with_status("broken")
    reason = describe_row(broken[0]) if broken else "no reason is recorded"
    more = f", and {count_words(len(broken) - 1, 'more expectation')}" if len(broken) > 1 else ""
    again = f" (attempt {attempts} since then)" if attempts > 1 else ""
    return f"{of_days} {_OUTCOMES.get(attempt.outcome, attempt.outcome)}{again}: {reason}{more}"


def describe_finding(finding: Finding) -> str:
    """A result, and since when it is so."""
    return f"{describe_row(finding.row)}; {finding.words}"


def _list_over(table: TableFacts, newest: Attempt, history: History, since: datetime) -> Iterator[News]:
    before = [each for each in table.attempts if each is not newest]
    if before and judge_attempt(before[-1]) in (REFUSED, NOT_EVALUATED):
        now = "is up to date again" if newest.outcome == UNCHANGED else "passes again"
        words = f"{now}; the batch before was {before[-1].outcome}"
        yield News("over", table.name, words, newest)
    recovered = history.list_recovered(newest)
    if recovered:
        hold = "holds" if len(recovered) == 1 else "hold"
        words = f"{count_words(len(recovered), 'expectation')} {hold} again: {_name_some(recovered)}"
        yield News("over", table.name, words, newest)


def _name_some(rows: Sequence[Row], most: int = 3) -> str:
    names = list(dict.fromkeys(row["column"] or row["expectation"] for row in rows))
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _list_alerts(indicators: Sequence[Row], since: datetime) -> Iterator[News]:
    for each in indicators:
        # refused batches are said with their table
        if (
            each["status"] == "wrong"
            and each["kind"] != "refused"
            and each.get("since")
            and each["since"] > since
        ):
            yield News("wrong", each["subject"], f"{each['kind']}: {each['what']}")


def _list_releases(releases: Sequence[Row], since: datetime) -> Iterator[News]:
    for n, release in enumerate(releases):
        if release["released_at"] <= since:
            return
        before = releases[n + 1] if n + 1 < len(releases) else None
        yield News("released", f"release {release['release_id']}", _describe_release(release, before))


def _describe_release(release: Row, before: Row | None) -> str:
    tables = release["tables"]
    words = [f"made of {count_words(len(tables), 'table')}"]
    if release.get("rollback_of"):
        words.append(f"takes back {release['rollback_of']}")
    known = before["tables"] if before else {}
    for name, table in tables.items():
        lag, lag_before = table.get("lag_days") or 0, (known.get(name) or {}).get("lag_days") or 0
        if lag > lag_before:
            words.append(f"{name} is {count_words(lag, 'day')} behind")
    gone = [name for name in known if name not in tables]
    if gone:
        words.append(f"without {', '.join(sorted(gone))}, which the release before had")
    return "; ".join(words)
