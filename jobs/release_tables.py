"""Makes one consistent snapshot of all tables current, once what must hold between them holds."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import date

from expectations.release import CROSS_TABLE, judge_tables, orphans
from expectations.verdict import Refused
from jobs.errors import JobError
from jobs.job import Job, parser
from jobs.publishing.records import append_results
from jobs.publishing.state import TableState
from jobs.publishing.warehouse import TABLES
from segue.releases import TableVersion, append_release, list_releases


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
    newest = {
        name: state.days[-1] for name, state in states.items() if state.days and name != "rejected_plays"
    }
    if not newest:
        raise JobError("no table with days has been published yet; a release is named after its newest day")
    if behind := {name: day for name, day in newest.items() if day < max(newest.values())}:
        late = ", ".join(f"{name} ends {day}" for name, day in sorted(behind.items()))
        raise JobError(
            f"tables reach different days ({late}; the newest is {max(newest.values())}); run the steps that are "
            "behind, or release without those tables by --tables"
        )
    return max(newest.values())


def _audit(job: Job, states: dict[str, TableState]) -> None:
    """Cross-table expectations, among the tables that this release holds."""
    counts = {
        reference.name: orphans(job.read(reference.child), job.read(reference.parent), reference.key)
        for reference in CROSS_TABLE
        if reference.child in states and reference.parent in states
    }
    verdict = judge_tables(counts, erased=any(state.erased_in for state in states.values()))
    days = [state.days for name, state in states.items() if state.days and name != "rejected_plays"]
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


if __name__ == "__main__":
    raise SystemExit(main())
