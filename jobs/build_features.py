"""What the two feature jobs share: a group of declared features, day by day, from the sessions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from features.windows import window_features
from jobs.job import Job, asked_days, parser, with_days
from jobs.publishing.warehouse import stale_days
from schemas.declarations import FeatureGroup


def build(group: FeatureGroup, name: str, description: str | None, argv: Sequence[str] | None) -> int:
    args = with_days(parser(description, name)).parse_args(argv)
    job = Job(name, args.root, args.run_id)
    days = asked_days(args, lambda: stale_days(job.warehouse, group.table, "sessions"))
    if not days:
        job.say(f"{group.table} unchanged: no day of sessions is new or changed")
        return 0
    history = job.read("sessions", _until(job, days[-1]))
    job.publish(job.batch(group.table, days, follows="sessions"), window_features(history, group, days))
    return 0


def _until(job: Job, last: date) -> list[date]:
    state = job.state("sessions")
    return [day for day in state.days if day <= last] if state else []
