"""Reads a source's plays: each row ends as a play, a duplicate, or a row of late_plays or rejected_plays."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import partial
from typing import TYPE_CHECKING

from expectations.verdict import Refused
from features.ingest import parse_and_validate_plays, play_fields
from jobs import input_files, pseudonyms, sources
from jobs.arguments import add_file_arguments, add_lateness_argument, add_source_arguments, new_parser
from jobs.deliveries import find_delivery
from jobs.file_counts import IngestCounts, count_new, count_outcomes, sum_by_day
from jobs.file_records import FileRecorder
from jobs.former_readings import check_ids
from jobs.inputs import Input
from jobs.job import Job
from jobs.known_files import Delivery
from jobs.late_plays import LatePlays, publish_late_plays, split_late_plays
from jobs.new_events import select_new
from jobs.publishing.batches import Batch, Watermark, is_published
from jobs.publishing.protocol import Measures, StagedBatch
from jobs.publishing.state import TableState
from jobs.publishing.state_commits import advance_watermark
from jobs.recognise_source import resolve_source
from jobs.rejects import publish_rejects, remove_explained_rejects
from jobs.row_counts import add_quarantine_hint, say_reasons
from jobs.source_rows import read_rows
from jobs.volume import Volume, compare_with_weekdays, find_main_day
from jobs.watermarks import add_watermark_argument, find_watermark
from schemas import CONTRACTS, Contract
from schemas.plays import PLAYS, rejects_contract
from segue.watermark import is_complete

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


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
    # of the staged rows, numbers for the gate besides those of any events
    measure: Callable[[DataFrame], Mapping[str, float]] | None = None

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


@dataclass(frozen=True)
class Reading:
    """Some files, read into one table."""

    job: Job
    kind: EventKind
    source: sources.Source
    columns: Mapping[str, str]
    delivery: Delivery
    recorder: FileRecorder
    # check value of the key that ids are replaced with
    id_key: str


def main(argv: Sequence[str] | None = None) -> int:
    parser = add_source_arguments(new_parser(__doc__, "ingest-plays"))
    add_file_arguments(parser)
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
    id_key = pseudonyms.check_key(job.warehouse, source, table)
    # before the files are listed: one that comes later is not in, on whatever side of midnight
    watermark = find_watermark(source, table, args.complete_through)
    files = input_files.list_files(args.input, lambda: job.spark)
    with job.lease(table):  # before its rows are read: another ingest may be adding the same ones
        delivery, recorder = find_delivery(job, table, source, files, args)
        if not delivery.to_read:
            job.up_to_date(table, "these files are in already")
            # the files of before are no news of their source; whoever runs this may have some
            if args.complete_through:
                _advance(job, table, watermark)
            return 0
        with recorder.record_failures():
            _read_files(Reading(job, kind, source, columns, delivery, recorder, id_key), watermark)
        # where no row was new there is no commit yet that says it
        _advance(job, table, watermark)
    return 0


def _advance(job: Job, table: str, watermark: Watermark) -> None:
    advance_watermark(job.warehouse, table, watermark, {"run": job.run_id, "job": job.name})
    state = job.warehouse.state(table)
    if state and state.complete_through:
        job.say(f"{table} complete through {state.complete_through:%Y-%m-%d %H:%M} UTC")


def _read_files(reading: Reading, watermark: Watermark) -> None:
    job, kind, source = reading.job, reading.kind, reading.source
    files = [each.file for each in reading.delivery.to_read]
    parameters = {**source.parameters(kind.table), **kind.parameters}
    # what was read once is another batch now
    parameters |= {"again": job.run_id} if reading.delivery.again else {}
    files_input = input_files.identify_files(files)
    batch = job.batch(
        kind.table,
        inputs=[files_input],
        appends=True,
        parameters=parameters,
        watermark=watermark,
        id_key=reading.id_key,
    )
    if is_published(job.warehouse, batch):
        # by a run whose records are gone
        reading.recorder.record_read(batch.transaction)
        job.up_to_date(kind.table, "these files are in already")
        return
    job.tune(input_files.estimate_rows(files))
    rows = read_rows(job.spark, source, files, reading.columns)
    events_with_reasons = kind.parse(rows, reading.columns, source.name, datetime.now(UTC))
    missing = sources.find_missing_columns(job, source, kind.contract, kind.fields, reading.columns)
    # events, rejects and counts start from these rows: each would read and parse the files again
    events_with_reasons = events_with_reasons.persist()
    _publish(reading, batch, files_input, events_with_reasons, missing)
    if reading.delivery.replays:
        # once what they are by now is published: a kill before leaves them where they were
        remove_explained_rejects(
            job, kind.contract, source.name, reading.delivery.replays, events_with_reasons
        )
    # a flow runs all its steps in this JVM: what stays cached here would stay to its end
    events_with_reasons.unpersist()


def _publish(
    reading: Reading,
    batch: Batch,
    files_input: Input,
    events_with_reasons: DataFrame,
    missing: Mapping[str, str],
) -> None:
    """Rejects and late plays, then events: where the gate refuses the events, the others are what shows why."""
    job, kind, recorder = reading.job, reading.kind, reading.recorder
    # where a play has no id of its own, it may be published under the one that was derived before
    former = () if kind.allowed_lateness is None else ("former_id",)
    new = select_new(job, kind.contract, events_with_reasons, reading.source.name, *former)
    events, late = _split_late(job, kind, new.rows)
    new_events = count_new(events)
    batch = replace(batch, row_counts=sum_by_day(new_events))
    volume = _measure_volume(job, batch, batch.row_counts)
    counts = count_outcomes(events_with_reasons, new_events, late, volume, reading.delivery)
    recorder.counts = counts
    check_ids(kind.table, reading.source, reading.delivery, counts)
    _say_counts(job, kind, counts, late)
    if counts.total.events or counts.total.rejected or late:
        # the quarantine first: a crash between the two then loses nothing, as the rerun repeats both
        if counts.total.rejected:
            inputs = [files_input, new.existing]
            publish_rejects(job, kind.contract, events_with_reasons, inputs, bool(reading.delivery.replays))
        if late:
            publish_late_plays(job, late, files_input, missing)
        _publish_events(reading, batch, events, counts, missing)
    if not counts.total.events:
        # all that the files hold is published, so that no commit says they are in
        recorder.record_read(None)
    new.release()


def _publish_events(
    reading: Reading, batch: Batch, events: DataFrame, counts: IngestCounts, missing: Mapping[str, str]
) -> None:
    """With the record of the files before the commit, which makes it true: a kill loses no file and doubles none."""
    recorder, has_events = reading.recorder, counts.total.events > 0

    def record(staged: StagedBatch) -> None:
        if has_events and not staged.verdict.refused:
            recorder.record_read(batch.transaction)

    try:
        # without the file, which is no column of theirs
        measures = _join_measures(reading.kind, counts)
        reading.job.publish(batch, events.drop("file"), measures, missing, after_audit=record)
    except Refused as refused:
        rejected, table = counts.total.rejected, reading.kind.rejects_table
        raise add_quarantine_hint(reading.job, refused, rejected, table) from None


def _join_measures(kind: EventKind, counts: IngestCounts) -> Measures:
    measure, numbers = kind.measure, counts.measures()
    return numbers if measure is None else lambda staged: {**numbers, **measure(staged)}


def _split_late(job: Job, kind: EventKind, events: DataFrame) -> tuple[DataFrame, LatePlays | None]:
    return (
        (events, None)
        if kind.allowed_lateness is None
        else split_late_plays(job, events, kind.allowed_lateness)
    )


def _say_counts(job: Job, kind: EventKind, counts: IngestCounts, late: LatePlays | None) -> None:
    job.say(counts.describe(kind.table))
    say_reasons(job, counts.reasons)
    if late:
        job.say(f"    {late}")
    if counts.volume:
        job.say(f"    {counts.volume.share:.0%} of the plays of such a weekday, by the median of four weeks")


def _measure_volume(job: Job, batch: Batch, new_plays: Mapping[date, int]) -> Volume | None:
    """Of the delivery's main day, once it is complete; of other events nothing, as they may be rare."""
    state, day = job.state(batch.table) or TableState(0), find_main_day(new_plays)
    through = batch.watermark.advance(state).complete_through if batch.watermark else None
    if batch.table != PLAYS.name or day is None or (through and not is_complete(day, through)):
        return None
    published = {each: state.day_states[each].rows for each in state.days}
    return compare_with_weekdays({**published, day: published.get(day, 0) + new_plays[day]}, day)


if __name__ == "__main__":
    raise SystemExit(main())
