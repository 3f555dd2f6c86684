"""Input files: which were read into which table, and what became of their rows."""

from __future__ import annotations

from schemas.contract import Column, Contract

INPUT_FILES = Contract(
    name="input_files",
    meaning="One row per input file and run that read it, recognised it, or could not take it in.",
    columns=(
        Column("run_id", "string", "one command that ran one or more jobs", nullable=False),
        Column("table_name", "string", "the table that its rows are for", nullable=False),
        Column("table_id", "string", "Delta's id of that table: one that is made anew has another"),
        Column("file_id", "string", "hash of the path, by which the file is found again", nullable=False),
        Column(
            "path", "string", "null where the source is personal, or the id of an erased listener is in it"
        ),
        Column("bytes", "bigint", "its size", "bytes"),
        Column("modified_at", "timestamp", "when it was written last", "UTC"),
        Column("content_id", "string", "hash of its content, or of its size and samples where it is large"),
        Column("source", "string", "name of the source that says how it is laid out"),
        Column("settings", "string", "hash of what the source says of its rows"),
        Column(
            "outcome",
            "string",
            "read, recognised, refused or failed; of no file: published, when the rows of a transaction are, and "
            "retracted, when rows were taken out of the table",
            nullable=False,
        ),
        Column("transaction", "string", "Delta's, which publishes its new rows; null where it had none"),
        Column("retractions", "bigint", "how often rows had been taken out of the table by then"),
        Column("rows", "bigint", "rows in it, the sum of the next five", "rows"),
        Column("new_rows", "bigint", "rows that were published", "rows"),
        Column(
            "duplicate_rows", "bigint", "rows that were there, in this file, another or the table", "rows"
        ),
        Column("late_rows", "bigint", "plays set aside in late_plays", "rows"),
        Column("rejected_rows", "bigint", "rows that are no event", "rows"),
        Column("left_out_rows", "bigint", "rows of other kinds, as the source declares", "rows"),
        Column("error", "string", "what refused the rows, or why the file could not be read"),
        Column("recorded_at", "timestamp", "instant of this record", "UTC", False),
    ),
    key=("run_id", "table_name", "file_id", "outcome"),
    partitions=(),
    # not of paths: an old entry of the log would keep the least and the greatest after an erasure
    statistics=("table_name",),
)
