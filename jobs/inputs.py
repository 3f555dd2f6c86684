"""What a job reads: tables at the version that it saw first, as values that know what identifies their content."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.file_relation import read_as_parquet
from jobs.publishing.state import TableState, digest, read_state
from jobs.publishing.warehouse import Warehouse, find_contract, no_data_error
from jobs.session import open_step_session, tune
from jobs.sizing.meter import note_rows, note_session
from segue.storage import Snapshot

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


class WorkToDo(Exception):
    """A step that was only looked at would begin its work now."""


_LOOKS: ContextVar[bool] = ContextVar("looks", default=False)


@contextmanager
def look_only() -> Iterator[None]:
    """Steps that run inside the block decide what there is to do, and raise `WorkToDo` where they would do it.

    A step opens its session with the first row that it reads, and writes nothing before.
    """
    token = _LOOKS.set(True)
    try:
        yield
    finally:
        _LOOKS.reset(token)


def only_looks() -> bool:
    return _LOOKS.get()


@dataclass(frozen=True)
class Input:
    """Something that a batch is made of. Other content has another fingerprint."""

    name: str
    fingerprint: str


@dataclass(frozen=True)
class TableInput(Input):
    """Some days of a table, or all of it, at one version. Nothing is read before `rows` is called."""

    table: str
    version: int
    days: tuple[date, ...] | None
    # rows, counted from the log: known before there is a session
    count: int
    # of all days that the table has, by the log too
    rows_by_day: Mapping[date | None, int] = field(repr=False, compare=False)
    reader: PinnedTables = field(repr=False, compare=False)

    def rows(self) -> DataFrame:
        self.reader.tune(self.count)
        note_rows(self.table, self.count)
        return self.reader.at(self.table, self.version, self.days)


class PinnedTables:
    """The tables of a root, each at the version that it had when it was first looked at, and the session to read them.

    A step that reads a table twice gets the same rows, whatever is published meanwhile.
    """

    def __init__(self, warehouse: Warehouse, app: str, modules: Sequence[str] = ()) -> None:
        self.warehouse, self._app, self._modules = warehouse, app, modules
        self._versions: dict[str, int] = {}
        self._states: dict[str, TableState] = {}
        self._rows_read = 0

    @cached_property
    def spark(self) -> SparkSession:
        if only_looks():
            raise WorkToDo
        # opened late: a step that has nothing to do needs no JVM, which takes seconds to start
        log = None if self.warehouse.remote else Path(self.warehouse.path("logs", "spark.log"))
        spark = open_step_session(self._app, log, self._modules)
        note_session(spark)
        return spark

    def tune(self, rows: int) -> None:
        """Sets the session to what the step has read so far and so many rows more."""
        # small inputs make small plans only together: each read may tip the session over
        self._rows_read += rows
        tune(self.spark, self._rows_read)

    def has(self, table: str) -> bool:
        return self.warehouse.state(table) is not None

    def state(self, table: str) -> TableState | None:
        """What a table holds, at the version that this job saw first; None if it was never published."""
        name, pinned, state = find_contract(table).name, self._versions.get(table), self._states.get(table)
        # a version does not change
        if state and state.version == pinned:
            return state
        state = self.warehouse.state(name) if pinned is None else self._read_state(name, pinned)
        # not pinned while there is none: another step may publish it first
        if state:
            self._versions[table], self._states[table] = state.version, state
        return state

    def _read_state(self, table: str, version: int) -> TableState | None:
        opened = self.warehouse.table(table, version)
        return None if opened is None else read_state(opened)

    def source(self, table: str) -> TableState:
        """The state of a table that this step cannot do without.

        Raises:
            JobError: it has never been published.
        """
        state = self.state(table)
        # a table may exist without a day: the first publication created it and was refused
        if state is None or not state.day_states:
            raise no_data_error(self.warehouse, table)
        return state

    def find(self, table: str, days: Sequence[date] | None = None) -> TableInput | None:
        """Some days of a table, or all of it; None if it was never published."""
        state = self.state(table)
        if state is None:
            return None
        # days that a table lacks are part of what identifies an input, and have no rows
        days_with_rows = (
            state.day_states if days is None else [day for day in days if day in state.day_states]
        )
        return TableInput(
            # fingerprints are made of this text: another one would publish everything again
            name=f"{table} {digest(days)}",
            # hashes of the content as it was published: compaction and erasure make nothing stale
            fingerprint=digest(state.published_hashes(days)),
            table=table,
            version=state.version,
            days=None if days is None else tuple(days),
            count=sum(state.day_states[day].rows for day in days_with_rows),
            rows_by_day={day: each.rows for day, each in state.day_states.items()},
            reader=self,
        )

    def table(self, table: str, days: Sequence[date] | None = None) -> TableInput:
        """As `find`; raises JobError where it was never published."""
        if (published := self.find(table, days)) is None:
            raise no_data_error(self.warehouse, table)
        return published

    def read(self, table: str, days: Sequence[date] | None = None) -> DataFrame:
        # for results that are not published, so that no batch has to be identified by it
        return self.table(table, days).rows()

    def at(
        self,
        table: str,
        version: int,
        days: Sequence[date] | None = None,
        buckets: Collection[int] | None = None,
    ) -> DataFrame:
        """Rows of a version: of some days, of some buckets, or all. No file is opened that the log says has none."""
        from pyspark.sql import functions as F

        rows = None if self.warehouse.remote else self._read_as_parquet(table, version, days, buckets)
        if rows is None:
            path = self.warehouse.table_path(table)
            rows = self.spark.read.format("delta").option("versionAsOf", version).load(path)
            # `ds` is a partition, so only the files of these days are opened
            rows = rows if days is None else rows.where(F.col("ds").isin(list(days)))
        # by the extremes that the log has of each file, Delta's scan leaves others out too
        return rows if buckets is None else rows.where(F.col("bucket").isin(sorted(buckets)))

    def _read_as_parquet(
        self, table: str, version: int, days: Sequence[date] | None, buckets: Collection[int] | None
    ) -> DataFrame | None:
        opened = self.warehouse.table(table, version)
        if opened is None:
            return None
        path = self.warehouse.table_path(table)
        files = Snapshot(path, opened).select(buckets=buckets)
        if days is not None:
            chosen = set(days)
            files = [file for file in files if file.partition.get("ds") in chosen]
        return read_as_parquet(self.spark, opened, path, files)

    def snapshot(self, table: str) -> Snapshot:
        # without Spark: what needs a few columns, or a few rows, opens no session
        return Snapshot.at(self.warehouse.table_path(table), self.version(table))

    def day_before(self, table: str, day: date) -> DataFrame | None:
        """The newest published day of a table before `day`, to compare with."""
        state = self.state(table)
        days = [each for each in state.days if each < day] if state else []
        return self.at(table, self._versions[table], days[-1:]) if days else None

    @property
    def versions(self) -> Mapping[str, int]:
        # a copy: a batch keeps the versions of the moment when it was described
        return dict(self._versions)

    def pin(self, versions: Mapping[str, int]) -> None:
        """Reads these tables at these versions, whatever is newest."""
        self._versions.update(versions)

    def version(self, table: str) -> int:
        return self.source(table).version
