"""Reads a source's catalogue: each row ends as a track, a duplicate or a reject; tracks that it does not name stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from expectations.verdict import Refused
from features.tracks import (
    merge_catalogue,
    parse_and_validate_tracks,
    select_rejected_tracks,
    select_tracks,
    track_fields,
)
from jobs import input_files, sources
from jobs.arguments import add_source_arguments, new_parser
from jobs.inputs import Input, TableInput
from jobs.job import Job
from jobs.known_ids import name_comparison, select_new_rows
from jobs.personal_rows import redact_listener
from jobs.publishing.batches import Batch
from jobs.publishing.protocol import StagedBatch
from jobs.recognise_source import resolve_source
from jobs.row_counts import RowCounts, add_quarantine_hint, count_rows, measure_reasons, say_reasons
from jobs.source_rows import read_rows
from jobs.track_changes import TrackChanges, find_track_changes
from schemas import CONTRACTS
from schemas.tracks import REJECTED_TRACKS, TRACKS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class CatalogueCounts:
    """What the rows of one catalogue became."""

    rows: RowCounts
    tracks: int

    @property
    def duplicates(self) -> int:
        return self.rows.rows - self.tracks - self.rows.rejected - self.rows.left_out

    def __str__(self) -> str:
        left_out = f" + {self.rows.left_out:,} left out" if self.rows.left_out else ""
        return (
            f"{self.rows.rows:,} rows read = {self.tracks:,} tracks + {self.duplicates:,} duplicates "
            f"+ {self.rows.rejected:,} rejected{left_out}"
        )

    def measures(self) -> dict[str, float]:
        meant = max(self.rows.rows - self.rows.left_out, 1)
        counts = {"rejected": self.rows.rejected, "duplicate": self.duplicates}
        shares = {f"{name}_share": count / meant for name, count in counts.items()}
        return shares | measure_reasons(self.rows.reasons)


def main(argv: Sequence[str] | None = None) -> int:
    args = add_source_arguments(new_parser(__doc__, "ingest-tracks"), setting="catalogue").parse_args(argv)
    source = sources.load_source(resolve_source(args.source, args.input))
    contract = CONTRACTS[TRACKS.name]
    fields = track_fields(contract)
    columns = sources.column_map(source, TRACKS.name, fields)
    job = Job("ingest-tracks", args.root, args.run_id)
    files = input_files.list_files(args.input, lambda: job.spark)
    with job.lease(TRACKS.name):  # before tracks are read: another ingest may be adding to them
        catalogue = job.find(TRACKS.name)
        files_input = input_files.identify_files(files)
        # the result depends on the catalogue before, yet the same files must be the same batch, or each night would
        # publish again: so the catalogue is the base, and not an input
        batch = job.batch(
            TRACKS.name,
            inputs=[files_input],
            base=catalogue,
            deterministic=False,
            parameters=source.parameters(TRACKS.name),
        )
        if job.unchanged(batch):
            return 0
        estimated_rows = input_files.estimate_rows(files)
        job.tune(estimated_rows)
        if catalogue is None:
            batch = replace(batch, row_counts={None: estimated_rows})
        rows = redact_listener(read_rows(job.spark, source, files, columns), source, columns)
        parsed = parse_and_validate_tracks(rows, columns, contract, source.name, datetime.now(UTC).date())
        missing = sources.find_missing_columns(job, source, contract, _list_given(fields, columns), columns)
        _publish(job, batch, files_input, parsed, catalogue, missing)
    return 0


def _list_given(fields: Sequence[str], columns: Mapping[str, str]) -> list[str]:
    """Fields that a source can give; of both texts of a release date, that of which it has neither."""
    dates = ("released", "released_on")
    return [name for name in fields if name not in dates or not columns.keys() & set(dates)]


def _publish(
    job: Job,
    batch: Batch,
    files_input: Input,
    parsed: DataFrame,
    catalogue: TableInput | None,
    missing: Mapping[str, str],
) -> None:
    """Rejects, which show why where the gate refuses the catalogue; then what changed; then the tracks."""
    # counts, rejects and tracks start from these rows: each would read and parse the files again
    parsed = parsed.persist()
    tracks = select_tracks(parsed, batch.contract).persist()
    counts = CatalogueCounts(count_rows(parsed), tracks.count())
    job.say(str(counts))
    say_reasons(job, counts.rows.reasons)
    if counts.rows.rejected:
        _publish_rejects(job, parsed, files_input)
    with find_track_changes(job, batch.contract, tracks, catalogue) as changes:
        rows = merge_catalogue(tracks, catalogue.rows()) if catalogue else tracks
        _publish_tracks(job, batch, rows, counts, changes, files_input, missing)
    # a flow runs all its steps in this JVM: what stays cached here would stay to its end
    tracks.unpersist()
    parsed.unpersist()


def _publish_tracks(
    job: Job,
    batch: Batch,
    rows: DataFrame,
    counts: CatalogueCounts,
    changes: TrackChanges,
    files_input: Input,
    missing: Mapping[str, str],
) -> None:
    def keep_changes(staged: StagedBatch) -> None:
        # just before the commit that makes them true: after a kill between the two, the rerun is the same batch
        if not staged.verdict.refused:
            changes.publish(job, files_input)

    measures = counts.measures() | changes.measures()
    try:
        job.publish(batch, rows, measures, missing, after_audit=keep_changes)
    except Refused as refused:
        raise add_quarantine_hint(job, refused, counts.rows.rejected, REJECTED_TRACKS.name) from None


def _publish_rejects(job: Job, parsed: DataFrame, files_input: Input) -> None:
    # all of them are compared: a row that is bad each night is one reject, of the night when it came first
    table = REJECTED_TRACKS.name
    existing, new = select_new_rows(job, table, "reject_id", select_rejected_tracks(parsed), None)
    if not new.isEmpty():
        parameters = name_comparison(job, table)
        job.publish(
            job.batch(table, inputs=[files_input, existing], appends=True, parameters=parameters), new
        )


if __name__ == "__main__":
    raise SystemExit(main())
