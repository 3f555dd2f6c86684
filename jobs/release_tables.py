"""Makes one consistent snapshot of all tables current, once what must hold between them holds."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import date
from functools import reduce

from expectations.release import CROSS_TABLE, OF_ONE_VERSION, judge_tables, orphans
from expectations.verdict import Refused
from jobs.errors import JobError
from jobs.job import Job, parser
from jobs.publishing.records import append_results
from jobs.publishing.state import TableState
from jobs.publishing.warehouse import TABLES
from segue.releases import TableVersion, append_release, list_releases

# What was refused is written down by day too, and reaches days that nothing was published of.
OF_REFUSED = ("rejected_plays", "embedding_versions")


def main(argv: Sequence[str] | None = None) -> int:
    made = parser(__doc__, "release-tables")
    made.add_argument("--tables", nargs="+", choices=TABLES, help="only these (default: all there are)")
    args = made.parse_args(argv)
    job = Job("release-tables", args.root, args.run_id)
    newest = next(iter(list_releases(args.root)), None)
    states = {name: state for name in args.tables or TABLES if (state := job.state(name)) and state.parts}
    if not states:
        raise JobError(f"nothing has been published yet under {args.root}; there is nothing to release")
    versions = {n: TableVersion(s.version, s.rows, s.content_hash) for n, s in states.items()}
    if newest and newest.tables == versions:
        job.say(f"release {newest.release_id} holds these very versions already")
        return 0
    day = _common_day(states)
    _audit(job, states)
    release = append_release(args.root, day, versions, after=newest.release_id if newest else None)
    job.say(
        f"release {release.release_id}: {len(versions)} tables, {sum(v.rows for v in versions.values()):,} rows"
    )
    return 0


def _common_day(states: dict[str, TableState]) -> date:
    """The newest day, which every table that has days must have reached.

    Raises:
        JobError: one has not; releasing them together would mix days.
    """
    newest = {name: days[-1] for name, days in _days(states).items()}
    if not newest:
        raise JobError("no table with days has been published yet; a release is named after its newest day")
    if behind := {name: day for name, day in newest.items() if day < max(newest.values())}:
        late = ", ".join(f"{name} ends {day}" for name, day in sorted(behind.items()))
        raise JobError(
            f"tables reach different days ({late}; the newest is {max(newest.values())}); run the steps that are "
            "behind, or release without those tables by --tables"
        )
    return max(newest.values())


def _days(states: dict[str, TableState]) -> dict[str, list[date]]:
    """Of the tables that every day must be in."""
    return {name: state.days for name, state in states.items() if state.days and name not in OF_REFUSED}


def _audit(job: Job, states: dict[str, TableState]) -> None:
    """Cross-table expectations, among the tables that this release holds."""
    counts = {
        ref.name: orphans(job.read(ref.child), job.read(ref.parent), ref.key, ref.where)
        for ref in CROSS_TABLE
        if ref.child in states and ref.parent in states
    }
    versions = _versions(job, {name: states[name].days[-1] for name in OF_ONE_VERSION if name in states})
    verdict = judge_tables(counts, versions, erased=any(state.erased_in for state in states.values()))
    days = _days(states).values()
    about = {
        "run_id": job.run_id,
        "attempt_id": uuid.uuid4().hex[:8],
        "table_name": "releases",
        "batch_id": "-".join(f"{name}@{state.version}" for name, state in sorted(states.items())),
        "first_ds": min(d[0] for d in days),
        "last_ds": max(d[-1] for d in days),
        "rows": sum(state.rows for state in states.values()),
        "outcome": "refused" if verdict.refused else "passed",
    }
    append_results(job.warehouse, about, verdict.results)
    if verdict.refused:
        raise Refused.release(verdict)


def _versions(job: Job, newest: Mapping[str, date]) -> dict[str, set[str]]:
    """The version ids of each table on its newest day; one small job for all."""
    from pyspark.sql import DataFrame
    from pyspark.sql import functions as F

    if not newest:
        return {}
    each = (job.read(t, [day]).select(F.lit(t).alias("table"), "version_id") for t, day in newest.items())
    found: dict[str, set[str]] = {}
    for row in reduce(DataFrame.union, each).distinct().collect():
        found.setdefault(row["table"], set()).add(row["version_id"])
    return found


if __name__ == "__main__":
    raise SystemExit(main())
