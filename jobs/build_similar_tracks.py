"""The nearest tracks of every track, searched once for all readers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

from features.embeddings.neighbours import find_similar_tracks, largest_in_degree
from jobs.arguments import new_parser, parse_count
from jobs.embeddings.ceiling import check_search
from jobs.embeddings.steps import TABLE, add_day_argument, configure_search, resolve_day
from jobs.job import Job

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# An in-degree below it, twice as large as the day before, is no hub yet.
MANY = 20.0


def main(argv: Sequence[str] | None = None) -> int:
    parser = add_day_argument(new_parser(__doc__, "build-similar-tracks"))
    parser.add_argument("-k", type=parse_count, default=50, help="neighbours of a track (%(default)s)")
    args = parser.parse_args(argv)
    job = Job("build-similar-tracks", args.root, args.run_id)
    day = resolve_day(job, args.day)
    embeddings = job.table(TABLE, [day])
    batch = job.batch("similar_tracks", [day], [embeddings], parameters={"k": args.k})
    # before the search is configured, which would open a session
    if job.unchanged(batch):
        return 0
    search = configure_search(job)
    check_search(embeddings, search, pairwise=False)
    rows = find_similar_tracks(embeddings.rows(), args.k, search)
    job.publish(batch, rows, lambda staged: _measure_hubs(job, day, staged))
    return 0


def _measure_hubs(job: Job, day: date, staged: DataFrame) -> dict[str, float]:
    """Of the rows, and against the day published before, where there are hubs to compare."""
    # of the staged rows, where all neighbours are known: a sample has other hubs
    largest = largest_in_degree(staged)
    before = job.day_before("similar_tracks", day)
    is_comparable = before is not None and largest > MANY
    measures = {"hubness@10": largest, "has_hubs_and_day_before": float(is_comparable)}
    if before is not None and is_comparable:
        # the largest is 0 on a day when no track had a neighbour
        measures["hubness@10_ratio"] = largest / max(1.0, largest_in_degree(before))
    return measures


if __name__ == "__main__":
    raise SystemExit(main())
