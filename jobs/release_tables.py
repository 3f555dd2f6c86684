"""Makes one consistent snapshot of the tables current, each at its last good version.

A table that was refused, skipped or is behind is carried, and the release says by how many days it lags. A table
that breaks what must hold between tables goes back, with all that is made of it, to its version in the release before.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import reduce
from typing import TYPE_CHECKING

from expectations.gate_settings import GateSettings
from expectations.release import (
    MAX_LAG_DAYS,
    OF_ONE_VERSION,
    REFERENCES,
    Reference,
    VersionsByDay,
    audit_release,
    check_lag,
    count_orphans,
)
from expectations.verdict import Refused, Result, Verdict
from jobs import FLOW, TABLES
from jobs.arguments import new_parser
from jobs.errors import JobError
from jobs.graph import RELEASES, downstream
from jobs.job import Job
from jobs.outcomes import PUBLISHED, Outcome, add_outcome
from jobs.publishing.records import append_results
from jobs.publishing.selection import Selection
from segue.releases import Release, append_release, list_releases

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

EMBEDDINGS = "track_embeddings"


def main(argv: Sequence[str] | None = None) -> int:
    parser = new_parser(__doc__, "release-tables")
    parser.add_argument(
        "--tables", nargs="+", metavar="TABLE", choices=TABLES, help="only these (default: all there are)"
    )
    args = parser.parse_args(argv)
    job = Job("release-tables", args.root, args.run_id)
    before = next(iter(list_releases(args.root)), None)
    newest = Selection.newest(job.warehouse, args.tables or TABLES)
    if newest.day is None:
        raise JobError(
            f"no table with days has been published yet under {args.root}; there is nothing to release"
        )
    selection, late = _leave_out_late(job.gate, newest)
    if before and not selection.adds_to(before):
        job.up_to_date(RELEASES, f"release {before.release_id} holds these very versions already")
        return _finish(before.release_id, selection, late)
    selection, results = _choose_versions(job, selection, before)
    selection, late = _leave_out_late(job.gate, selection, late)
    nothing_new = not selection.days or not selection.adds_to(before)
    verdict = Verdict((*results, *late))
    _record_release(job, newest, verdict, "refused" if nothing_new else "passed")
    if nothing_new:
        raise Refused.release(verdict)
    return _release(job, selection, before, verdict)


def _release(job: Job, selection: Selection, before: Release | None, verdict: Verdict) -> int:
    day, entries = selection.day, selection.entries
    assert day is not None  # there are days, or nothing would be released
    release = append_release(job.warehouse.root, day, entries, after=before.release_id if before else None)
    rows = sum(entry.rows for entry in entries.values())
    job.say(f"release {release.release_id}: {len(entries)} tables, {rows:,} rows")
    for name, entry in sorted(entries.items()):
        if entry.lag_days:
            job.say(f"    {name} lags {entry.lag_days} days")
    for name, why in sorted(selection.reasons.items()):
        job.say(f"    {name} {why}")
    add_outcome(Outcome(RELEASES, PUBLISHED, rows))
    return _finish(release.release_id, selection, verdict.critical)


def _finish(release: str, selection: Selection, results: Iterable[Result]) -> int:
    """0, or a refusal of the tables that are not served at their newest version."""
    critical = tuple(result for result in results if not result.success and result.severity == "critical")
    if critical and selection.reasons:
        raise Refused.tables(release, selection.reasons, Verdict(critical))
    return 0


def _leave_out_late(
    gate: GateSettings, selection: Selection, known: Sequence[Result] = ()
) -> tuple[Selection, list[Result]]:
    """Leaves out what is further behind than its bound; the results say so, and of lesser lags."""
    lags = selection.lags
    results = {n: check_lag(n, lag, gate.lag_days(n, MAX_LAG_DAYS)) for n, lag in lags.items() if lag}
    late = [name for name, result in results.items() if result.severity == "critical"]
    kept = selection.leave_out(late, lambda name: results[name].observed) if late else selection
    refused = [each for each in known if each.severity == "critical"]
    return kept, [*refused, *results.values()]


# --- what must hold between tables


def _choose_versions(
    job: Job, selection: Selection, before: Release | None
) -> tuple[Selection, tuple[Result, ...]]:
    """The selection, less what breaks an expectation, and the first results: they say why.

    Raises:
        Refused: no choice of versions fits.
    """
    first: tuple[Result, ...] = ()
    # each round carries a table at least, or leaves one out that was carried
    for _ in range(2 * len(TABLES)):
        counts, versions = _count_orphans(job, selection), _read_versions(job, selection)
        erased = any(state.erased_in for state in selection.states.values())
        verdict = audit_release(counts, versions, erased)
        first = first or verdict.results
        if verdict.refused:
            selection = _carry_violations(selection, before, verdict, versions)
        if not (verdict.refused and selection.days):
            return selection, first
    raise Refused.release(verdict)


def _carry_violations(
    selection: Selection, before: Release | None, verdict: Verdict, versions: VersionsByDay
) -> Selection:
    """Puts back what breaks the critical expectations: of two tables, the one made of the other."""
    references = {reference.name: reference for reference in REFERENCES}
    for result in verdict.critical:
        if result.expectation in references:
            culprit = _table_to_carry(references[result.expectation], selection)
            tables = [
                name
                for name in selection.with_dependents(culprit)
                if name == culprit or name not in selection.reasons
            ]
        else:
            tables = _find_other_versions(selection, before, versions)
        if tables := [name for name in tables if name in selection.states]:
            selection = selection.carry(tables, before, f"{result.expected}; observed {result.observed}")
    return selection


def _table_to_carry(reference: Reference, selection: Selection) -> str:
    """Of two tables the one that is made of the other; where that one alone was put back already, its source."""
    child_is_made = reference.child in downstream(FLOW, reference.parent)
    made, source = (
        (reference.child, reference.parent) if child_is_made else (reference.parent, reference.child)
    )
    return source if made in selection.reasons and source not in selection.reasons else made


def _find_other_versions(selection: Selection, before: Release | None, versions: VersionsByDay) -> list[str]:
    """The tables of the embeddings, all together where the release before has them in one version; else those that
    are of another version than the vectors."""
    family = [name for name in selection.with_dependents(EMBEDDINGS) if name in selection.states]
    known = before is not None and EMBEDDINGS in before.tables and EMBEDDINGS in selection.states
    if known and EMBEDDINGS not in selection.reasons:
        return family
    wrong = {
        name
        for found in versions.values()
        for name, ids in found.items()
        if set(ids) != set(found.get(EMBEDDINGS, ())) or len(set(ids)) > 1
    }
    return [name for name in OF_ONE_VERSION if name in wrong]


def _count_orphans(job: Job, selection: Selection) -> dict[str, int]:
    """Of each reference among the tables of the selection."""
    held = [ref for ref in REFERENCES if {ref.child, ref.parent} <= set(selection.states)]
    tables = {name: _read_rows(job, selection, name) for ref in held for name in (ref.child, ref.parent)}
    return count_orphans(
        {ref: (_limit_to_parent_days(tables, selection, ref), tables[ref.parent]) for ref in held}
    )


def _limit_to_parent_days(
    tables: Mapping[str, DataFrame], selection: Selection, reference: Reference
) -> DataFrame:
    """The child up to the newest day of its parent, which may lag."""
    from pyspark.sql import functions as F

    rows, child, parent = (
        tables[reference.child],
        *map(selection.days.get, (reference.child, reference.parent)),
    )
    return rows.where(F.col("ds") <= parent[-1]) if child and parent and parent[-1] < child[-1] else rows


def _read_rows(job: Job, selection: Selection, table: str) -> DataFrame:
    return job.at(table, selection.states[table].version)


def _read_versions(job: Job, selection: Selection) -> dict[date, dict[str, set[str]]]:
    """The version ids of the tables that must be of one version, on the newest day of each; one small query."""
    from pyspark.sql import DataFrame
    from pyspark.sql import functions as F

    days = {n: set(selection.days[n]) for n in OF_ONE_VERSION if n in selection.days}
    newest = {selection.days[name][-1] for name in days}
    each = [
        _read_rows(job, selection, name)
        .where(F.col("ds").isin(sorted(newest & has)))
        .select(F.lit(name).alias("table"), "ds", "version_id")
        for name, has in days.items()
    ]
    found: dict[date, dict[str, set[str]]] = {}
    for row in reduce(DataFrame.unionAll, each).distinct().collect() if each else []:
        found.setdefault(row["ds"], {}).setdefault(row["table"], set()).add(row["version_id"])
    return found


def _record_release(job: Job, selection: Selection, verdict: Verdict, outcome: str) -> None:
    """Of the newest versions of all tables: what was expected of them, and what they came to."""
    days: Mapping[str, list[date]] = selection.days
    about = {
        "run_id": job.run_id,
        "attempt_id": uuid.uuid4().hex[:8],
        "table_name": RELEASES,
        "batch_id": "-".join(f"{name}@{state.version}" for name, state in sorted(selection.states.items())),
        "first_ds": min((each[0] for each in days.values()), default=None),
        "last_ds": selection.day,
        "rows": sum(state.rows for state in selection.states.values()),
        "outcome": outcome,
    }
    append_results(job.warehouse, about, verdict.results)


if __name__ == "__main__":
    raise SystemExit(main())
