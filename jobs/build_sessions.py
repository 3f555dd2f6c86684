"""Cuts plays into sessions; a session that was open the day before goes on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from features.sessions import GAP_MS, cut_sessions
from jobs.arguments import add_day_arguments, new_parser, requested_days
from jobs.job import Job
from jobs.publishing.warehouse import stale_days


def main(argv: Sequence[str] | None = None) -> int:
    parser = add_day_arguments(new_parser(__doc__, "build-sessions"))
    gap_help = "silence that ends a session (%(default)s ms)"
    parser.add_argument("--gap-ms", type=int, default=GAP_MS, help=gap_help)
    args = parser.parse_args(argv)
    job = Job("build-sessions", args.root, args.run_id)
    # cumulative: a session that goes on takes a late play of one day to the days after it
    fingerprints = job.source("plays").cumulative_fingerprints()
    days = requested_days(args, lambda: stale_days(job.warehouse, "sessions", fingerprints))
    if not days:
        job.up_to_date("sessions", "no day of plays is new or changed")
        return 0
    plays = job.table("plays", days)
    # two days: a play of a whole day that began the day before yesterday may end just before today
    before = [days[0] - timedelta(days=n) for n in (2, 1)]
    # on the first day ever there is no table to go on from
    earlier = job.find("sessions", before)
    parameters = {"gap_ms": args.gap_ms}
    batch = job.batch("sessions", days, [plays, earlier], upstream=fingerprints, parameters=parameters)
    job.publish(batch, cut_sessions(plays.rows(), earlier.rows() if earlier else None, args.gap_ms))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
