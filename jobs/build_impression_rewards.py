"""Says what each impression was worth: the rewards of the plays that it led to, as horizons pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta

from features.impression_rewards import reward_impressions
from features.joins.ripeness import RIPE
from jobs.arguments import add_day_arguments, new_parser, requested_days
from jobs.build_attributions import name_days as name_attributions
from jobs.build_play_rewards import DAY, find_complete_day, find_status
from jobs.build_play_rewards import name_days as name_play_rewards
from jobs.errors import WrongUsage
from jobs.gone_days import list_gone_days, remove_gone_days
from jobs.job import Job
from jobs.publishing.state import (
    TableState,
    digest,
    drop_limit,
    list_stale,
    list_upstream,
    mark_provisional,
)
from jobs.reward_evidence import leave_waiting
from schemas import IMPRESSION_REWARD_TABLES, ImpressionRewards
from schemas.contract import add_new_columns
from schemas.rewards import AT_ONCE

Statuses = Mapping[str, str]


def main(argv: Sequence[str] | None = None) -> int:
    args = add_day_arguments(new_parser(__doc__, "build-impression-rewards")).parse_args(argv)
    if not IMPRESSION_REWARD_TABLES:
        raise WrongUsage(
            "no rewards of impressions are declared; declare ImpressionRewards(…) in the project"
        )
    (declared,) = IMPRESSION_REWARD_TABLES
    job = Job("build-impression-rewards", args.root, args.run_id)
    through = find_complete_day(declared.rewards, job)
    statuses = dict(find_statuses(declared, job.source(_shown(declared)), job.source("sessions"), through))
    tables = [
        job.source(name) for name in (_shown(declared), declared.attributions.name, declared.rewards.name)
    ]
    upstream = dict(name_days(declared, statuses, *tables))
    gone = list_gone_days(job.state(declared.name), upstream)
    job = remove_gone_days(job, declared.name, _shown(declared), gone, ())
    days = requested_days(args, lambda: list_stale(job.state(declared.name), upstream), upstream)
    if not days:
        job.up_to_date(declared.name, "no day of impressions is new or changed, and no horizon has passed")
        return 0
    waiting = _find_waiting(job, declared, statuses, through)
    if not (ready := leave_waiting(job, declared.name, days, waiting, "plays and impressions")):
        job.nothing_to_do(declared.name, "all days that are stale wait")
        return 0
    _build(job, declared, ready, upstream, statuses)
    return 0


def _find_waiting(
    job: Job, declared: ImpressionRewards, statuses: Mapping[date, Statuses], through: date
) -> dict[date, set[str]]:
    """Days on whose plays some attributions or rewards are not made of what there is, and these tables.

    What they do not have yet would count as what is known: as no play, or as a reward that does not apply.
    """
    impressions, sessions = job.source(_shown(declared)), job.source("sessions")
    names = {
        declared.attributions.name: name_attributions(declared.attributions, impressions, sessions),
        declared.rewards.name: name_play_rewards(declared.rewards, sessions, through),
    }
    behind = {table: _find_behind(job.source(table), dict(of_days)) for table, of_days in names.items()}
    waiting = {
        day: {table for table, days in behind.items() if not days.isdisjoint(played)}
        for day, of_day in statuses.items()
        if (played := _list_read_days(declared, day, of_day))
    }
    return {day: tables for day, tables in waiting.items() if tables}


def _find_behind(table: TableState, upstream: Mapping[date, str]) -> set[date]:
    """The days that are not there, or are made of something else than by these names."""
    known = list_upstream(table)
    # up to when that was complete changes no row
    return {day for day, name in upstream.items() if drop_limit(known.get(day, "")) != drop_limit(name)}


def find_statuses(
    declared: ImpressionRewards, impressions: TableState, sessions: TableState, through: date
) -> Iterator[tuple[date, Statuses]]:
    """Of each day of impressions and horizon of a play, whether it is over for all plays that these can lead to."""
    reach = declared.attributions.days_before * DAY
    for day in impressions.days:
        yield day, {h: find_status(sessions, through, day + reach, h) for h in declared.horizons}


def name_days(
    declared: ImpressionRewards,
    statuses: Mapping[date, Statuses],
    impressions: TableState,
    attributions: TableState,
    play_rewards: TableState,
) -> Iterator[tuple[date, str]]:
    """Each day with impressions, and a fingerprint of what their rewards are made of."""
    for day, of_day in statuses.items():
        played = _list_read_days(declared, day, of_day)
        hashes = [each.published_hashes(played) for each in (attributions, play_rewards)]
        shown = impressions.published_hashes([day])
        name = digest(declared.identity, shown, dict(of_day), hashes)
        yield day, mark_provisional(name, [impressions.find_limit(day)])


def _shown(declared: ImpressionRewards) -> str:
    return declared.attributions.impressions.name


def _list_play_days(declared: ImpressionRewards, days: Sequence[date]) -> list[date]:
    """The days that plays can lie on which impressions of these led to."""
    reach = range(declared.attributions.days_before + 1)
    return sorted({day + timedelta(days=n) for day in days for n in reach})


def _list_read_days(declared: ImpressionRewards, day: date, of_day: Statuses) -> list[date]:
    # until then nothing is known, whatever there is
    return _list_play_days(declared, [day]) if of_day[AT_ONCE] == RIPE else []


def _build(
    job: Job,
    declared: ImpressionRewards,
    days: Sequence[date],
    upstream: Mapping[date, str],
    statuses: Mapping[date, Statuses],
) -> None:
    of_days = {day: statuses[day] for day in days if day in statuses}
    ripe = [day for day, of_day in of_days.items() if of_day[AT_ONCE] == RIPE]
    played = _list_play_days(declared, ripe)
    impressions = job.table(_shown(declared), days)
    attributions = job.table(declared.attributions.name, played)
    rewards = job.table(declared.rewards.name, played)
    parameters = {"declared": declared.identity, "statuses": list(map(str, of_days.items()))}
    batch = job.batch(
        declared.name, days, [impressions, attributions, rewards], upstream=upstream, parameters=parameters
    )
    # columns of a project, before the first row that has them
    shown = add_new_columns(impressions.rows(), declared.attributions.impressions.contract)
    play_rewards = add_new_columns(rewards.rows(), declared.rewards.contract)
    rows = reward_impressions(shown, attributions.rows(), play_rewards, declared, of_days)
    job.publish(batch, rows)


if __name__ == "__main__":
    raise SystemExit(main())
