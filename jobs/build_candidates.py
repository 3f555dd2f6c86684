"""Candidates for a ranker, per listener: tracks that follow what was played last, and tracks similar to it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from features.embeddings.neighbours import find_next_tracks
from features.embeddings.settings import CandidateSettings
from jobs.arguments import new_parser, parse_count
from jobs.embeddings.candidate_files import CandidateFiles
from jobs.embeddings.ceiling import check_search
from jobs.embeddings.scratch import Scratch
from jobs.embeddings.steps import (
    TABLE,
    add_day_argument,
    check_version,
    configure_search,
    days_ending,
    resolve_day,
)
from jobs.errors import JobError, WrongUsage
from jobs.job import Job
from jobs.settings_flags import add_flags, from_flags
from schemas import CONTRACTS


def main(argv: Sequence[str] | None = None) -> int:
    parser = add_day_argument(new_parser(__doc__, "build-candidates"))
    add = parser.add_argument
    add("--days", type=int, default=30, help="days of sessions to take seeds from (%(default)s)")
    add("-k", type=parse_count, default=100, help="next tracks per seed (%(default)s)")
    add_flags(parser, CandidateSettings)
    args = parser.parse_args(argv)
    settings = from_flags(args, CandidateSettings)
    _check_recent(settings.recent_hours, args.days)
    job = Job("build-candidates", args.root, args.run_id)
    day = resolve_day(job, args.day)
    # those of another day may be of another space, whose tracks and scores do not compare
    if day not in job.source("similar_tracks").days:
        raise JobError(f"there are no similar tracks of {day}; run build-similar-tracks for that day first")
    sessions = job.table("sessions", days_ending(day, args.days))
    published, similar = job.table(TABLE, [day]), job.table("similar_tracks", [day])
    # without a catalogue no track is explicit or of a known artist, and there are candidates all the same
    catalogue = job.find("tracks")
    inputs = [sessions, published, similar, catalogue]
    parameters = {"days": args.days, "k": args.k, **dict(settings)}
    batch = job.batch("candidates", [day], inputs, parameters=parameters)
    # from before the files are written: two runs of one batch have one scratch
    with job.lease("candidates"):
        if job.unchanged(batch):
            return 0
        embeddings = published.rows()
        # scores of two trainings do not compare, and the rows are labelled as of one
        check_version(job, "similar_tracks", day, "build-similar-tracks")
        no_tracks = CONTRACTS["tracks"].struct()
        tracks = catalogue.rows() if catalogue else job.spark.createDataFrame([], no_tracks)
        files = CandidateFiles(Scratch(job.warehouse.path("scratch", "candidates", batch.fingerprint)))
        try:
            # no table, unlike the similar ones: nothing but this step reads them
            search = configure_search(job)
            check_search(published, search, pairwise=True)
            following = find_next_tracks(embeddings, args.k, search)
            files.write(embeddings, tracks, following, similar.rows())
            rows = files.choose(sessions.rows(), embeddings, day, settings)
            # nothing is chosen before the batch is staged, so the files must last until then
            job.publish(
                batch, rows, if_empty="no track is near what a listener played and was not just played"
            )
        finally:
            files.scratch.remove()
    return 0


def _check_recent(hours: float, days: int) -> None:
    # plays before the first of the days are not read, and would be left in
    if 0 < 24 * days < hours:
        raise WrongUsage(
            f"--recent-hours is {hours:g}, and --days {days} are {24 * days} hours, so what was played before would "
            f"not be left out; give --days {math.ceil(hours / 24)}, or fewer hours"
        )


if __name__ == "__main__":
    raise SystemExit(main())
