"""Cuts plays into sessions; a session that was open the day before goes on."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Container, Mapping, Sequence
from datetime import date, timedelta
from itertools import takewhile

from expectations.profile import DayProfile, content
from features.sessions import GAP_MS, RULES, cut_sessions, earlier_days, select_last_plays
from jobs.arguments import add_day_arguments, new_parser, requested_days
from jobs.gone_days import list_gone_days, remove_gone_days
from jobs.job import Job, new_run_id
from jobs.publishing.state import TableState, digest, find_limit, list_upstream, mark_provisional
from jobs.publishing.state_commits import rename_days
from schemas import CONTRACTS
from schemas.contract import add_new_columns
from schemas.play_columns import list_added_columns
from segue.project import SETTINGS, find_project

GAP_SETTING = "session_gap_ms"


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    args.run_id = args.run_id or new_run_id()
    job, at_least = _start(args), 1
    requested = requested_days(args, list, job.source("plays").days)
    gone = find_gone_days(job.source("plays"), job.state("sessions"), args.gap_ms)
    job = remove_gone_days(job, "sessions", "plays", *gone)
    plays, before = job.source("plays"), job.state("sessions")
    if not select_days(plays, before, requested, args.gap_ms)[0]:
        job.up_to_date("sessions", "no day of plays is new or changed")
        at_least = 0
    while at_least:
        # a job of its own: each round goes on from what the one before published
        at_least = _build(_start(args), args, requested, at_least, before)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = add_day_arguments(new_parser(__doc__, "build-sessions"))
    gap = find_project().resolve(GAP_SETTING).value
    gap_help = (
        f"silence that ends a session (%(default)s ms); the next flow goes by the setting {GAP_SETTING}"
    )
    parser.add_argument("--gap-ms", type=_parse_gap, default=gap, help=gap_help)
    return parser


def _parse_gap(text: str) -> int:
    kind = SETTINGS[GAP_SETTING].kind
    if not kind.accepts(gap := kind.parse(text)):
        raise argparse.ArgumentTypeError(f"{text!r}; expected {kind.expected}")
    return int(gap)


def _start(args: argparse.Namespace) -> Job:
    return Job("build-sessions", args.root, args.run_id)


def _build(
    job: Job,
    args: argparse.Namespace,
    requested: Collection[date],
    at_least: int,
    before: TableState | None,
) -> int:
    """Cuts the first stale days, or those requested; how many to cut at least in the next round, 0 for no more.

    Args:
        before: of sessions, before the first round: what days that are stale by the day before alone were cut upon.
    """
    plays_state, sessions_state = job.source("plays"), job.state("sessions")
    days, upstream = select_days(plays_state, sessions_state, requested, args.gap_ms)
    if not days:
        return 0
    changed = find_changed_days(plays_state, sessions_state, args.gap_ms)
    first = days if requested else select_first_days(plays_state.days, days, changed, at_least)
    plays = job.table("plays", first)
    has_source_sessions = _has_source_sessions(plays_state)
    # on the first day ever there is no table to go on from
    earlier = job.find("sessions", earlier_days(first[0], args.gap_ms, has_source_sessions))
    added = [column.name for column in list_added_columns(CONTRACTS["sessions"])]
    # the same plays with one more column are another batch; days are stale by the plays alone
    parameters = {"gap_ms": args.gap_ms} | ({"added": added} if added else {})
    batch = job.batch("sessions", first, [plays, earlier], upstream=upstream, parameters=parameters)
    reach = earlier_days(first[-1] + timedelta(days=1), args.gap_ms, has_source_sessions)
    # before anything of theirs changes: after a kill nobody would know any more what they were cut upon
    next_days = [day for day in plays_state.days if 0 < (day - first[-1]).days <= len(reach)]
    _rename(job, before, dict.fromkeys(next_days, ""))
    rows = add_new_columns(plays.rows(), CONTRACTS["plays"])
    sessions = cut_sessions(rows, earlier.rows() if earlier else None, args.gap_ms, added)
    job.publish(batch, sessions, {"has_plays": float(plays.count > 0)})
    rest = {day: upstream[day] for day in days[len(first) :]}
    if not rest or requested or before is None:
        return 0
    after = job.warehouse.state("sessions")
    if after and _measure_handover(job, before, reach) == _measure_handover(job, after, reach):
        # those up to the next that is changed itself hold what cutting them again would give
        kept = dict(takewhile(lambda item: item[0] not in changed, rest.items()))
        _keep_days(job, before, next_days, kept)
        return 1
    # a change that goes on from day to day is rare; where it does, rounds of 1, 2, 4 ... days are few batches
    return at_least * 2


def _keep_days(job: Job, before: TableState, next_days: Sequence[date], kept: Mapping[date, str]) -> None:
    published = list_upstream(before)
    _rename(job, before, {day: published.get(day, "") for day in next_days} | dict(kept))
    if kept:
        job.say(f"{len(kept)} days from {min(kept)} on keep: what goes on over midnight is as it was")


def _rename(job: Job, before: TableState | None, names: Mapping[date, str]) -> None:
    present = {day: name for day, name in names.items() if before and day in before.day_states}
    if before and present:
        rename_days(job.warehouse, "sessions", before, present, {"run": job.run_id, "job": job.name})


def find_gone_days(
    plays: TableState, sessions: TableState | None, gap_ms: int
) -> tuple[list[date], list[date]]:
    """The days of sessions that have no plays any more, and those that may go on from one of them."""
    gone = list_gone_days(sessions, plays.day_states)
    has_source_sessions = _has_source_sessions(plays)
    after = {
        day
        for day in (sessions.days if sessions and gone else ())
        if not {*gone}.isdisjoint(earlier_days(day, gap_ms, has_source_sessions))
    }
    return gone, sorted(after.difference(gone))


def select_days(
    plays: TableState, sessions: TableState | None, requested: Collection[date], gap_ms: int
) -> tuple[list[date], dict[date, str]]:
    """The days to cut, those that are stale if none is requested; and a fingerprint of what each day is made of.

    That is its plays, the rules, and the day before as it is published: what is cut after a stale day is stale itself
    once that is cut again, in whatever order days are requested.
    """
    published = list_upstream(sessions)
    former = {}
    if gap_ms == GAP_MS and not _has_source_sessions(plays):
        # by rules 1 a day was named after all plays up to it; where no source names sessions, rules 2 cut the same
        former = plays.cumulative_fingerprints()
    days, upstream, before = [], {}, ""
    for day in plays.days:
        upstream[day] = name_day(plays, day, before, gap_ms)
        is_stale = published.get(day) not in (upstream[day], former.get(day, upstream[day]))
        if day in requested or (is_stale and not requested):
            days.append(day)
        else:
            upstream[day] = published.get(day, "")
        before = upstream[day]
    return sorted({*days, *requested}), upstream


def find_changed_days(plays: TableState, sessions: TableState | None, gap_ms: int) -> set[date]:
    """Days whose plays or rules are others than when they were cut, and not the day before alone."""
    published = list_upstream(sessions)
    changed, before = set(), ""
    for day in plays.days:
        if published.get(day) != name_day(plays, day, before, gap_ms):
            changed.add(day)
        # as it is published, whatever it should be: that is what the next day was cut upon
        before = published.get(day, "")
    return changed


def select_first_days(
    days: Sequence[date], stale: Sequence[date], changed: Container[date], at_least: int
) -> list[date]:
    """The first stale days, `at_least` so many, and those after them that are changed themselves, without a gap.

    Args:
        days: all that have plays.
    """
    following, is_stale = days[days.index(stale[0]) :], set(stale)
    ends = (n for n, d in enumerate(following) if d not in is_stale or (n >= at_least and d not in changed))
    return list(following[: next(ends, None)])


def _measure_handover(job: Job, state: TableState, days: Sequence[date]) -> DayProfile:
    """What some days of a version of `sessions` hand over to the next one."""
    return content(select_last_plays(job.at("sessions", state.version, days)), {})[0]


def name_day(plays: TableState, day: date, before: str, gap_ms: int) -> str:
    limits = plays.find_limit(day), find_limit(before)
    return mark_provisional(digest(RULES, gap_ms, plays.published_hashes([day]), before), limits)


def _has_source_sessions(plays: TableState) -> bool:
    return "source_session_id" not in plays.empty_columns


if __name__ == "__main__":
    raise SystemExit(main())
