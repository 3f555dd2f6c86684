"""What every job does around its one pure function: tables in, the batch out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from expectations.verdict import Refused
from jobs import FLOW
from jobs.declared_sql import explain_failing_rows
from jobs.errors import WrongUsage
from jobs.inputs import Input, PinnedTables, TableInput, only_looks
from jobs.messages import LOG, log_to
from jobs.outcomes import NOT_MADE, PUBLISHED, UNCHANGED, Outcome, add_outcome
from jobs.owners import find_owner
from jobs.publishing.batches import (
    NEVER_PUBLISHED,
    Batch,
    Watermark,
    code_version,
    is_published,
    reserve,
)
from jobs.publishing.gate_file import load_gate
from jobs.publishing.lease import lease
from jobs.publishing.protocol import Measures, StagedBatch, audit, check_current, commit
from jobs.publishing.quarantine import keep_offending_rows
from jobs.publishing.records import record, record_failures, record_unchanged
from jobs.publishing.retention import find_retention
from jobs.publishing.staged_profiles import record_profiles
from jobs.publishing.staging import stage
from jobs.publishing.state import digest
from jobs.publishing.stores import check_root
from jobs.publishing.warehouse import Warehouse, find_contract
from jobs.session import check_travel
from jobs.sizing.meter import note_job, note_rows
from schemas import FEATURE_GROUPS
from schemas.event_tables import Events

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# What a publication imports besides: Great Expectations, three seconds of it.
GATE = ("expectations.contracts",)
_PUBLISH = frozenset(step.name for step in FLOW if step.makes)
SAME_BATCH = "this batch is published already"
# As where all that files hold is late, or rejected.
NO_NEW_ROWS = "these files have no new rows for it"
# Made of foreign files, these say themselves which columns their source lacks.
FROM_SOURCES = frozenset(table for step in FLOW if step.section for table in step.makes)


class Job(PinnedTables):
    """One run of one step: it reads tables at pinned versions, and publishes batches made of them."""

    def __init__(
        self,
        name: str,
        root: str,
        run_id: str | None = None,
        say: Callable[[str], None] = LOG.info,
        dry_run: bool = False,
    ) -> None:
        check_travel()
        # whether a store is exclusive is tried out, by writing to it
        warehouse = Warehouse(root if dry_run or only_looks() else check_root(root))
        super().__init__(warehouse, f"segue {name}", GATE if name in _PUBLISH else ())
        self.name = name
        self.run_id = run_id or new_run_id()
        note_job(name, warehouse, self.run_id)
        # what is wrong with gate.toml is said before hours of work
        self.gate = load_gate(self.warehouse)
        if not only_looks():
            log_to(self.warehouse)
        self._say, self._dry_run = say, dry_run
        # monotonic: a clock that is set back would give a negative duration
        self._started = time.monotonic()
        self._leased: set[str] = set()

    def fresh(self) -> Job:
        """The same run, which looks at every table for the first time: it has published, and reads that."""
        return Job(self.name, self.warehouse.root, self.run_id, self._say, self._dry_run)

    def say(self, text: str) -> None:
        if not only_looks():
            self._say(f"  {self.name:<23} {text}")

    def batch(
        self,
        table: str,
        days: Sequence[date] | None = None,
        inputs: Iterable[Input | None] = (),
        upstream: Mapping[date, str] | None = None,
        base: TableInput | None = None,
        appends: bool = False,
        deterministic: bool = True,
        parameters: Mapping[str, Any] | None = None,
        columns: Mapping[str, str] | None = None,
        extends: Sequence[str] = (),
        clustered: bool = False,
        catalogue: TableInput | None = None,
        watermark: Watermark | None = None,
        id_key: str = "",
    ) -> Batch:
        """The batch that these inputs and parameters make, with the code as it is.

        Args:
            inputs: all that the rows are made of; what a table does not have is None.
            upstream: of every day, the fingerprint of what it is made of.
            base: the table itself, where the rows depend on what it holds and yet the same inputs are to be
                the same batch. An append always does: it was compared with what is there.
            columns: identities of declared columns.
            extends: columns that are made anew, where the rows and the other columns are those published.
            clustered: whether they also come as those lie in the files, so that staging need not shuffle them.
            catalogue: one more input, the one that events of these days are joined to: the state keeps its version.
            watermark: how far the source of the rows is, which does not identify them.
            id_key: check value of the key that ids were replaced with; parameters identify the rows by it.

        Raises:
            WrongUsage: a day that the source has not reached.
        """
        # days are stale where their source has them: rows of a day beyond would never be made again
        if beyond := [day for day in days or () if upstream and day > max(upstream)]:
            raise WrongUsage(
                f"table {table}: asked for {beyond[-1]}, but what it is made of ends {max(upstream or beyond)}; give a "
                "day that is there"
            )
        sources = [each for each in (*inputs, catalogue) if each is not None]
        own = (each for each in sources if isinstance(each, TableInput) and each.table == table)
        base = base or next(own, None) or (self.find(table) if appends else None)
        hashes = {each.name: each.fingerprint for each in sources}
        # declarations may lie outside the code, and a new one may be of parts that are there
        values = {**(parameters or {}), **({"columns": list(columns.items())} if columns else {})}
        return Batch(
            contract=find_contract(table),
            # published batches are known by this digest: values may neither change nor move
            fingerprint=digest(table, days, hashes, code_version(), values),
            days=None if days is None else tuple(days),
            # only days of this batch: a day that it does not make anew must stay stale
            upstream={day: upstream[day] for day in days or () if day in upstream} if upstream else {},
            columns=dict(columns or {}),
            extends=tuple(extends),
            clustered=clustered,
            numbers={name: n for name, n in (parameters or {}).items() if isinstance(n, int | float)},
            # whatever was looked at, passed as an input or not: an erasure since then must not be undone
            input_versions=self.versions,
            base_version=base.version if base else NEVER_PUBLISHED if appends else None,
            appends=appends,
            deterministic=deterministic,
            catalogue=catalogue.version if catalogue else None,
            watermark=watermark,
            id_key=id_key,
            input_rows=_count_input_rows(table, sources),
        )

    def publish(
        self,
        batch: Batch,
        rows: DataFrame,
        measures: Measures | None = None,
        missing: Mapping[str, str] | None = None,
        if_empty: str = "",
        after_audit: Callable[[StagedBatch], None] | None = None,
    ) -> Outcome:
        """Makes a batch visible in the five steps of decision 1, unless the very same one is there already.

        Args:
            measures: numbers for the gate's bounds, or what makes them of the staged rows.
            missing: why a column has no value where the source has none; left out, it is what plays never have.
            if_empty: why there may be no rows at all; that is no fault then. Nothing is published, unless rows of
                before would stay that are of nothing any more.
            after_audit: what must be done before the batch is seen, or with a refused one before this raises.

        Raises:
            Refused: the gate found a critical fault; nothing was published.
        """
        with self.lease(batch.table):
            # whoever had the lease may have published this very batch
            if self.unchanged(batch):
                return Outcome(batch.table, UNCHANGED)
            # checked again at the commit; here it saves the work of a batch that would fail there
            check_current(self.warehouse, batch)
            batch = reserve(self.warehouse, batch)
            suite = self.gate.suite_of(batch.table)
            missing = self._missing(batch) if missing is None else missing
            if self._rows_read:
                # the batch before may have left the session set to its few rows
                self.tune(0)
            with record_failures(self.warehouse, self.run_id, batch), explain_failing_rows(batch.table):
                violation = stage(self.warehouse, batch, rows)
                staged = audit(self.spark, self.warehouse, batch, suite, measures or {}, missing, violation)
            if if_empty and staged.lacks_only_rows:
                if not self._would_remove_rows(batch):
                    # an empty folder that somebody else's sweep would have to judge
                    self.warehouse.remove(staged.path)
                    return self.not_made(batch.table, if_empty)
                staged = staged.allow_empty()
            refused = staged.verdict.refused
            # before the commit: a kill between the two leaves a record of a batch that the log does not name,
            # where the other order would leave a published batch that nothing says was audited
            outcome = "refused" if refused else "passed"
            record(self.warehouse, self.run_id, staged, outcome)
            record_profiles(self.spark, self.warehouse, self.run_id, staged, outcome)
            if refused:
                keep_offending_rows(self.spark, self.warehouse, self.run_id, staged, suite)
            if after_audit:
                after_audit(staged)
            if refused:
                self.say(f"{batch.table} REFUSED, {staged.profile.rows:,} rows stay unseen")
                days, owner = find_retention().refused.days, find_owner(batch.table)
                raise Refused.batch(batch.table, batch.id, staged.verdict, staged.path, days, owner)
            return self._commit(staged)

    def _would_remove_rows(self, batch: Batch) -> bool:
        state = self.warehouse.state(batch.table)
        days = state.day_states if state and not batch.appends else {}
        return any(days[day].rows for day in (days if batch.days is None else batch.days) if day in days)

    def _commit(self, staged: StagedBatch) -> Outcome:
        metadata: dict[str, Any] = {"run": self.run_id, "job": self.name, "code": code_version()}
        metadata |= {"parameters": dict(numbers)} if (numbers := staged.batch.numbers) else {}
        state = commit(self.warehouse, staged, metadata)
        # the inputs changed and no row did: there is no new version, so nothing downstream gets stale
        if state is None:
            is_empty = staged.batch.appends and not staged.profile.rows
            return self.up_to_date(staged.batch.table, NO_NEW_ROWS if is_empty else SAME_BATCH)
        outcome = Outcome(staged.batch.table, PUBLISHED, staged.profile.rows, state.version)
        note_rows(outcome.table, outcome.rows, published=True)
        results, warnings = staged.verdict.results, len(staged.verdict.warnings)
        checks = f"{sum(result.success for result in results)} of {len(results)} checks held"
        checks += f" ({warnings} warnings)" if warnings else ""
        about = f"{outcome.rows:,} rows, {_format_days(staged)}{checks}"
        seconds = time.monotonic() - self._started
        self.say(f"{outcome.table} version {outcome.version}: {about}, {seconds:.1f} s")
        return add_outcome(outcome)

    def _missing(self, batch: Batch) -> dict[str, str]:
        # columns that no play has: what is made of them is empty too, and would warn each night
        if batch.table in FROM_SOURCES:
            return {}
        group = next((group for group in FEATURE_GROUPS if batch.table in group.tables), None)
        declared = group and isinstance(group.source, Events)
        events = self.warehouse.state(group.events.name if group and declared else "plays")
        of_track = group.catalogue_columns if group else ()
        tracks = self.warehouse.state("tracks") if of_track else None
        empty = {*(events.empty_columns if events else ())}
        # of one name in both, the column of the event is meant
        empty |= {name for name in of_track if tracks and name in tracks.empty_columns}
        return {name: f"the source never has {name}" for name in empty}

    @contextmanager
    def lease(self, table: str) -> Iterator[None]:
        """Keeps others away from the table, unless this job does so already."""
        # who changes nothing keeps nobody away, and leaves no file. An ingest takes the lease before it reads, and
        # publishes inside: a second flock would wait for its own
        if table in self._leased or self._dry_run or only_looks():
            yield
            return
        with lease(self.warehouse, table, f"{self.name} of {self.run_id}", self.say):
            self._leased.add(table)
            try:
                yield
            finally:
                self._leased.discard(table)

    def unchanged(self, batch: Batch) -> bool:
        """Whether this very batch is published already, and says so if it is."""
        # a long step asks before it begins
        if not is_published(self.warehouse, batch):
            return False
        self.up_to_date(batch.table, SAME_BATCH)
        return True

    def up_to_date(self, table: str, why: str) -> Outcome:
        """Notes that the table is as its inputs make it."""
        if not only_looks():
            record_unchanged(self.warehouse, self.run_id, table, why)
        return self.nothing_to_do(table, why)

    def nothing_to_do(self, table: str, why: str) -> Outcome:
        """Notes that this job leaves the table as it is, which says nothing of batches that were refused."""
        self.say(f"{table} unchanged: {why}")
        return add_outcome(Outcome(table, UNCHANGED, why=why))

    def not_made(self, table: str, why: str) -> Outcome:
        # there is nothing that it could be made of; that is an outcome, not an error
        self.say(f"{table} not made: {why}")
        return add_outcome(Outcome(table, NOT_MADE, why=why))


def _count_input_rows(table: str, inputs: Iterable[Input]) -> dict[date | None, int]:
    counts: dict[date | None, int] = {}
    for each in inputs:
        # what a table goes on from, of its own, says nothing of a day that is to come
        if isinstance(each, TableInput) and each.table != table:
            counts |= {day: max(rows, counts.get(day, 0)) for day, rows in each.rows_by_day.items()}
    return counts


def new_run_id() -> str:
    # to the microsecond: two runs that begin in one second must not share their results and reports
    return datetime.now(UTC).strftime("run-%Y%m%dT%H%M%S-%f")


def _format_days(staged: StagedBatch) -> str:
    days = sorted(day for day in staged.profile.days if day)
    if len(days) > 1:
        return f"{len(days)} days to {days[-1]}, "
    return f"{days[0]}, " if days else ""
