"""Reads a source's plays: each row ends as a play, a duplicate, or a row of late_plays or rejected_plays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from expectations.verdict import Refused
from features.ingest import PLAY_FIELDS, deduplicate_plays, parse_and_validate_plays, select_rejects
from jobs import sources
from jobs.arguments import add_lateness_argument, add_source_arguments, new_parser
from jobs.inputs import Input
from jobs.job import Job
from jobs.known_ids import select_new_plays, select_new_rows
from jobs.late_plays import LatePlays, publish_late_plays, split_late_plays
from jobs.publishing.batches import Batch, is_published
from jobs.source_rows import read_rows
from jobs.volume import compare_with_weekdays
from schemas.plays import PLAYS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# The commonest ones; the report has all of them, as a measure each.
REASONS_SHOWN = 5


@dataclass(frozen=True)
class IngestCounts:
    """What the rows of one input became; `reasons` counts the rejects with each reason."""

    rows: int
    plays: int
    late: int
    # by how many days the oldest of them is too old
    late_days: int
    # of the main day's plays, as a share of those of its weekday; None where that is not known
    weekday_share: float | None
    rejected: int
    reasons: Mapping[str, int]

    @property
    def duplicates(self) -> int:
        # of plays of this input, or of plays published before: to tell them apart would take one more count of all
        # rows, and the gate bounds them together
        return self.rows - self.plays - self.late - self.rejected

    def __str__(self) -> str:
        late = f"+ {self.late:,} late " if self.late else ""
        return (
            f"{self.rows:,} rows read = {self.plays:,} new plays + {self.duplicates:,} duplicates "
            f"{late}+ {self.rejected:,} rejected"
        )

    def measures(self) -> dict[str, float]:
        """For the gate: what it bounds, and the reasons, for the report."""
        counts = {"rejected": self.rejected, "duplicate": self.duplicates, "late": self.late}
        shares = {f"{name}_share": count / self.rows for name, count in counts.items()}
        reasons = {f"rejects_{'_'.join(reason.split())}": count for reason, count in self.reasons.items()}
        volume = {"has_weekdays": 0.0}
        if self.weekday_share is not None:
            volume = {"has_weekdays": 1.0, "weekday_share": self.weekday_share}
        return shares | {"late_days": self.late_days} | volume | reasons


def main(argv: Sequence[str] | None = None) -> int:
    parser = add_source_arguments(new_parser(__doc__, "ingest-plays"))
    add_lateness_argument(parser)
    args = parser.parse_args(argv)
    source = sources.load_source(args.source)
    columns = sources.column_map(source, "plays", PLAY_FIELDS)
    job = Job("ingest-plays", args.root, args.run_id)
    files = sources.list_files(args.input, lambda: job.spark)
    files_input = sources.identify_files(files)
    with job.lease("plays"):  # before plays are read: another ingest may be adding the same ones
        parameters = {**vars(source), "allowed_lateness": args.allowed_lateness}
        batch = job.batch("plays", inputs=[files_input], appends=True, parameters=parameters)
        if is_published(job.warehouse, batch):
            job.up_to_date("plays", "these files are in already")
            return 0
        job.tune(sources.estimate_rows(files))
        rows = read_rows(job.spark, source, files, columns)
        plays_with_reasons = parse_and_validate_plays(rows, columns, source.name, datetime.now(UTC))
        missing = sources.find_missing_columns(job, source, PLAYS, PLAY_FIELDS, columns)
        _publish(job, batch, files_input, plays_with_reasons, missing, args.allowed_lateness)
    return 0


def _publish(
    job: Job,
    batch: Batch,
    files_input: Input,
    plays_with_reasons: DataFrame,
    missing: Mapping[str, str],
    allowed_lateness: int,
) -> None:
    """Rejects and late plays, then plays: where the gate refuses the plays, the others are what shows why."""
    # plays, rejects and counts start from these rows: each would read and parse the files again
    plays_with_reasons = plays_with_reasons.persist()
    existing_rows, new_plays = select_new_plays(job, deduplicate_plays(plays_with_reasons))
    # read twice: counted here, and staged at the end
    new_plays = new_plays.drop("former_id").persist()
    plays, late_plays = split_late_plays(job, new_plays, allowed_lateness)
    counts = _count_outcomes(job, plays_with_reasons, plays, late_plays)
    _say_counts(job, counts, late_plays)
    if counts.plays or counts.rejected or late_plays:
        # the quarantine first: a crash between the two then loses nothing, as the rerun repeats both
        rejects = select_rejects(plays_with_reasons)
        # a reject has the text of a line, so another day of it is another reject
        reject_days = sorted(row.ds for row in rejects.select("ds").distinct().collect())
        existing_rejects, new_rejects = select_new_rows(
            job, "rejected_plays", "reject_id", rejects, reject_days
        )
        # files whose plays were refused come again once they are mended, with rejects that were published then
        if not new_rejects.isEmpty():
            inputs = [files_input, existing_rows, existing_rejects]
            job.publish(job.batch("rejected_plays", inputs=inputs, appends=True), new_rejects)
        if late_plays:
            publish_late_plays(job, late_plays, files_input, missing)
        try:
            job.publish(batch, plays, counts.measures(), missing)
        except Refused as refused:
            raise _add_quarantine_hint(job, refused, counts) from None
    # a flow runs all its steps in this JVM: what stays cached here would stay to its end
    new_plays.unpersist()
    plays_with_reasons.unpersist()


def _say_counts(job: Job, counts: IngestCounts, late: LatePlays | None) -> None:
    job.say(str(counts))
    for reason, count in sorted(counts.reasons.items(), key=lambda item: -item[1])[:REASONS_SHOWN]:
        job.say(f"    {count:,} rejected: {reason}")
    if late:
        job.say(f"    {late}")
    if counts.weekday_share is not None:
        job.say(f"    {counts.weekday_share:.0%} of the plays of such a weekday, by the median of four weeks")


def _add_quarantine_hint(job: Job, refused: Refused, counts: IngestCounts) -> Refused:
    if not counts.rejected:
        return refused
    where = (
        f"The {counts.rejected:,} rejected rows are published in {job.warehouse.table_path('rejected_plays')}, "
        "a Delta table: each with its text, file and reasons."
    )
    return Refused(f"{refused}\n{where}", refused.verdict)


def _count_outcomes(
    job: Job, plays_with_reasons: DataFrame, plays: DataFrame, late: LatePlays | None
) -> IngestCounts:
    # one pass for rows, rejects and reasons: there are few different lists of reasons
    from pyspark.sql import functions as F

    # less the header of each file that has one, which is no row of it
    headers = F.count_distinct(F.when(F.col("is_header"), F.col("file")))
    grouped = plays_with_reasons.groupBy("reasons").agg((F.count("*") - headers).alias("count")).collect()
    by_reasons = [row for row in grouped if row["count"]]
    reasons: Counter[str] = Counter()
    for row in by_reasons:
        # a row with two reasons counts once for each, so these add up to more than the rejects
        reasons.update(dict.fromkeys(row["reasons"], row["count"]))
    new_plays = {row["ds"]: row["count"] for row in plays.groupBy("ds").count().collect()}
    return IngestCounts(
        rows=sum(row["count"] for row in by_reasons),
        plays=sum(new_plays.values()),
        late=late.count if late else 0,
        late_days=late.days if late else 0,
        weekday_share=compare_with_weekdays(job.state("plays"), new_plays),
        rejected=sum(row["count"] for row in by_reasons if row["reasons"]),
        reasons=reasons,
    )


if __name__ == "__main__":
    raise SystemExit(main())
