"""Tables whose newest batch the gate did not let through, or that failed before it came to that."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import groupby, takewhile
from operator import itemgetter
from typing import Any

import pyarrow.compute as pc

from expectations.attempts import FAILED, UNCHANGED
from expectations.verdict import Result, format_failure
from jobs.graph import RELEASES
from jobs.health.indicators import FINE, WRONG, Indicator
from jobs.health.root import PROMISED, Root
from jobs.publishing.record_tables import FILES
from jobs.publishing.records import read_broken
from segue.show import cut

REFUSED, PASSED = "refused", "passed"
# A batch passed, or the table was found to be as its inputs make it.
SETTLED = (PASSED, UNCHANGED)
# Of a reason; all of it is in the report.
LONGEST_REASON = 200
# A source that has delivered nothing for so long is given up.
MONTH = timedelta(days=28)


def check_refusals(root: Root) -> Iterator[Indicator]:
    """One for each table with batches that were refused or failed since one passed, or since the table was found to be
    up to date without them; of other tables, one where the newest files of a source were."""
    bad = find_bad_attempts(root.attempts)
    broken = {
        row["attempt_id"]: row for row in read_broken(root.warehouse, [a[0]["attempt_id"] for a in bad])
    }
    for attempts in bad:
        yield _describe(root, attempts, broken.get(attempts[0]["attempt_id"]))
    files = find_bad_files(root)
    for table in files.keys() - {attempts[0]["table_name"] for attempts in bad}:
        yield _describe_files(root, table, files[table])
    if not bad and not files:
        yield Indicator("refused", "quality results", FINE, "the newest batch of every table passed", "", 0)


def find_bad_attempts(attempts: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Of each table those since the last that passed, the newest first; `attempts` are in that order."""
    # one that was swept unfinished says nothing of its rows
    known = [each for each in attempts if each["outcome"] in (REFUSED, FAILED, *SETTLED)]
    # stable: within a table the order stays
    by_table = groupby(sorted(known, key=itemgetter("table_name")), key=itemgetter("table_name"))
    bad = (list(takewhile(lambda each: each["outcome"] not in SETTLED, group)) for _, group in by_table)
    # of a table that nothing makes any more, nobody waits for a better batch
    return [group for group in bad if group and group[0]["table_name"] in PROMISED]


def find_bad_files(root: Root) -> dict[str, list[dict[str, Any]]]:
    """By table, of each source the newest record of files, where their batch was refused or failed: one of another
    source may have passed after it."""
    bad_runs = _find_bad_runs(root.attempts)
    if not bad_runs:
        return {}
    names = ("table_name", "source", "outcome", "run_id")
    where = (pc.field("recorded_at") >= root.now - MONTH) & pc.field("source").is_valid()
    records = FILES.read(root.warehouse, (*names, "recorded_at"), where)
    # a night may have a hundred thousand files
    runs = records.group_by(list(names)).aggregate([("recorded_at", "max")]).sort_by("recorded_at_max")
    newest = {(row["table_name"], row["source"]): row for row in runs.to_pylist()}
    bad: dict[str, list[dict[str, Any]]] = {}
    for row in newest.values():
        if row["outcome"] in (REFUSED, FAILED) and (row["table_name"], row["run_id"]) in bad_runs:
            bad.setdefault(row["table_name"], []).append(row)
    return bad


def _find_bad_runs(attempts: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """Table and run of what was refused or failed, since the table was last found to be as its inputs make it;
    `attempts` are the newest first."""
    found, settled = set[tuple[str, str]](), set[str]()
    for each in attempts:
        if each["outcome"] == UNCHANGED:
            settled.add(each["table_name"])
        elif each["outcome"] in (REFUSED, FAILED) and each["table_name"] not in settled:
            found.add((each["table_name"], each["run_id"]))
    return found


def _describe_files(root: Root, table: str, records: list[dict[str, Any]]) -> Indicator:
    of_sources = ", ".join(
        f"{row['source']} ({row['outcome']} {row['recorded_at_max']:%Y-%m-%d %H:%M})" for row in records
    )
    what = f"its newest files of a source were not taken in, and none was read since: {of_sources}"
    to_do = root.command(f"report --run-id {records[-1]['run_id']}")
    return Indicator("refused", table, WRONG, what, to_do, len(records), 0, "sources", of_sources)


def _describe(root: Root, attempts: list[dict[str, Any]], row: dict[str, Any] | None) -> Indicator:
    newest, oldest = attempts[0], attempts[-1]
    table, count = newest["table_name"], len(attempts)
    batches = "its newest batch was" if count == 1 else f"its {count} newest batches were"
    what = f"{batches} {newest['outcome']}, since {oldest['checked_at']:%Y-%m-%d %H:%M}"
    if row:
        reason = format_failure(Result(**{name: row[name] for name in Result.__annotations__}))
        what += f": {cut(reason, LONGEST_REASON)}"
    to_do = root.command(f"report --run-id {newest['run_id']}")
    if table == RELEASES:
        what = what.replace("batch", "attempt")
    return Indicator("refused", table, WRONG, what, to_do, count, 0, "batches", newest["attempt_id"])
