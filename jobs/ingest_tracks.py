"""Reads a source's catalogue of tracks; tracks that it does not name stay as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from features.ingest import merge_catalogue, parse_tracks, track_fields
from jobs import input_files, sources
from jobs.arguments import add_source_arguments, new_parser
from jobs.job import Job
from jobs.recognise_source import resolve_source
from jobs.source_rows import read_rows
from schemas import CONTRACTS


def main(argv: Sequence[str] | None = None) -> int:
    args = add_source_arguments(new_parser(__doc__, "ingest-tracks"), setting="catalogue").parse_args(argv)
    source = sources.load_source(resolve_source(args.source, args.input))
    contract = CONTRACTS["tracks"]
    fields = track_fields(contract)
    columns = sources.column_map(source, "tracks", fields)
    job = Job("ingest-tracks", args.root, args.run_id)
    files = input_files.list_files(args.input, lambda: job.spark)
    with job.lease("tracks"):  # before tracks are read: another ingest may be adding to them
        catalogue = job.find("tracks")
        # the result depends on the catalogue before, yet the same files must be the same batch, or each night would
        # publish again: so the catalogue is the base, and not an input
        inputs = [input_files.identify_files(files)]
        batch = job.batch(
            "tracks",
            inputs=inputs,
            base=catalogue,
            deterministic=False,
            parameters=source.parameters("tracks"),
        )
        if job.unchanged(batch):
            return 0
        estimated_rows = input_files.estimate_rows(files)
        job.tune(estimated_rows)
        rows = parse_tracks(read_rows(job.spark, source, files, columns), columns, contract, source.name)
        # a delivery may name only the tracks that changed
        if catalogue:
            rows = merge_catalogue(rows, catalogue.rows())
        else:
            batch = replace(batch, row_counts={None: estimated_rows})
        job.publish(batch, rows, missing=sources.find_missing_columns(job, source, contract, fields, columns))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
