"""Reads a source's plays: each row ends as a play, a duplicate, or a row of late_plays or rejected_plays."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from typing import TYPE_CHECKING

from expectations.verdict import Refused
from features.ingest import parse_and_validate_plays, play_fields, select_rejects
from jobs import input_files, sources
from jobs.arguments import add_lateness_argument, add_source_arguments, new_parser
from jobs.inputs import Input, TableInput
from jobs.job import Job
from jobs.known_ids import select_new_rows
from jobs.late_plays import LatePlays, publish_late_plays, split_late_plays
from jobs.new_events import select_new
from jobs.publishing.batches import Batch, Watermark, is_published
from jobs.publishing.rewrite import advance_watermark
from jobs.publishing.state import TableState
from jobs.recognise_source import resolve_source
from jobs.source_rows import read_rows
from jobs.volume import Volume, compare_with_weekdays, count_by_day, find_main_day
from jobs.watermarks import add_watermark_argument, find_watermark
from schemas import CONTRACTS, Contract
from schemas.plays import PLAYS, rejects_contract
from segue.watermark import is_complete

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# The commonest ones; the report has all of them, as a measure each.
REASONS_SHOWN = 5


@dataclass(frozen=True)
class IngestCounts:
    """What the rows of one input became; `reasons` counts the rejects with each reason."""

    rows: int
    events: int
    late: int
    # by how many days the oldest of them is too old
    late_days: int
    # of the main day; None where nothing can be said of it
    volume: Volume | None
    rejected: int
    reasons: Mapping[str, int]
    # of other kinds, as the source declares
    left_out: int = 0

    @property
    def duplicates(self) -> int:
        # of rows of this input, or of rows published before: to tell them apart would take one more count of all
        # rows, and the gate bounds them together
        return self.rows - self.events - self.late - self.rejected - self.left_out

    def describe(self, table: str) -> str:
        late = f"+ {self.late:,} late " if self.late else ""
        left_out = f" + {self.left_out:,} left out" if self.left_out else ""
        return (
            f"{self.rows:,} rows read = {self.events:,} new {table} + {self.duplicates:,} duplicates "
            f"{late}+ {self.rejected:,} rejected{left_out}"
        )

    def measures(self) -> dict[str, float]:
        """For the gate: what it bounds, and the reasons, for the report."""
        counts = {"rejected": self.rejected, "duplicate": self.duplicates, "late": self.late}
        # of those that are meant: a history that is mostly podcasts has no fewer rejects for it
        meant = max(self.rows - self.left_out, 1)
        shares = {f"{name}_share": count / meant for name, count in counts.items()}
        reasons = {f"rejects_{'_'.join(reason.split())}": count for reason, count in self.reasons.items()}
        volume = {"has_weekdays": 0.0}
        if self.volume:
            volume = {"has_weekdays": 1.0, **self.volume.measures()}
        return shares | {"late_days": self.late_days} | volume | reasons


@dataclass(frozen=True)
class EventKind:
    """What is read: plays, or the events of a table that a project declares."""

    contract: Contract
    # the columns that a source gives
    fields: Sequence[str]
    # rows of files, the source's column map, its name and the instant now -> columns of the contract, and `reasons`
    parse: Callable[[DataFrame, Mapping[str, str], str, datetime], DataFrame]
    # days before the newest one from which plays are taken; None for other events, which are taken of any day
    allowed_lateness: int | None = None

    @property
    def parameters(self) -> dict[str, int]:
        """What decides the rows besides files and source."""
        return {} if self.allowed_lateness is None else {"allowed_lateness": self.allowed_lateness}

    @property
    def table(self) -> str:
        return self.contract.name

    @property
    def rejects_table(self) -> str:
        return rejects_contract(self.table).name


def main(argv: Sequence[str] | None = None) -> int:
    parser = add_source_arguments(new_parser(__doc__, "ingest-plays"))
    add_lateness_argument(parser)
    add_watermark_argument(parser)
    args = parser.parse_args(argv)
    contract = CONTRACTS[PLAYS.name]
    parse = partial(parse_and_validate_plays, contract=contract)
    kind = EventKind(contract, play_fields(contract), parse, args.allowed_lateness)
    return ingest("ingest-plays", args, kind)


def ingest(step: str, args: Namespace, kind: EventKind) -> int:
    source, table = sources.load_source(resolve_source(args.source, args.input)), kind.table
    columns = sources.column_map(source, table, kind.fields)
    job = Job(step, args.root, args.run_id)
    # before the files are listed: one that comes later is not in, on whatever side of midnight
    watermark = find_watermark(source, table, args.complete_through)
    files = input_files.list_files(args.input, lambda: job.spark)
    files_input = input_files.identify_files(files)
    with job.lease(table):  # before its rows are read: another ingest may be adding the same ones
        parameters = {**source.parameters(table), **kind.parameters}
        batch = job.batch(
            table, inputs=[files_input], appends=True, parameters=parameters, watermark=watermark
        )
        if is_published(job.warehouse, batch):
            job.up_to_date(table, "these files are in already")
            # the files of before are no news of their source; whoever runs this may have some
            if args.complete_through:
                _advance(job, table, watermark)
            return 0
        job.tune(input_files.estimate_rows(files))
        rows = read_rows(job.spark, source, files, columns)
        events_with_reasons = kind.parse(rows, columns, source.name, datetime.now(UTC))
        missing = sources.find_missing_columns(job, source, kind.contract, kind.fields, columns)
        _publish(job, kind, batch, files_input, events_with_reasons, missing)
        # where no row was new there is no commit yet that says it
        _advance(job, table, watermark)
    return 0


def _advance(job: Job, table: str, watermark: Watermark) -> None:
    advance_watermark(job.warehouse, table, watermark, {"run": job.run_id, "job": job.name})
    state = job.warehouse.state(table)
    if state and state.complete_through:
        job.say(f"{table} complete through {state.complete_through:%Y-%m-%d %H:%M} UTC")


def _publish(
    job: Job,
    kind: EventKind,
    batch: Batch,
    files_input: Input,
    events_with_reasons: DataFrame,
    missing: Mapping[str, str],
) -> None:
    """Rejects and late plays, then events: where the gate refuses the events, the others are what shows why."""
    # events, rejects and counts start from these rows: each would read and parse the files again
    events_with_reasons = events_with_reasons.persist()
    existing_rows, new_rows = _select_new(job, kind, events_with_reasons)
    events, late = _split_late(job, kind, new_rows)
    new_events = count_by_day(events)
    volume = _measure_volume(job, batch, new_events)
    counts = _count_outcomes(events_with_reasons, sum(new_events.values()), late, volume)
    _say_counts(job, kind, counts, late)
    if counts.events or counts.rejected or late:
        # the quarantine first: a crash between the two then loses nothing, as the rerun repeats both
        if counts.rejected:
            _publish_rejects(job, kind, events_with_reasons, [files_input, existing_rows])
        if late:
            publish_late_plays(job, late, files_input, missing)
        try:
            job.publish(batch, events, counts.measures(), missing)
        except Refused as refused:
            raise _add_quarantine_hint(job, refused, counts, kind.rejects_table) from None
    # a flow runs all its steps in this JVM: what stays cached here would stay to its end
    new_rows.unpersist()
    events_with_reasons.unpersist()


def _select_new(
    job: Job, kind: EventKind, events_with_reasons: DataFrame
) -> tuple[TableInput | None, DataFrame]:
    """What is published of the days that can hold one of the events that are read; and those of them that are new."""
    # where a play has no id of its own, it may be published under the one that was derived before
    former = () if kind.allowed_lateness is None else ("former_id",)
    return select_new(job, kind.contract, events_with_reasons, *former)


def _split_late(job: Job, kind: EventKind, events: DataFrame) -> tuple[DataFrame, LatePlays | None]:
    return (
        (events, None)
        if kind.allowed_lateness is None
        else split_late_plays(job, events, kind.allowed_lateness)
    )


def _publish_rejects(
    job: Job, kind: EventKind, events_with_reasons: DataFrame, inputs: Sequence[Input | None]
) -> None:
    rejects, table = select_rejects(events_with_reasons, kind.contract), kind.rejects_table
    # a reject has the text of a line, so another day of it is another reject
    days = sorted(row.ds for row in rejects.select("ds").distinct().collect())
    existing_rejects, new_rejects = select_new_rows(job, table, "reject_id", rejects, days)
    # files whose events were refused come again once they are mended, with rejects that were published then
    if not new_rejects.isEmpty():
        job.publish(job.batch(table, inputs=[*inputs, existing_rejects], appends=True), new_rejects)


def _say_counts(job: Job, kind: EventKind, counts: IngestCounts, late: LatePlays | None) -> None:
    job.say(counts.describe(kind.table))
    for reason, count in sorted(counts.reasons.items(), key=lambda item: -item[1])[:REASONS_SHOWN]:
        job.say(f"    {count:,} rejected: {reason}")
    if late:
        job.say(f"    {late}")
    if counts.volume:
        job.say(f"    {counts.volume.share:.0%} of the plays of such a weekday, by the median of four weeks")


def _add_quarantine_hint(job: Job, refused: Refused, counts: IngestCounts, rejects_table: str) -> Refused:
    if not counts.rejected:
        return refused
    where = (
        f"The {counts.rejected:,} rejected rows are published in {job.warehouse.table_path(rejects_table)}, "
        "a Delta table: each with its text, file and reasons."
    )
    return Refused(f"{refused}\n{where}", refused.verdict)


def _measure_volume(job: Job, batch: Batch, new_plays: Mapping[date, int]) -> Volume | None:
    """Of the delivery's main day, once it is complete; of other events nothing, as they may be rare."""
    state, day = job.state(batch.table) or TableState(0), find_main_day(new_plays)
    through = batch.watermark.advance(state).complete_through if batch.watermark else None
    if batch.table != PLAYS.name or day is None or (through and not is_complete(day, through)):
        return None
    published = {each: state.day_states[each].rows for each in state.days}
    return compare_with_weekdays({**published, day: published.get(day, 0) + new_plays[day]}, day)


def _count_outcomes(
    events_with_reasons: DataFrame, events: int, late: LatePlays | None, volume: Volume | None
) -> IngestCounts:
    # one pass for rows, rejects and reasons: there are few different lists of reasons
    from pyspark.sql import functions as F

    # less the header of each file that has one, which is no row of it
    headers = F.count_distinct(F.when(F.col("is_header"), F.col("file")))
    grouped = events_with_reasons.groupBy("reasons").agg((F.count("*") - headers).alias("count")).collect()
    by_reasons = [row for row in grouped if row["count"]]
    reasons: Counter[str] = Counter()
    for row in by_reasons:
        # a row with two reasons counts once for each, so these add up to more than the rejects
        reasons.update(dict.fromkeys(row["reasons"] or (), row["count"]))
    return IngestCounts(
        rows=sum(row["count"] for row in by_reasons),
        events=events,
        late=late.count if late else 0,
        late_days=late.days if late else 0,
        volume=volume,
        rejected=sum(row["count"] for row in by_reasons if row["reasons"]),
        reasons=reasons,
        left_out=sum(row["count"] for row in by_reasons if row["reasons"] is None),
    )


if __name__ == "__main__":
    raise SystemExit(main())
