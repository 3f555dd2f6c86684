"""Reads a source's catalogue of tracks; tracks that it does not name stay as they are."""

from __future__ import annotations

from collections.abc import Sequence

from features.ingest import TRACK_FIELDS, catalogue, catalogue_with
from jobs.job import Job, parser, with_source
from jobs.missing_columns import missing_columns
from jobs.sources import checked, columns_for, describe, estimate_rows, list_files, load_source, read_rows
from schemas.tracks import TRACKS


def main(argv: Sequence[str] | None = None) -> int:
    args = with_source(parser(__doc__, "ingest-tracks")).parse_args(argv)
    source = load_source(args.source)
    columns = columns_for(source, "tracks", TRACK_FIELDS)
    job = Job("ingest-tracks", args.root, args.run_id)

    files = list_files(args.input, lambda: job.spark)
    job.uses("files", str(describe(files)))
    with job.lease("tracks"):  # before tracks are read: another ingest may be adding to them
        job.state("tracks")
        # what comes of the same files depends on what was there
        batch = job.batch("tracks", repeatable=False, parameters=vars(source))
        if job.unchanged(batch):
            return 0
        job.fit(estimate_rows(files))
        read = checked(read_rows(job.spark, source, [file.path for file in files]), columns, source)
        rows = catalogue(read, columns, source.name)
        if job.has("tracks"):
            rows = catalogue_with(rows, job.read("tracks"))
        job.publish(batch, rows, missing=missing_columns(job, source, TRACKS, TRACK_FIELDS, columns))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
