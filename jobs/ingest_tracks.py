"""Reads a source's catalogue of tracks; tracks that it does not name stay as they are."""

from __future__ import annotations

from collections.abc import Sequence

from features.ingest import TRACK_FIELDS, merge_catalogue, parse_tracks
from jobs.arguments import add_source_arguments, new_parser
from jobs.inputs import Input
from jobs.job import Job
from jobs.source_rows import check_column_map, read_rows
from jobs.sources import (
    column_map,
    estimate_rows,
    find_missing_columns,
    identify_files,
    list_files,
    load_source,
)
from schemas.tracks import TRACKS


def main(argv: Sequence[str] | None = None) -> int:
    args = add_source_arguments(new_parser(__doc__, "ingest-tracks"), setting="catalogue").parse_args(argv)
    source = load_source(args.source)
    columns = column_map(source, "tracks", TRACK_FIELDS)
    job = Job("ingest-tracks", args.root, args.run_id)

    files = list_files(args.input, lambda: job.spark)
    with job.lease("tracks"):  # before tracks are read: another ingest may be adding to them
        known = job.find("tracks")
        # the same files give another catalogue where another one was published before
        batch = job.batch(
            "tracks",
            inputs=[Input("files", str(identify_files(files)))],
            base=known,
            deterministic=False,
            parameters=vars(source),
        )
        if job.unchanged(batch):
            return 0
        job.tune(estimate_rows(files))
        read = check_column_map(read_rows(job.spark, source, [file.path for file in files]), columns, source)
        rows = parse_tracks(read, columns, source.name)
        if known:
            rows = merge_catalogue(rows, known.rows())
        job.publish(batch, rows, missing=find_missing_columns(job, source, TRACKS, TRACK_FIELDS, columns))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
