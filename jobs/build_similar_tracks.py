"""The nearest tracks of every track, found once for everybody."""

from __future__ import annotations

from collections.abc import Sequence

from features.embeddings.neighbours import NeighboursError, largest_in_degree, similar_tracks
from jobs.embeddings.published import TABLE, day_of, search, with_day
from jobs.errors import WrongUsage
from jobs.job import Job, parser


def main(argv: Sequence[str] | None = None) -> int:
    made = with_day(parser(__doc__, "build-similar-tracks"))
    made.add_argument("-k", type=int, default=50, help="neighbours of a track (%(default)s)")
    args = made.parse_args(argv)
    job = Job("build-similar-tracks", args.root, args.run_id)
    day = day_of(job, args.day)
    embeddings = job.read(TABLE, [day])
    try:
        found = similar_tracks(embeddings, args.k, search(job))
    except NeighboursError as problem:
        raise WrongUsage(str(problem)) from problem
    batch = job.batch("similar_tracks", [day], parameters={"k": args.k})
    job.publish(batch, found, lambda staged: {"hubness@10": largest_in_degree(staged)})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
