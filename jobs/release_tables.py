"""Makes one consistent snapshot of the tables current, each at its last good version.

A table that was refused, skipped or is behind is carried, and the release says by how many days it lags. A table
that breaks what must hold between tables goes back, with all that is made of it, to its version in the release before.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import date
from functools import reduce

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
from jobs.errors import JobError, WrongUsage
from jobs.graph import RELEASES, downstream
from jobs.job import Job
from jobs.outcomes import PUBLISHED, Outcome, add_outcome
from jobs.proven_references import find_proven, select_compared
from jobs.publishing.records import append_results, name_versions
from jobs.publishing.retention import find_retention
from jobs.publishing.selection import Selection
from jobs.session import FEW_ROWS
from segue.releases import Release, append_release, list_releases

EMBEDDINGS = "track_embeddings"


def main(argv: Sequence[str] | None = None) -> int:
    parser = new_parser(__doc__, "release-tables")
    only = "only these (default: all there are)"
    parser.add_argument("--tables", nargs="+", metavar="TABLE", choices=TABLES, help=only)
    no_more = (
        "tables that nothing here declares any more, to leave out from this release on (default: carried)"
    )
    parser.add_argument("--leave-out", nargs="+", metavar="TABLE", default=[], help=no_more)
    args = parser.parse_args(argv)
    job = Job("release-tables", args.root, args.run_id)
    before = next(iter(list_releases(args.root)), None)
    _check_undeclared(args.leave_out, before)
    newest = Selection.newest(job.warehouse, args.tables or TABLES)
    if not args.tables:
        newest = newest.keep_undeclared(before, (*TABLES, *args.leave_out))
    if newest.day is None:
        nothing = f"no table with days has been published yet under {args.root}"
        raise JobError(f"{nothing}; there is nothing to release")
    selection, late = _leave_out_late(job.gate, newest)
    # before anything is counted: a night without news starts no session
    if before and not selection.adds_to(before):
        job.up_to_date(RELEASES, f"release {before.release_id} holds these very versions already")
        return _finish(before.release_id, selection, late)
    selection, results = _choose_versions(job, selection, before)
    # again: a table that was carried may now be too far behind
    selection, late = _leave_out_late(job.gate, selection, late)
    nothing_new = not selection.days or not selection.adds_to(before)
    verdict = Verdict((*results, *late))
    _record_release(job, newest, verdict, "refused" if nothing_new else "passed")
    if nothing_new:
        raise Refused.release(verdict)
    return _release(job, selection, before, verdict)


def _check_undeclared(tables: Sequence[str], before: Release | None) -> None:
    known = [name for name in before.tables if name not in TABLES] if before else []
    if unknown := [name for name in tables if name not in known]:
        raise WrongUsage(
            f"--leave-out {' '.join(unknown)}: expected tables that the newest release has and nothing here declares, "
            f"which are: {', '.join(known) or 'none'}. A table that is declared is taken out of the declarations first"
        )


def _release(job: Job, selection: Selection, before: Release | None, verdict: Verdict) -> int:
    day, entries = selection.day, selection.entries
    # there are days, or nothing would be released
    assert day is not None
    # refused where a release was made since `before`: that one may be from after an erasure
    after, life = before.release_id if before else None, find_retention().releases
    release = append_release(job.warehouse.root, day, entries, after, life)
    rows = sum(entry.rows for entry in entries.values())
    job.say(f"release {release.release_id}: {len(entries)} tables, {rows:,} rows")
    for name, entry in sorted(entries.items()):
        if entry.lag_days:
            job.say(f"    {name} lags {entry.lag_days} days")
    for name, why in sorted(selection.reasons.items()):
        job.say(f"    {name} {why}")
    if through := release.complete_through:
        job.say(f"    complete through {through:%Y-%m-%d %H:%M} UTC")
    add_outcome(Outcome(RELEASES, PUBLISHED, rows))
    return _finish(release.release_id, selection, verdict.critical)


def _finish(release: str, selection: Selection, results: Iterable[Result]) -> int:
    """0, or a refusal of the tables that are not served at their newest version."""
    # raised once the release is made: readers get what is good, and the exit code still says what is not
    critical = tuple(result for result in results if not result.success and result.severity == "critical")
    if critical and selection.reasons:
        raise Refused.tables(release, selection.reasons, Verdict(critical))
    return 0


def _leave_out_late(
    gate: GateSettings, selection: Selection, before: Sequence[Result] = ()
) -> tuple[Selection, list[Result]]:
    """Leaves out what is further behind than its bound; the results say so, and of lesser lags."""
    lags = {name: lag for name, lag in selection.lags.items() if lag}
    results = {name: check_lag(name, lag, gate.lag_days(name, MAX_LAG_DAYS)) for name, lag in lags.items()}
    late = [name for name, result in results.items() if result.severity == "critical"]
    if late:
        selection = selection.leave_out(late, lambda name: results[name].observed)
    # warnings are computed again; a table that was left out before no longer has a lag to check
    refused = [result for result in before if result.severity == "critical"]
    return selection, [*refused, *results.values()]


# --- what must hold between tables


def _choose_versions(
    job: Job, selection: Selection, before: Release | None
) -> tuple[Selection, tuple[Result, ...]]:
    """The selection, less what breaks an expectation, and the first results: they say why.

    Raises:
        Refused: no choice of versions fits.
    """
    # the first round says what was wrong; later ones see the tables that were put back
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
            # dependents already put back stay as they are: `carry` would leave them out the second time
            culprit = _table_to_carry(references[result.expectation], selection)
            tables = [
                name
                for name in selection.with_dependents(culprit)
                if name == culprit or name not in selection.reasons
            ]
        else:
            tables = _find_other_versions(selection, before, versions)
        # an earlier result of this round may have left a table out
        if tables := [name for name in tables if name in selection.states]:
            selection = selection.carry(tables, before, f"{result.expected}; observed {result.observed}")
    return selection


def _table_to_carry(reference: Reference, selection: Selection) -> str:
    """Of two tables the one that is made of the other; where that one alone was put back already, its source."""
    derived, source = reference.child, reference.parent
    # plays refer to sessions, which are made of them
    if derived not in downstream(FLOW, source):
        derived, source = source, derived
    return source if derived in selection.reasons and source not in selection.reasons else derived


def _find_other_versions(selection: Selection, before: Release | None, versions: VersionsByDay) -> list[str]:
    """The tables of the embeddings, all together where the release before has them in one version; else those that
    are of another version than the vectors."""
    family = [name for name in selection.with_dependents(EMBEDDINGS) if name in selection.states]
    carriable = before is not None and EMBEDDINGS in before.tables and EMBEDDINGS in selection.states
    if carriable and EMBEDDINGS not in selection.reasons:
        return family
    # the vectors cannot go back, or did already: only tables of another version than theirs are at fault
    others = {
        name
        for ids_by_table in versions.values()
        for name, ids in ids_by_table.items()
        if set(ids) != set(ids_by_table.get(EMBEDDINGS, ())) or len(set(ids)) > 1
    }
    return [name for name in OF_ONE_VERSION if name in others]


def _count_orphans(job: Job, selection: Selection) -> dict[str, int]:
    """Of each reference among the tables of the selection."""
    declared = selection.states.keys() - selection.undeclared
    references = [ref for ref in REFERENCES if {ref.child, ref.parent} <= declared]
    if sum(state.rows for state in selection.states.values()) <= FEW_ROWS:
        # quicker than to find out what changed
        return _count_orphans_of(job, selection, references)
    proven = find_proven(job, references, selection.states)
    others = [ref for ref in references if ref not in proven]
    return {ref.name: 0 for ref in proven} | _count_orphans_of(job, selection, others)


def _count_orphans_of(job: Job, selection: Selection, references: Sequence[Reference]) -> dict[str, int]:
    """Over all days."""
    from pyspark.sql import functions as F

    names = {name for ref in references for name in (ref.child, ref.parent)}
    # one DataFrame per table, as `count_orphans` reads each DataFrame once for each key
    tables = {name: job.at(name, selection.states[name].version) for name in sorted(names)}
    rows_by_reference = {}
    for ref in references:
        rows, child, parent = tables[ref.child], selection.states[ref.child], selection.states[ref.parent]
        compared = select_compared(child, parent)
        if len(compared) < len(child.day_states):
            rows = rows.where(F.col("ds") <= parent.days[-1])
        rows_by_reference[ref] = rows, tables[ref.parent]
    return count_orphans(rows_by_reference)


def _read_versions(job: Job, selection: Selection) -> dict[date, dict[str, set[str]]]:
    """The version ids of the tables that must be of one version, by day: on each day that is some table's newest."""
    from pyspark.sql import DataFrame
    from pyspark.sql import functions as F

    days_by_table = {name: selection.days[name] for name in OF_ONE_VERSION if name in selection.days}
    # a table that lags is compared with the vectors of its own newest day
    newest = {days[-1] for days in days_by_table.values()}
    ids = [
        job.at(name, selection.states[name].version, sorted(newest & set(days)))
        .select(F.lit(name).alias("table"), "ds", "version_id")
        for name, days in days_by_table.items()
    ]  # fmt: skip
    versions: dict[date, dict[str, set[str]]] = {}
    # one query, and so one plan, for all tables
    for row in reduce(DataFrame.unionAll, ids).distinct().collect() if ids else []:
        versions.setdefault(row["ds"], {}).setdefault(row["table"], set()).add(row["version_id"])
    return versions


def _record_release(job: Job, selection: Selection, verdict: Verdict, outcome: str) -> None:
    """Of the newest versions of all tables: what was expected of them, and what they came to."""
    about = {
        "run_id": job.run_id,
        # one run may release twice, after a step was repeated by hand
        "attempt_id": uuid.uuid4().hex[:8],
        "table_name": RELEASES,
        "batch_id": name_versions({name: state.version for name, state in selection.states.items()}),
        "first_ds": min((days[0] for days in selection.days.values()), default=None),
        "last_ds": selection.day,
        "rows": sum(state.rows for state in selection.states.values()),
        "outcome": outcome,
    }
    append_results(job.warehouse, about, verdict.results)


if __name__ == "__main__":
    raise SystemExit(main())
