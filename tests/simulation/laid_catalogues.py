"""The ingest of a catalogue without Spark: its `main` as it is, over rows in plain Python instead of DataFrames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from simulation.laid import _select_new_rows
from simulation.laid_files import without_file
from simulation.loops import Rows

from jobs import ingest_tracks, track_changes
from jobs.input_files import InputFile
from jobs.inputs import TableInput
from jobs.row_counts import RowCounts
from reference import catalogues
from reference.rows import Row


def remove_spark(patch: pytest.MonkeyPatch) -> None:
    """Until `patch` is undone; the job itself is replaced by whoever calls this."""
    twins = {
        "read_rows": lambda _, __, files, ___: list_lines(files),
        "redact_listener": lambda rows, *_: rows,
        "parse_and_validate_tracks": lambda rows, *_: rows,
        "select_tracks": lambda rows, _: select(rows),
        "select_rejected_tracks": list_rejects,
        "merge_catalogue": lambda new, old: Rows([*new, *exclude(old, new)]),
        "count_rows": count,
        "select_new_rows": _select_new_rows,
    }
    for name, twin in twins.items():
        patch.setattr(ingest_tracks, name, twin)
    patch.setattr(track_changes, "find_changes", list_found_changes)
    patch.setattr(track_changes, "_count_changes", count_changes)


def list_lines(files: Sequence[InputFile]) -> Rows:
    lines = Rows()
    for file in files:
        path = Path(file.path.removeprefix("file:"))
        for line in path.read_text(encoding="utf-8").splitlines()[1:]:
            texts = dict.fromkeys(("track_id", *catalogues.FIELDS)) | dict(
                zip(
                    ("track_id", "title", "artist_name", "track_ms", "genres", "released"),
                    line.split(","),
                    strict=False,
                )
            )
            lines.append(texts | {"raw": line, "file": path.name})
    return lines


def find_reasons(line: Row) -> list[str]:
    return ["the line is broken"] if line["raw"].count(",") < 5 else sorted(catalogues.read_row(line)[1])


def select(lines: Rows) -> Rows:
    tracks = catalogues.select([line for line in lines if not find_reasons(line)])
    return Rows({**row, "source": "test"} for row in tracks.values())


def list_rejects(lines: Rows) -> Rows:
    rejects = [(line, find_reasons(line)) for line in lines]
    day = datetime.now(UTC).date()
    return Rows(
        {"reject_id": line["raw"], "raw": line["raw"], "file": line["file"], "reasons": reasons}
        | {"source": "test", "ds": day}
        for line, reasons in rejects
        if reasons
    )


def count(lines: Rows) -> RowCounts:
    reasons = Counter(reason for line in lines for reason in find_reasons(line))
    return RowCounts(len(lines), sum(bool(find_reasons(line)) for line in lines), 0, reasons)


def exclude(old: Rows, new: Rows) -> list[Row]:
    known = {row["track_id"] for row in new}
    return [without_file(row) for row in old if row["track_id"] not in known]


def list_found_changes(new: Rows, old: Rows, fields: Sequence[str], version: int, today: date) -> Rows:
    before, after = ({row["track_id"]: row for row in rows} for rows in (old, new))
    found = catalogues.compare(*[{id_: fill(row) for id_, row in each.items()} for each in (before, after)])
    return Rows(
        {"track_id": id_, "field": field, "before": one, "after": other, "source": "test"}
        | {"tracks_version": version, "ds": today}
        for id_, field, one, other in sorted(found, key=str)
        if field in fields
    )


def fill(row: Row) -> Row:
    return {name: row.get(name) for name in catalogues.FIELDS}


def count_changes(rows: Any, catalogue: TableInput) -> track_changes.TrackChanges:
    by_field = Counter(row["field"] for row in rows)
    return track_changes.TrackChanges(rows, len({row["track_id"] for row in rows}), by_field, catalogue)
