"""What every job does around its one pure function: arguments, tables in, the batch out."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expectations.verdict import Refused
from jobs.errors import WrongUsage
from jobs.outcomes import NOT_MADE, PUBLISHED, UNCHANGED, Outcome, add_outcome
from jobs.progress import print_line
from jobs.publishing.batches import Batch, code_version, is_published, reserve
from jobs.publishing.gate_file import load_gate
from jobs.publishing.lease import lease
from jobs.publishing.protocol import Measures, Staged, check_current, commit, stage
from jobs.publishing.records import record, record_failure
from jobs.publishing.state import TableState, digest, read_state
from jobs.publishing.stores import check_root
from jobs.publishing.warehouse import Warehouse, find_contract, no_data_error
from jobs.session import open_step_session, tune
from segue.builtin_commands import add_root
from segue.storage import Snapshot

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from pyspark.sql import DataFrame, SparkSession


SAME_BATCH = "this batch is published already"


class NoRows(Exception):
    """A batch without rows, where there may be none."""


class Job:
    """One run of one step. Reading and publishing go through it, so it knows what was made of what."""

    def __init__(
        self, name: str, root: str, run_id: str | None = None, say: Callable[[str], None] = print_line
    ) -> None:
        self.name = name
        self.warehouse = Warehouse(check_root(root))
        self.run_id = run_id or new_run_id()
        self.gate = load_gate(self.warehouse)  # what is wrong with it is said before hours of work
        self._say = say
        self._started = time.monotonic()
        self._inputs: dict[str, str] = {}
        self._versions: dict[str, int] = {}
        self._leased: set[str] = set()
        self._rows_read = 0

    @cached_property
    def spark(self) -> SparkSession:
        """Opened late: a step that has nothing to do needs no JVM."""
        local = not self.warehouse.remote
        return open_step_session(
            f"segue {self.name}", Path(self.warehouse.path("logs", "spark.log")) if local else None
        )

    def say(self, text: str) -> None:
        self._say(f"  {self.name:<24}{text}")

    def has(self, table: str) -> bool:
        return self.warehouse.table(table) is not None

    def state(self, table: str) -> TableState | None:
        """What a table holds, at the version that this job saw first; None if it was never published."""
        found = self._pinned(table)
        return None if found is None else read_state(found)

    def source(self, table: str) -> TableState:
        """The state of a table that this step cannot do without.

        Raises:
            JobError: it has never been published.
        """
        state = self.state(table)
        if state is None or not state.parts:
            raise no_data_error(self.warehouse, table)
        return state

    def read(self, table: str, days: Sequence[date] | None = None) -> DataFrame:
        """Some days of a table, or all of it, at the version that this job saw first.

        Raises:
            JobError: the table has never been published.
        """
        rows = self.input(table, days)
        self.tune(rows)
        return self.at(table, self._versions[table], days)

    def input(self, table: str, days: Sequence[date] | None = None) -> int:
        """Counts some days of a table, or all of it, as read, and reads nothing yet: a step that learns by `batch`
        that it has nothing to do needs no JVM.

        Returns:
            how many rows there are.

        Raises:
            JobError: the table has never been published.
        """
        found = self._pinned(table)
        if found is None:
            raise no_data_error(self.warehouse, table)
        state = read_state(found)
        self.uses(f"{table} {digest(days)}", digest(state.published_hashes(days)))
        return sum(
            state.parts[day].rows for day in (state.parts if days is None else days) if day in state.parts
        )

    def tune(self, rows: int) -> None:
        """Says that the step reads so many rows more, for the session to be set to few of them or to many."""
        self._rows_read += rows
        tune(self.spark, self._rows_read)

    def at(self, table: str, version: int, days: Sequence[date] | None = None) -> DataFrame:
        """One version of a table, counted as no input."""
        from pyspark.sql import functions as F

        path = self.warehouse.table_path(table)
        rows = self.spark.read.format("delta").option("versionAsOf", version).load(path)
        return rows if days is None else rows.where(F.col("ds").isin(list(days)))

    def snapshot(self, table: str) -> Snapshot:
        """The table at the version that this job saw first, read without Spark."""
        return Snapshot.at(self.warehouse.table_path(table), self.version(table))

    def day_before(self, table: str, day: date) -> DataFrame | None:
        """The newest published day of a table before `day`, to compare with, so counted as no input."""
        state = self.state(table)
        days = [each for each in (state.days if state else []) if each < day]
        return self.at(table, self._versions[table], days[-1:]) if days else None

    def _pinned(self, table: str) -> DeltaTable | None:
        found = self.warehouse.table(find_contract(table).name, self._versions.get(table))
        if found is not None:
            self._versions[table] = found.version()
        return found

    @property
    def versions(self) -> Mapping[str, int]:
        """The tables that this job read, and at which version."""
        return dict(self._versions)

    def pin(self, versions: Mapping[str, int]) -> None:
        """Reads these tables at these versions, whatever is newest."""
        self._versions.update(versions)

    def version(self, table: str) -> int:
        """The version of a table that this job reads.

        Raises:
            JobError: it has never been published.
        """
        self.source(table)
        return self._versions[table]

    def uses(self, what: str, identity: str) -> None:
        """Counts something as an input of whatever this job publishes."""
        self._inputs[what] = identity

    def batch(
        self,
        table: str,
        days: Sequence[date] | None = None,
        upstream: Mapping[date, str] | None = None,
        appends: bool = False,
        deterministic: bool = True,
        parameters: Mapping[str, Any] | None = None,
    ) -> Batch:
        """The batch that all that was read so far makes; `upstream` says of every day what it is made of.

        Raises:
            WrongUsage: a day that the source has not reached; rows there would never be made again.
        """
        fingerprint = digest(table, days, self._inputs, code_version(), dict(parameters or {}))
        if beyond := [day for day in days or () if upstream and day > max(upstream)]:
            raise WrongUsage(
                f"table {table}: asked for {beyond[-1]}, but what it is made of ends {max(upstream or beyond)}; give a "
                "day that is there"
            )
        if appends:
            self.state(table)
        return Batch(
            contract=find_contract(table),
            fingerprint=fingerprint,
            days=None if days is None else tuple(days),
            upstream={day: upstream[day] for day in days or () if day in upstream} if upstream else {},
            input_versions=dict(self._versions),
            base_version=self._versions.get(table, -1 if appends else None),
            appends=appends,
            deterministic=deterministic,
        )

    @contextmanager
    def lease(self, table: str) -> Iterator[None]:
        """Keeps others away from the table, unless this job does so already."""
        if table in self._leased:
            yield
            return
        with lease(self.warehouse, table, f"{self.name} of {self.run_id}", self.say):
            self._leased.add(table)
            try:
                yield
            finally:
                self._leased.discard(table)

    def publish(
        self,
        batch: Batch,
        rows: DataFrame,
        measures: Measures | None = None,
        missing: Mapping[str, str] | None = None,
        if_empty: str = "",
    ) -> Outcome:
        """Stage, audit and commit, unless the very same batch is there already.

        `if_empty` says why there may be no rows at all: then nothing is published, and that is no fault.
        Without it, a batch without rows is refused.

        Raises:
            Refused: the gate found a critical fault; nothing was published.
        """
        with self.lease(batch.table):
            if self.unchanged(batch):
                return Outcome(batch.table, UNCHANGED)
            check_current(self.warehouse, batch)
            try:
                return self.commit(self.stage(batch, rows, measures, missing, if_empty))
            except NoRows:
                return self.not_made(batch.table, if_empty)

    def stage(
        self,
        batch: Batch,
        rows: DataFrame,
        measures: Measures | None = None,
        missing: Mapping[str, str] | None = None,
        if_empty: str = "",
    ) -> Staged:
        """The first half of publishing, for jobs that publish two tables or none.

        `missing` says why a column has no value where the source has none; left out, it is what plays never have.

        Raises:
            NoRows: there are none, and `if_empty` says why that may be.
            Refused: the gate found a critical fault.
        """
        if self._rows_read:
            self.tune(0)  # the batch before may have left the session set to its few rows
        batch = reserve(self.warehouse, batch)
        missing = self._missing(batch) if missing is None else missing
        suite = self.gate.suite_of(batch.table)
        try:
            staged = stage(self.spark, self.warehouse, batch, rows, measures or {}, suite, missing)
        except Exception as problem:
            record_failure(self.warehouse, self.run_id, batch, problem)
            raise
        if if_empty and _only_lacks_rows(staged):
            self.warehouse.remove(staged.path)
            raise NoRows(if_empty)
        if staged.verdict.refused:
            record(self.warehouse, self.run_id, staged, "refused")
            self.say(f"{batch.table} REFUSED, {staged.profile.rows:,} rows stay unseen")
            raise Refused.batch(batch.table, batch.id, staged.verdict, staged.path)
        return staged

    def _missing(self, batch: Batch) -> dict[str, str]:
        """Columns that no play has, for what is made of plays; plays and tracks say so themselves."""
        plays = None if batch.table in ("plays", "tracks") else self.warehouse.state("plays")
        return {name: f"the source never has {name}" for name in (plays.empty_columns if plays else ())}

    def commit(self, staged: Staged) -> Outcome:
        """The second half. The record comes first: a kill between the two leaves no unrecorded batch."""
        record(self.warehouse, self.run_id, staged, "passed")
        state = commit(self.warehouse, staged, {"run": self.run_id, "job": self.name, "code": code_version()})
        if state is None:
            return self.up_to_date(staged.batch.table, SAME_BATCH)
        outcome = Outcome(staged.batch.table, PUBLISHED, staged.profile.rows, state.version)
        self.say(
            f"{outcome.table} version {outcome.version}: {outcome.rows:,} rows, "
            f"{_span(list(staged.profile.days))}{_checks(staged)}, {time.monotonic() - self._started:.1f} s"
        )
        return add_outcome(outcome)

    def unchanged(self, batch: Batch) -> bool:
        """Whether this very batch is published already, and says so if it is: a long step asks before it begins."""
        if not is_published(self.warehouse, batch):
            return False
        self.up_to_date(batch.table, SAME_BATCH)
        return True

    def up_to_date(self, table: str, why: str) -> Outcome:
        """Notes that there was nothing to do for a table."""
        self.say(f"{table} unchanged: {why}")
        return add_outcome(Outcome(table, UNCHANGED, why=why))

    def not_made(self, table: str, why: str) -> Outcome:
        """Notes that there is nothing that a table could be made of; that is an outcome, not an error."""
        self.say(f"{table} not made: {why}")
        return add_outcome(Outcome(table, NOT_MADE, why=why))


def _only_lacks_rows(staged: Staged) -> bool:
    """Whether the gate has nothing against the batch but that it is empty."""
    return not staged.profile.rows and {each.column for each in staged.verdict.critical} <= {"rows"}


def new_parser(module_doc: str | None, prog: str) -> argparse.ArgumentParser:
    """The arguments that every job takes."""
    parser = argparse.ArgumentParser(
        prog=f"segue run {prog}", description=(module_doc or "").split("\n\n")[0]
    )
    add_common_arguments(parser)
    return parser


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """--root and --run-id."""
    add_root(parser)
    parser.add_argument("--run-id", help="name of the run in the quality results (made from the clock)")


def add_source_arguments(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """--source and --input, for the steps that read files of others."""
    parser.add_argument("--source", required=True, help="TOML file: how the files are laid out")
    parser.add_argument("--input", required=True, nargs="+", help="files, folders or globs")
    return parser


def add_day_arguments(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """--day, or --from and --to; without them, whatever is stale."""
    parser.add_argument(
        "--day", type=parse_day, help="one day, YYYY-MM-DD (default: every day that is stale)"
    )
    parser.add_argument("--from", dest="first", type=parse_day, help="first of several days")
    parser.add_argument("--to", dest="last", type=parse_day, help="last of several days, itself included")
    return parser


def requested_days(args: argparse.Namespace, stale: Callable[[], list[date]]) -> list[date]:
    """The days that the arguments of `add_day_arguments` ask for.

    Raises:
        WrongUsage: half a range, a range that ends before it begins, or both ways at once.
    """
    if args.day and (args.first or args.last):
        raise WrongUsage("--day goes without --from and --to; give one day or a range")
    first, last = args.day or args.first, args.day or args.last
    if first is None and last is None:
        return stale()
    if first is None or last is None or last < first:
        raise WrongUsage(f"a range needs --from and --to, in order; got --from {first} --to {last}")
    return [date.fromordinal(n) for n in range(first.toordinal(), last.toordinal() + 1)]


def new_run_id() -> str:
    return datetime.now(UTC).strftime("run-%Y%m%dT%H%M%S")


def parse_day(text: str) -> date:
    """A day of a command line, for argparse."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day; write 2026-11-20") from None


def _span(days: list[date | None]) -> str:
    known = sorted(day for day in days if day)
    if not known:
        return ""
    return f"{known[0]}, " if len(known) == 1 else f"{len(known)} days to {known[-1]}, "


def _checks(staged: Staged) -> str:
    results = staged.verdict.results
    held, warned = sum(r.success for r in results), len(staged.verdict.warnings)
    return f"{held} of {len(results)} checks held" + (f" ({warned} warnings)" if warned else "")
