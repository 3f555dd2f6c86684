"""What a catalogue changes of tracks that are known, in `track_changes`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from features.tracks import find_changes, track_fields
from jobs.inputs import Input, TableInput
from jobs.job import Job
from jobs.known_ids import name_comparison
from schemas import Contract
from schemas.tracks import TRACK_CHANGES, TRACKS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class TrackChanges:
    """Those of one catalogue; `by_field` counts them, `tracks` the tracks that have some."""

    rows: DataFrame | None
    tracks: int
    by_field: Mapping[str, int]
    # the table before; None at the first load, of which nothing is a change
    catalogue: TableInput | None

    def publish(self, job: Job, files: Input) -> None:
        """Appends them; with none, no batch is made."""
        if self.rows is not None and self.tracks:
            # beside the files, the catalogue: against another one, the same files change other fields. And when that
            # was published: two that take turns change each other's fields each time
            parameters = name_comparison(job, TRACKS.name)
            inputs = [files, self.catalogue]
            batch = job.batch(TRACK_CHANGES.name, inputs=inputs, appends=True, parameters=parameters)
            job.publish(batch, self.rows, missing={})

    def measures(self) -> dict[str, float]:
        known = self.catalogue.count if self.catalogue else 0
        return {"changed_share": self.tracks / max(known, 1), "has_catalogue": float(known > 0)}

    def __str__(self) -> str:
        known = self.catalogue.count if self.catalogue else 0
        by_count = sorted(self.by_field.items(), key=lambda each: (-each[1], each[0]))
        fields = ", ".join(f"{name} of {count:,}" for name, count in by_count)
        return f"{self.tracks:,} of {known:,} known tracks changed: {fields}"


@contextmanager
def find_track_changes(
    job: Job, contract: Contract, tracks: DataFrame, catalogue: TableInput | None
) -> Iterator[TrackChanges]:
    """Of the tracks of a catalogue that is read, against the table as it is; counted, said, and kept while open."""
    fields = _list_filled_fields(job, contract, catalogue)
    if catalogue is None or not fields:
        yield TrackChanges(None, 0, {}, catalogue)
        return
    today = datetime.now(UTC).date()
    rows = find_changes(tracks, catalogue.rows(), fields, catalogue.version, today).persist()
    changes = _count_changes(rows, catalogue)
    if changes.tracks:
        job.say(f"    {changes}")
    yield changes
    rows.unpersist()


def _count_changes(rows: DataFrame, catalogue: TableInput) -> TrackChanges:
    from pyspark.sql import functions as F

    grouped = rows.rollup("field").agg(F.count("*"), F.count_distinct("track_id")).collect()
    by_field = {field: changes for field, changes, _ in grouped if field is not None}
    # the sum of all fields, of which there is none where nothing changed
    tracks = sum(tracks for field, _, tracks in grouped if field is None)
    return TrackChanges(rows, tracks, by_field, catalogue)


def _list_filled_fields(job: Job, contract: Contract, catalogue: TableInput | None) -> tuple[str, ...]:
    """Those that some track has a value in. The first values of a column come for all tracks at once: no changes."""
    state, table = job.state(TRACKS.name), job.warehouse.table(TRACKS.name)
    if catalogue is None or state is None or table is None:
        return ()
    stored = {field.name for field in table.schema().fields} - state.empty_columns
    # the key is what tracks are known by
    return tuple(name for name in track_fields(contract)[1:] if name in stored)
