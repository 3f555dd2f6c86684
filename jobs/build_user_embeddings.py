"""A vector per listener: the mean of the tracks played, the last days weighing most."""

from __future__ import annotations

from collections.abc import Sequence

from features.embeddings.users import HalfLifeError, build_user_embeddings
from jobs.arguments import new_parser
from jobs.embeddings.steps import TABLE, add_day_argument, days_ending, resolve_day
from jobs.errors import WrongUsage
from jobs.job import Job


def main(argv: Sequence[str] | None = None) -> int:
    arguments = add_day_argument(new_parser(__doc__, "build-user-embeddings"))
    arguments.add_argument("--days", type=int, default=30, help="days of sessions to average (%(default)s)")
    arguments.add_argument(
        "--half-life", type=float, default=7.0, help="days after which a play weighs half (%(default)s)"
    )
    args = arguments.parse_args(argv)
    job = Job("build-user-embeddings", args.root, args.run_id)
    day = resolve_day(job, args.day)
    days = days_ending(day, args.days)
    embeddings, sessions = job.table(TABLE, [day]), job.table("sessions", days)
    batch = job.batch(
        "user_embeddings",
        [day],
        [embeddings, sessions],
        parameters={"days": args.days, "half": args.half_life},
    )
    if job.unchanged(batch):
        return 0
    try:
        rows = build_user_embeddings(sessions.rows(), embeddings.rows(), day, args.half_life)
    except HalfLifeError as problem:
        raise WrongUsage(str(problem)) from problem
    job.publish(batch, rows, if_empty="no listener played a track that has a vector")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
