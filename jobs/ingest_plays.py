"""Reads a source's plays: each row ends as a play, a duplicate or a row of rejected_plays."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from expectations.verdict import Refused
from features.ingest import PLAY_FIELDS, deduplicate, parse_and_validate_plays, select_rejects
from jobs import sources
from jobs.arguments import add_source_arguments, new_parser
from jobs.inputs import Input, TableInput
from jobs.job import Job
from jobs.publishing.batches import Batch, is_published
from jobs.source_rows import read_rows
from schemas import Contract
from schemas.plays import PLAYS, rejects_contract

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# A play that is sent again over midnight, or with its time moved by a zone, comes under a day beside. One id on two
# days would be refused by every step after. Each day more is read at every ingest.
DAYS_BESIDE = 1
# The commonest ones; the report has all of them, as a measure each.
REASONS_SHOWN = 5


@dataclass(frozen=True)
class IngestCounts:
    """What the rows of one input became; `reasons` counts the rejects with each reason."""

    rows: int
    events: int
    rejected: int
    reasons: Mapping[str, int]

    @property
    def duplicates(self) -> int:
        # of rows of this input, or of rows published before: to tell them apart would take one more count of all
        # rows, and the gate bounds them together
        return self.rows - self.events - self.rejected

    def describe(self, table: str) -> str:
        return (
            f"{self.rows:,} rows read = {self.events:,} new {table} + {self.duplicates:,} duplicates "
            f"+ {self.rejected:,} rejected"
        )

    def measures(self) -> dict[str, float]:
        """For the gate: two shares that it bounds, and the reasons, for the report."""
        shares = {"rejected_share": self.rejected / self.rows, "duplicate_share": self.duplicates / self.rows}
        reasons = {f"rejects_{'_'.join(reason.split())}": count for reason, count in self.reasons.items()}
        return shares | reasons


@dataclass(frozen=True)
class EventKind:
    """What is read: plays, or the events of a table that a project declares."""

    contract: Contract
    # the columns that a source gives
    fields: Sequence[str]
    # rows of files, the source's column map, its name and the instant now -> columns of the contract, and `reasons`
    parse: Callable[[DataFrame, Mapping[str, str], str, datetime], DataFrame]

    @property
    def table(self) -> str:
        return self.contract.name

    @property
    def rejects_table(self) -> str:
        return rejects_contract(self.table).name


def main(argv: Sequence[str] | None = None) -> int:
    args = add_source_arguments(new_parser(__doc__, "ingest-plays")).parse_args(argv)
    return ingest("ingest-plays", args, EventKind(PLAYS, PLAY_FIELDS, parse_and_validate_plays))


def ingest(step: str, args: Namespace, kind: EventKind) -> int:
    source, table = sources.load_source(args.source), kind.table
    columns = sources.column_map(source, table, kind.fields)
    job = Job(step, args.root, args.run_id)
    files = sources.list_files(args.input, lambda: job.spark)
    files_input = sources.identify_files(files)
    with job.lease(table):  # before its rows are read: another ingest may be adding the same ones
        batch = job.batch(table, inputs=[files_input], appends=True, parameters=source.parameters(table))
        if is_published(job.warehouse, batch):
            job.up_to_date(table, "these files are in already")
            return 0
        job.tune(sources.estimate_rows(files))
        rows = read_rows(job.spark, source, files, columns)
        events_with_reasons = kind.parse(rows, columns, source.name, datetime.now(UTC))
        missing = sources.find_missing_columns(job, source, kind.contract, kind.fields, columns)
        _publish(job, kind, batch, files_input, events_with_reasons, missing)
    return 0


def _publish(
    job: Job,
    kind: EventKind,
    batch: Batch,
    files_input: Input,
    events_with_reasons: DataFrame,
    missing: Mapping[str, str],
) -> None:
    """Rejects, then events: where the gate refuses the events, the rejects are what shows why."""
    # events, rejects and counts start from these rows: each would read and parse the files again
    events_with_reasons = events_with_reasons.persist()
    (key,) = kind.contract.key
    unique = deduplicate(events_with_reasons, kind.contract)
    existing_rows, new_events = _select_new(job, kind.table, key, unique)
    # read twice: counted here, and staged at the end
    new_events = new_events.persist()
    counts = _count_outcomes(events_with_reasons, new_events)
    job.say(counts.describe(kind.table))
    for reason, count in sorted(counts.reasons.items(), key=lambda item: -item[1])[:REASONS_SHOWN]:
        job.say(f"    {count:,} rejected: {reason}")
    if counts.events or counts.rejected:
        # the quarantine first: a crash between the two then loses nothing, as the rerun repeats both
        rejects, rejects_table = select_rejects(events_with_reasons, kind.contract), kind.rejects_table
        existing_rejects, new_rejects = _select_new(job, rejects_table, "reject_id", rejects)
        # files whose events were refused come again once they are mended, with rejects that were published then
        if not new_rejects.isEmpty():
            inputs = [files_input, existing_rows, existing_rejects]
            job.publish(job.batch(rejects_table, inputs=inputs, appends=True), new_rejects)
        try:
            job.publish(batch, new_events, counts.measures(), missing)
        except Refused as refused:
            raise _add_quarantine_hint(job, refused, counts, rejects_table) from None
    # a flow runs all its steps in this JVM: what stays cached here would stay to its end
    new_events.unpersist()
    events_with_reasons.unpersist()


def _add_quarantine_hint(job: Job, refused: Refused, counts: IngestCounts, rejects_table: str) -> Refused:
    if not counts.rejected:
        return refused
    where = (
        f"The {counts.rejected:,} rejected rows are published in {job.warehouse.table_path(rejects_table)}, "
        "a Delta table: each with its text, file and reasons."
    )
    return Refused(f"{refused}\n{where}", refused.verdict)


def _select_new(job: Job, table: str, key: str, rows: DataFrame) -> tuple[TableInput | None, DataFrame]:
    """What is published of the days that `rows` are of, and of those beside; and those of `rows` that are not in it."""
    if not job.has(table):
        return None, rows
    # the table holds years, and files a few days: only those are compared
    days: list[date] = [row.ds for row in rows.select("ds").distinct().collect()]
    near = {day + timedelta(days=n) for day in days for n in range(-DAYS_BESIDE, DAYS_BESIDE + 1)}
    existing_rows = job.find(table, sorted(near)) if days else None
    return existing_rows, rows.join(
        existing_rows.rows().select(key), key, "left_anti"
    ) if existing_rows else rows


def _count_outcomes(events_with_reasons: DataFrame, new_events: DataFrame) -> IngestCounts:
    # one pass for rows, rejects and reasons: there are few different lists of reasons
    by_reasons = events_with_reasons.groupBy("reasons").count().collect()
    reasons: Counter[str] = Counter()
    for row in by_reasons:
        # a row with two reasons counts once for each, so these add up to more than the rejects
        reasons.update(dict.fromkeys(row["reasons"], row["count"]))
    return IngestCounts(
        rows=sum(row["count"] for row in by_reasons),
        events=new_events.count(),
        rejected=sum(row["count"] for row in by_reasons if row["reasons"]),
        reasons=reasons,
    )


if __name__ == "__main__":
    raise SystemExit(main())
