"""Says of each discovery on which days after it its item was played again, as the days pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta

from features.discovery_traces import Observed, trace_discoveries
from jobs.arguments import add_day_arguments, new_parser, requested_days
from jobs.build_play_rewards import find_complete_day, find_status
from jobs.errors import WrongUsage
from jobs.gone_days import list_gone_days, remove_gone_days
from jobs.inputs import TableInput
from jobs.job import Job
from jobs.publishing.state import TableState, digest, list_stale, mark_provisional
from jobs.receipts import find_erased
from jobs.reward_evidence import find_unusable_days, leave_waiting
from schemas import FEATURE_GROUPS, TRACE_TABLES, DiscoveryTraces
from schemas.contract import add_new_columns


def main(argv: Sequence[str] | None = None) -> int:
    args = add_day_arguments(new_parser(__doc__, "build-discovery-traces")).parse_args(argv)
    if not TRACE_TABLES:
        raise WrongUsage("no traces of discoveries are declared; declare DiscoveryTraces(…) in the project")
    (declared,) = TRACE_TABLES
    job = Job("build-discovery-traces", args.root, args.run_id)
    rewards, sessions = job.source(declared.rewards.name), job.source("sessions")
    through = find_complete_day(declared.rewards, job)
    observed = {day: find_observed(declared, sessions, through, day) for day in rewards.days}
    upstream = dict(name_days(declared, observed, rewards, sessions))
    gone = list_gone_days(job.state(declared.name), upstream)
    job = remove_gone_days(job, declared.name, declared.rewards.name, gone, ())
    days = requested_days(args, lambda: list_stale(job.state(declared.name), upstream), upstream)
    if not days:
        job.up_to_date(declared.name, "no discovery is new or changed, and no day of one has passed")
        return 0
    if not (ready := leave_waiting(job, declared.name, days, _find_waiting(job, declared, observed))):
        job.nothing_to_do(declared.name, "all days that are stale wait")
        return 0
    _build(job, declared, ready, {day: observed[day] for day in ready if day in observed}, upstream)
    return 0


def _find_waiting(
    job: Job, declared: DiscoveryTraces, observed: Mapping[date, Observed]
) -> dict[date, set[str]]:
    """Days of whose later days some partials cannot be used, and their tables."""
    groups = {item.group.partials_table: item.group for item in declared.list_items(FEATURE_GROUPS)}
    unusable = {table: find_unusable_days(job, group) for table, group in groups.items()}
    waiting = {
        day: {table for table, days in unusable.items() if not days.isdisjoint(_list_after(day, of_day))}
        for day, of_day in observed.items()
    }
    return {day: tables for day, tables in waiting.items() if tables}


def find_observed(declared: DiscoveryTraces, sessions: TableState, through: date, day: date) -> Observed:
    """What is known of the discoveries of a day, once all plays of the days up to `through` are there."""
    # delivered or not: of days after the last play nothing is known
    elapsed = (min(through, sessions.days[-1]) - day).days
    return Observed(declared.count_observed(elapsed), find_status(sessions, through, day, declared.horizon))


def name_days(
    declared: DiscoveryTraces, observed: Mapping[date, Observed], rewards: TableState, sessions: TableState
) -> Iterator[tuple[date, str]]:
    """Each day with rewards, and a fingerprint of what traces of its discoveries are made of."""
    rules = declared.identify(FEATURE_GROUPS)
    for day, of_day in observed.items():
        plays = sessions.published_hashes(_list_after(day, of_day))
        name = digest(rules, list(of_day), rewards.published_hashes([day]), plays)
        yield day, mark_provisional(name, [rewards.find_limit(day)])


def _list_after(day: date, observed: Observed) -> list[date]:
    return [day + timedelta(days=n) for n in range(1, observed.days + 1)]


def _build(
    job: Job,
    declared: DiscoveryTraces,
    days: Sequence[date],
    observed: Mapping[date, Observed],
    upstream: Mapping[date, str],
) -> None:
    rewards, items = job.table(declared.rewards.name, days), declared.list_items(FEATURE_GROUPS)
    active_days = sorted({each for day, of_day in observed.items() for each in _list_after(day, of_day)})
    tables = dict.fromkeys(item.group.partials_table for item in items)
    partials: dict[str, TableInput] = {table: job.table(table, active_days) for table in tables}
    # of the same rewards another day has passed on another night
    parameters = {
        "declared": declared.identify(FEATURE_GROUPS),
        "observed": [[str(day), *each] for day, each in observed.items()],
    }
    inputs = [rewards, *partials.values()]
    batch = job.batch(declared.name, days, inputs, upstream=upstream, parameters=parameters)
    rows = trace_discoveries(
        add_new_columns(rewards.rows(), declared.rewards.contract),
        {table: each.rows() for table, each in partials.items()},
        items,
        observed,
        find_erased(job.warehouse, "sessions", job.version("sessions")),
    )
    job.publish(batch, rows)


if __name__ == "__main__":
    raise SystemExit(main())
