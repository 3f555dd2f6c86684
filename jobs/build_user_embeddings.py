"""A vector per listener: the mean of the tracks played, the last days weighing most."""

from __future__ import annotations

from collections.abc import Sequence

from features.embeddings.users import HalfLifeError, check_half_life
from jobs.arguments import new_parser
from jobs.embeddings.scratch import Scratch
from jobs.embeddings.steps import TABLE, add_day_argument, days_ending, resolve_day
from jobs.embeddings.vector_files import VectorFiles
from jobs.errors import WrongUsage
from jobs.job import Job


def main(argv: Sequence[str] | None = None) -> int:
    parser = add_day_argument(new_parser(__doc__, "build-user-embeddings"))
    add = parser.add_argument
    add("--days", type=int, default=30, help="days of sessions to average (%(default)s)")
    # over the 30 days, weights fall to 0.5 ** (30 / 7), a twentieth: a longer history would hardly show
    add("--half-life", type=float, default=7.0, help="days after which a play weighs half (%(default)s)")
    args = parser.parse_args(argv)
    job = Job("build-user-embeddings", args.root, args.run_id)
    day = resolve_day(job, args.day)
    embeddings, sessions = job.table(TABLE, [day]), job.table("sessions", days_ending(day, args.days))
    # `half` is what published batches were identified by: another name would make every day again
    parameters = {"days": args.days, "half": args.half_life}
    batch = job.batch("user_embeddings", [day], [embeddings, sessions], parameters=parameters)
    try:
        check_half_life(args.half_life)
    except HalfLifeError as problem:
        raise WrongUsage(str(problem)) from problem
    # from before the files are written: two runs of one batch have one scratch
    with job.lease("user_embeddings"):
        if job.unchanged(batch):
            return 0
        files = VectorFiles(Scratch(job.warehouse.path("scratch", "user_embeddings", batch.fingerprint)))
        try:
            vectors = embeddings.rows()
            files.write(vectors)
            rows = files.average(sessions.rows(), vectors, day, args.half_life)
            # nothing is averaged before the batch is staged, so the files must last until then
            job.publish(batch, rows, if_empty="no listener played a track that has a vector")
        finally:
            files.scratch.remove()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
