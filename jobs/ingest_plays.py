"""Reads a source's plays: each row ends as a play, a duplicate or a row of rejected_plays."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from features.ingest import PLAY_FIELDS, judged_plays, rejected, without_duplicates
from jobs.job import Job, parser
from jobs.publish import already_published
from jobs.sources import checked, columns_for, describe, list_files, load_source, read_rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def main(argv: Sequence[str] | None = None) -> int:
    made = parser(__doc__, "ingest-plays")
    made.add_argument("--source", required=True, help="TOML file: how the files are laid out")
    made.add_argument("--input", required=True, nargs="+", help="files, folders or globs")
    args = made.parse_args(argv)
    source = load_source(args.source)
    columns = columns_for(source, "plays", PLAY_FIELDS)
    job = Job("ingest-plays", args.root, args.run_id)

    files = list_files(job.spark, args.input)
    job.uses("files", str(describe(files)))
    batch = job.batch("plays", appends=True, parameters=vars(source))
    if already_published(job.warehouse, batch):
        job.say("plays unchanged: these files are in already")
        return 0
    rows = read_rows(job.spark, source, [file.path for file in files])
    judged = judged_plays(checked(rows, columns, source), columns, source.name, datetime.now(UTC)).persist()
    good, bad = without_duplicates(judged), rejected(judged)
    new_plays = _absent(job, "plays", good, "play_id").persist()
    new_rejects = _absent(job, "rejected_plays", bad, "reject_id")
    counts = _counted(judged, new_plays)
    job.say(
        "{rows:,} rows read = {plays:,} new plays + {duplicates:,} duplicates + {rejected:,} rejected".format(
            **counts
        )
    )
    if counts["plays"] or counts["rejected"]:
        measures = {
            "rejected_share": counts["rejected"] / counts["rows"],
            "duplicate_share": counts["duplicates"] / counts["rows"],
        }
        # the quarantine first: a crash between the two then loses nothing, as the rerun repeats both
        staged = job.stage(batch, new_plays, measures)
        if not new_rejects.isEmpty():
            job.publish(job.batch("rejected_plays", appends=True), new_rejects)
        job.commit(staged)
    return 0


def _absent(job: Job, table: str, rows: DataFrame, key: str) -> DataFrame:
    """Those of `rows` that the table has not yet."""
    if not job.has(table):
        return rows
    days: list[date] = [row.ds for row in rows.select("ds").distinct().collect()]
    return rows.join(job.read(table, days).select(key), key, "left_anti") if days else rows


def _counted(judged: DataFrame, new_plays: DataFrame) -> dict[str, int]:
    """Rows read, new plays, rejected rows; what is left are duplicates, of this input or of earlier ones."""
    rows = judged.count()
    rejects = judged.where("size(reasons) > 0").count()
    plays = new_plays.count()
    return {"rows": rows, "plays": plays, "rejected": rejects, "duplicates": rows - plays - rejects}


if __name__ == "__main__":
    raise SystemExit(main())
