"""Cuts plays into sessions; a session that was open the day before goes on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date

from features.sessions import GAP_MS, RULES, cut_sessions, earlier_days
from jobs.arguments import add_day_arguments, new_parser, requested_days
from jobs.job import Job
from jobs.publishing.state import TableState, digest


def main(argv: Sequence[str] | None = None) -> int:
    parser = add_day_arguments(new_parser(__doc__, "build-sessions"))
    gap_help = "silence that ends a session (%(default)s ms)"
    parser.add_argument("--gap-ms", type=int, default=GAP_MS, help=gap_help)
    args = parser.parse_args(argv)
    job = Job("build-sessions", args.root, args.run_id)
    plays_state = job.source("plays")
    requested = requested_days(args, list)
    days, upstream = select_days(plays_state, job.state("sessions"), requested, args.gap_ms)
    if not days:
        job.up_to_date("sessions", "no day of plays is new or changed")
        return 0
    plays = job.table("plays", days)
    # on the first day ever there is no table to go on from
    earlier = job.find("sessions", earlier_days(days[0], args.gap_ms, _has_source_sessions(plays_state)))
    parameters = {"gap_ms": args.gap_ms}
    batch = job.batch("sessions", days, [plays, earlier], upstream=upstream, parameters=parameters)
    sessions = cut_sessions(plays.rows(), earlier.rows() if earlier else None, args.gap_ms)
    job.publish(batch, sessions, {"has_plays": float(plays.count > 0)})
    return 0


def select_days(
    plays: TableState, sessions: TableState | None, requested: Collection[date], gap_ms: int
) -> tuple[list[date], dict[date, str]]:
    """The days to cut, those that are stale if none is requested; and a fingerprint of what each day is made of.

    That is its plays, the rules, and the day before as it is published: what is cut after a stale day is stale itself
    once that is cut again, in whatever order days are requested.
    """
    published = {} if sessions is None else {day: each.upstream for day, each in sessions.day_states.items()}
    former = {}
    if gap_ms == GAP_MS and not _has_source_sessions(plays):
        # by rules 1 a day was named after all plays up to it; where no source names sessions, rules 2 cut the same
        former = plays.cumulative_fingerprints()
    days, upstream, before = [], {}, ""
    for day in plays.days:
        upstream[day] = digest(RULES, gap_ms, plays.published_hashes([day]), before)
        is_stale = published.get(day) not in (upstream[day], former.get(day, upstream[day]))
        if day in requested or (is_stale and not requested):
            days.append(day)
        else:
            upstream[day] = published.get(day, "")
        before = upstream[day]
    return sorted({*days, *requested}), upstream


def _has_source_sessions(plays: TableState) -> bool:
    return "source_session_id" not in plays.empty_columns


if __name__ == "__main__":
    raise SystemExit(main())
