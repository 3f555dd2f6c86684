"""Computes what each play was worth, by the rewards that the project declares, as their horizons pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta

from features.joins.ripeness import CENSORED, RIPE, UNRIPE
from features.rewards import reward_plays
from jobs.arguments import add_day_arguments, new_parser, requested_days
from jobs.errors import JobError, WrongUsage
from jobs.gone_days import list_gone_days, remove_gone_days
from jobs.inputs import TableInput
from jobs.job import Job
from jobs.publishing.protocol import StagedBatch
from jobs.publishing.state import TableState, digest, list_stale, mark_provisional
from jobs.reward_evidence import EvidenceReader, leave_waiting, read_plays
from schemas import FEATURE_GROUPS, REWARD_TABLES, Rewards
from schemas.operations import window_days
from schemas.rewards import count_days
from segue.watermark import floor_day

DAY = timedelta(days=1)


def main(argv: Sequence[str] | None = None) -> int:
    args = add_day_arguments(new_parser(__doc__, "build-play-rewards")).parse_args(argv)
    if not REWARD_TABLES:
        raise WrongUsage("no reward is declared; declare Rewards(…) in the project")
    (declared,) = REWARD_TABLES
    job = Job("build-play-rewards", args.root, args.run_id)
    gone = list_gone_days(job.state(declared.name), job.source("sessions").day_states)
    job = remove_gone_days(job, declared.name, "sessions", gone, ())
    sessions, published = job.source("sessions"), job.state(declared.name)
    through = find_complete_day(declared, job)
    upstream = dict(name_days(declared, sessions, through))
    days = requested_days(args, lambda: list_stale(published, upstream), upstream)
    if not days:
        job.up_to_date(declared.name, "no day of plays is new or changed, and no horizon has passed")
        return 0
    statuses = {day: {h: find_status(sessions, through, day, h) for h in declared.horizons} for day in days}
    waiting = EvidenceReader(job, declared, statuses).find_waiting()
    if not (ready := leave_waiting(job, declared.name, days, waiting)):
        job.nothing_to_do(declared.name, "all days that are stale wait")
        return 0
    _build(job, declared, {day: statuses[day] for day in ready}, upstream)
    return 0


def find_complete_day(declared: Rewards, job: Job) -> date:
    """The last day up to which all plays are there, in sessions and in the partials that rewards read."""
    sessions = job.source("sessions")
    delivered = job.source("plays").complete_through
    last = [sessions.days[-1] if delivered is None else floor_day(delivered).date() - DAY]
    last += [day - DAY for day in sessions.provisional_days]
    # tables that are behind have no later day, however much was delivered
    if sessions.days[-1] < job.source("plays").days[-1]:
        last.append(sessions.days[-1])
    newest = [job.source(table).days[-1] for table in declared.list_partials(FEATURE_GROUPS)]
    return min(last + [day for day in newest if day < sessions.days[-1]])


def find_status(sessions: TableState, through: date, day: date, horizon: str) -> str:
    """Whether a horizon of the plays of a day is over: of all of them at once, when the day it ends on is complete."""
    end = day + count_days(horizon) * DAY
    if end > through:
        return UNRIPE
    # delivered, and yet without plays to the end: the data stop before the clock does
    return CENSORED if end > sessions.days[-1] else RIPE


def name_days(declared: Rewards, sessions: TableState, through: date) -> Iterator[tuple[date, str]]:
    """Each day with plays, and a fingerprint of what its rewards are made of: another one for each horizon that passes.

    Plays of later days are part of it once a horizon that reaches them is over, and those of earlier days where a
    reward asks for them: until then they change no value.
    """
    rules = declared.identify(FEATURE_GROUPS)
    for day in sessions.days:
        statuses = {h: find_status(sessions, through, day, h) for h in declared.horizons}
        ripe = [count_days(h) for h, status in statuses.items() if status == RIPE]
        reach = range(-_find_lookback(declared, statuses), max(ripe, default=0) + 1)
        plays = sessions.published_hashes(day + n * DAY for n in reach)
        yield day, mark_provisional(digest(rules, statuses, plays), [sessions.find_limit(day)])


def _find_lookback(declared: Rewards, statuses: Mapping[str, str]) -> int:
    """How many days before a play its rewards read, once some horizons are over."""
    return max(
        (
            window_days(term.outcome.horizon)
            for term, horizon in declared.terms.items()
            # what is known at once has no status
            if not term.ahead and statuses.get(horizon, RIPE) == RIPE
        ),
        default=0,
    )


def _build(
    job: Job,
    declared: Rewards,
    statuses: Mapping[date, Mapping[str, str]],
    upstream: Mapping[date, str],
) -> None:
    days = list(statuses)
    plays = job.table("sessions", days)
    reader = EvidenceReader(job, declared, statuses)
    evidence = reader.read()
    batch = job.batch(
        declared.name,
        days,
        [plays, *reader.inputs],
        upstream=upstream,
        # of the same plays another horizon is over on another night
        parameters={
            "rewards": declared.identify(FEATURE_GROUPS),
            "statuses": list(map(str, statuses.items())),
        },
    )
    rows = reward_plays(read_plays(plays), declared, evidence)
    job.publish(batch, rows, after_audit=_check_all_plays(plays))


def _check_all_plays(plays: TableInput) -> Callable[[StagedBatch], None]:
    def check(staged: StagedBatch) -> None:
        if staged.profile.rows != plays.count:
            raise JobError(
                f"table {staged.batch.table}: rewards of {staged.profile.rows:,} plays were computed, there are "
                f"{plays.count:,}; nothing was published"
            )

    return check


if __name__ == "__main__":
    raise SystemExit(main())
