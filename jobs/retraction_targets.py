"""Which rows are taken out again: of plays, or of other events, by id, file, source or day."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import reduce
from typing import TYPE_CHECKING

from features.ingest import parse_and_validate_events, parse_and_validate_plays, play_fields
from jobs import input_files, sources
from jobs.errors import WrongUsage
from jobs.job import Job
from jobs.recognise_source import resolve_source
from jobs.source_rows import read_rows
from schemas import CONTRACTS, EVENT_TABLES
from schemas.contract import Contract
from schemas.event_tables import EventTable
from schemas.plays import LATE_PLAYS, PLAYS
from segue.errors import UsageError
from segue.project import find_project

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Of rows of each table, those that are meant.
Choose = Callable[["DataFrame"], "DataFrame"]


@dataclass(frozen=True)
class Target:
    """Of what rows are taken out: plays, or the events of `declared`, which lie under days of their own alone."""

    contract: Contract
    declared: EventTable | None = None

    @property
    def name(self) -> str:
        return self.contract.name

    @property
    def key(self) -> str:
        return self.contract.key[0]

    @property
    def time(self) -> str:
        return self.contract.event_time or ""

    @property
    def tables(self) -> tuple[str, ...]:
        """Those that its rows lie in."""
        return (self.name,) if self.declared else (self.name, LATE_PLAYS.name)


def find_target(name: str) -> Target:
    """Raises WrongUsage where nothing is ingested into a table of this name."""
    if name == PLAYS.name:
        return Target(CONTRACTS[name])
    declared = {table.name: table for table in EVENT_TABLES}
    if name not in declared:
        raise WrongUsage(str(UsageError.unknown("--table", name, [PLAYS.name, *declared])))
    return Target(declared[name].contract, declared[name])


def make_choice(
    job: Job, target: Target, args: argparse.Namespace, ids: Sequence[str], days: Sequence[date]
) -> Choose:
    """What all the options together mean."""
    from pyspark.sql import DataFrame
    from pyspark.sql import functions as F

    wanted = to_rows(job, target, ids) if ids else None
    of_files = list(_read_keys(job, target, args)) if args.input else []

    def choose(rows: DataFrame) -> DataFrame:
        rows = rows.where(F.to_date(target.time).isin(list(days))) if days else rows
        rows = rows.where(F.col("source") == args.of_source) if args.of_source else rows
        rows = rows if wanted is None else rows.join(wanted, target.key, "left_semi")
        if not of_files:
            return rows
        matches = [rows.join(keys, keys.columns, "left_semi") for keys in of_files]
        # by either key, and once
        return reduce(DataFrame.unionByName, matches).dropDuplicates([target.key])

    return choose


def to_rows(job: Job, target: Target, ids: Sequence[str]) -> DataFrame:
    return job.spark.createDataFrame([(id_,) for id_ in ids], f"{target.key} string")


def _read_keys(job: Job, target: Target, args: argparse.Namespace) -> Iterator[DataFrame]:
    """Of what some files hold: ids; and what plays were known by before durations were a part of ids."""
    from pyspark.sql import functions as F

    if not (path := args.source or _find_source(target)):
        raise WrongUsage("--input needs --source, the TOML file that says how the files are laid out")
    source, now = sources.load_source(resolve_source(path, args.input)), datetime.now(UTC)
    fields = target.declared.fields if target.declared else play_fields(target.contract)
    columns = sources.column_map(source, target.name, fields)
    rows = read_rows(job.spark, source, input_files.list_files(args.input, lambda: job.spark), columns)
    if target.declared:
        events = parse_and_validate_events(rows, columns, target.declared, source.name, now)
        yield events.where(F.size("reasons") == 0).select(target.key)
        return
    plays = parse_and_validate_plays(rows, columns, source.name, now, target.contract)
    plays = plays.where(F.size("reasons") == 0)
    yield plays.select(target.key)
    yield plays.where("former_id is not null").select(F.col("former_id").alias(target.key), "ms_played")


def _find_source(target: Target) -> str | None:
    """That of the project: of these events, if they have one of their own."""
    project = find_project()
    events = project.events.get(target.name)
    return (events.source if events else None) or project.resolve("source").value
