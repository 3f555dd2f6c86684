"""How a staged batch is audited and becomes visible: what `Job.publish` puts in the order of decision 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

from deltalake import DeltaTable
from deltalake.transaction import AddAction

from expectations.gate import audit_batch
from expectations.lineage import find_empty_columns
from expectations.profile import DayProfile, Profile, profile
from expectations.suite import Suite
from expectations.verdict import Result, Verdict
from jobs.errors import JobError
from jobs.publishing.batches import Batch, folder
from jobs.publishing.commits import (
    Change,
    CommitConflict,
    check_file_sizes,
    list_file_days,
    list_staged_files,
    next_commit_time,
    record_earlier,
    swap,
    to_add_actions,
)
from jobs.publishing.kept_columns import find_kept_columns
from jobs.publishing.staging import explain_unreadable, read_staged_rows
from jobs.publishing.state import (
    DayState,
    TableState,
    commit_metadata_at,
    digest,
    read_state,
    read_state_at,
)
from jobs.publishing.warehouse import Warehouse
from jobs.session import plan_at_once
from segue.retry import retry

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Half of what `retry` allows others: each try here reads the log and lists the staged files.
ATTEMPTS = 50

# Numbers of a whole batch, for the gate's bounds.
Measures = Mapping[str, float] | Callable[["DataFrame"], Mapping[str, float]]


@dataclass(frozen=True)
class StagedBatch:
    """A batch whose files lie in place and have been audited; nobody sees them yet."""

    batch: Batch
    path: str
    profile: Profile
    verdict: Verdict

    @property
    def lacks_only_rows(self) -> bool:
        """Whether the gate has nothing against the batch but that it is empty."""
        return not self.profile.rows and {each.column for each in self.verdict.critical} <= {"rows"}

    def allow_empty(self) -> StagedBatch:
        """That it is empty is a warning."""
        return replace(self, verdict=self.verdict.downgrade())


def audit(
    spark: SparkSession,
    warehouse: Warehouse,
    batch: Batch,
    suite: Suite,
    measures: Measures,
    missing: Mapping[str, str],
    violation: Result | None,
) -> StagedBatch:
    """Judges the staged files as they are read back. Those of a refused batch stay, for a look at them.

    Args:
        missing: why a column of plays has no value, in words.
        violation: the constraint that ended the write, so that there is nothing to read back.

    Raises:
        JobError: rows outside the batch's days, or files that cannot be read back.
    """
    path = folder(warehouse, batch)
    if violation:
        return StagedBatch(batch, path, Profile(0, 0, {}), Verdict((violation,)))
    with explain_unreadable(batch):
        # what was staged and not the rows that went in: those would be computed anew, and need not be equal
        rows = read_staged_rows(spark, warehouse, path, batch.contract)
        # a pass of its own: `df.observe` in the write counts retried tasks twice (SPARK-58183)
        kept = find_kept_columns(warehouse, batch)
        with plan_at_once(spark):
            contents = kept.profile(rows, batch.contract) if kept else profile(rows, batch.contract)
        days = contents.days if batch.days is None else batch.days
        # before the expectations, as a stray row would be published beside its day, and never be replaced
        if stray := sorted(str(day) for day in set(contents.days) - set(days)):
            raise JobError(
                f"table {batch.table}: the batch is for {len(days)} days, but has rows of "
                f"{', '.join(stray[:5])}; nothing was published. The step that made it must select its days"
            )
        numbers = measures(rows) if callable(measures) else measures
        # what the gate has let through it need not look at again: beside forty columns, that was a third of the cost
        suite = suite.select(batch.extends) if kept else suite
        with plan_at_once(spark):
            verdict = audit_batch(rows, suite, contents, numbers, missing)
        if kept:
            verdict = Verdict((kept.compare(contents), *verdict.results))
        return StagedBatch(batch, path, contents, verdict)


def commit(warehouse: Warehouse, staged: StagedBatch, metadata: Mapping[str, Any]) -> TableState | None:
    """Names the staged files in the table's log, in one commit; None if the content is there already.

    Raises:
        JobError: others kept committing; or appended, or erased a listener, while this was being made.
    """
    batch, files = staged.batch, list_staged_files(warehouse, staged.path)

    def look_and_swap() -> TableState | None:
        table = warehouse.add_missing_columns(batch.contract)
        # an erasure marks every table with listeners, so one that comes after this look wins the swap
        check_current(warehouse, batch)
        _check_deterministic(warehouse, table, staged)
        # planned again in each round: who won may have published the same days
        change = _plan_change(table, staged, files, metadata)
        check_file_sizes(warehouse, batch.table, files)
        state = swap(table, change) if change else None
        _delete_unreferenced_files(warehouse, staged, files, change.adds if change else ())
        return state

    try:
        # no wait between rounds: each reads the log and the files' sizes, so losers do not come back in step
        return retry(look_and_swap, CommitConflict, ATTEMPTS, wait_s=0)
    except CommitConflict as problem:
        raise JobError(
            f"table {batch.table}: lost {ATTEMPTS} commits in a row to others; run the step again"
        ) from problem


def check_current(warehouse: Warehouse, batch: Batch) -> None:
    """That what the batch was made of still is what it should be made of.

    Raises:
        JobError: a listener was erased from an input meanwhile, whom the batch would bring back; or the
            batch rests on its own table, and that was published to, or rows were taken out of it.
    """
    for name, version in batch.input_versions.items():
        state = warehouse.state(name)
        if state and state.erased_in > version:
            raise JobError(
                f"table {batch.table}: a listener was erased from {name} (version {state.erased_in}) after this "
                f"step read version {version}; nothing was published. Run the step again"
            )
    table = None if batch.base_version is None else warehouse.table(batch.table)
    if table is None or batch.base_version is None:
        return
    # compaction and erasure make versions too, and change no row that a batch could rest on;
    # only what was published or retracted meanwhile does
    changes = {"publish": "was published", "retract": "took rows out"}
    for version in range(batch.base_version + 1, table.version() + 1):
        kind = (commit_metadata_at(table, version) or {}).get("kind", "")
        if kind in changes:
            raise JobError(
                f"table {batch.table}: version {version} {changes[kind]} after this step looked at the table, and "
                "what it made rests on what was there; nothing was published. Run the step again"
            )


def _delete_unreferenced_files(
    warehouse: Warehouse, staged: StagedBatch, files: list[dict[str, Any]], adds: Sequence[AddAction]
) -> None:
    # the commit is done: whatever stays behind costs disk until maintenance, and is no reason to fail
    with suppress(OSError):
        if not adds:
            warehouse.remove(staged.path)
            return
        paths, table = {add.path for add in adds}, warehouse.table_path(staged.batch.table)
        # what goes: files of days of equal rows, and the log, which shows the batch as a table without `available_at`
        for file in files:
            if file["path"] not in paths:
                warehouse.files.delete_file(warehouse.inner(f"{table}/{file['path']}"))
        warehouse.remove(f"{staged.path}/_delta_log")


def _plan_change(
    table: DeltaTable, staged: StagedBatch, files: list[dict[str, Any]], metadata: Mapping[str, Any]
) -> Change | None:
    """What the commit has to do: only days that hold other rows than before change files."""
    batch, before = staged.batch, read_state(table)
    state, changed = _replace_rows(before, staged)
    # where equal rows mirror something new, the state alone is committed: else they would be stale for ever
    if not changed and _list_sources(before, batch) == _list_sources(state, batch):
        return None
    empty = find_empty_columns(staged.verdict.results, staged.profile.rows)
    if batch.extends:  # of the others, which are as they were, nothing was counted
        empty |= before.empty_columns.difference(batch.extends)
    whole = not batch.appends and (batch.days is None or before.day_states.keys() <= set(batch.days))
    empty = before.update_empty_columns(staged.profile.rows, empty, whole).empty_columns
    # null while it was staged, as a partition value that lives in the log alone; true from here on
    available_at = next_commit_time(before)
    if batch.watermark:
        state = batch.watermark.advance(state)
    state = state.add_id_key(batch.id_key)
    # a day of equal rows keeps its files, and with them the instant since when these rows are known
    partitions = {None if day is None else str(day) for day in changed}
    new_files = [file for file in files if file["partitionValues"].get("ds") in partitions]
    adds = to_add_actions(new_files, available_at, rewrites=False)
    return Change(
        batch=batch.id,
        kind="publish",
        state=replace(
            state,
            empty_columns=empty,
            published_at=available_at if changed else state.published_at,
            earlier=record_earlier(table, before, changed, adds, available_at)
            if changed and batch.contract.daily
            else before.earlier,
        ),
        adds=adds,
        removes=[] if batch.appends else [path for path, day in list_file_days(table) if day in changed],
        transaction=(batch.transaction, batch.revision),
        metadata={**metadata, "content_hash": staged.profile.content_hash},
    )


def _list_sources(state: TableState, batch: Batch) -> list[tuple[str, str, int | None]]:
    """What each day of a batch was made of."""
    days = [state.day_states.get(day) for day in batch.upstream]
    return [(day.upstream, day.columns, day.catalogue) if day else ("", "", None) for day in days]


def _replace_rows(before: TableState, staged: StagedBatch) -> tuple[TableState, set[date | None]]:
    """The state with the batch's days in it, and the days whose rows are others now."""
    new, old = _day_states(staged), before.day_states
    if staged.batch.appends:
        sums = {day: old[day].plus(part) if day in old else part for day, part in new.items()}
        return before.replace_days(sums, replaces=()), set(new)
    changed = {day for day, part in new.items() if day not in old or not old[day].same_content_as(part)}
    # equal rows of other code or inputs: the fingerprint is new, and what follows from the day is not stale
    states = {
        day: part
        if day in changed and not staged.batch.extends
        else replace(
            part, published_hash=old[day].published_hash, catalogue=_find_catalogue(staged, old[day])
        )
        for day, part in new.items()
    }
    if staged.batch.days is None:
        changed |= set(old) - set(new)
    if columns := staged.batch.columns:
        before = replace(before, declarations={**before.declarations, _name_columns(columns): columns})
    return before.replace_days(states, replaces=staged.batch.days), changed


def _find_catalogue(staged: StagedBatch, old: DayState) -> int | None:
    # columns that are added may be made of none, and the others stay what they are
    keeps = staged.batch.extends and staged.batch.catalogue is None
    return old.catalogue if keeps else staged.batch.catalogue


def _name_columns(columns: Mapping[str, str]) -> str:
    # with their order, which the content hash follows
    return digest(list(columns.items())) if columns else ""


def _day_states(staged: StagedBatch) -> dict[date | None, DayState]:
    batch = staged.batch
    # a requested day without rows has a state too: without one it would be stale for ever
    days = () if batch.appends else (None,) if batch.days is None else batch.days
    contents = {**dict.fromkeys(days, DayProfile(0, 0)), **staged.profile.days}
    return {
        day: DayState(
            rows=each.rows,
            content_hash=each.content_hash,
            published_hash=each.content_hash,
            fingerprint=batch.fingerprint,
            upstream=batch.upstream.get(day, "") if day else "",
            columns=_name_columns(batch.columns),
            catalogue=batch.catalogue,
        )
        for day, each in contents.items()
    }


def _check_deterministic(warehouse: Warehouse, table: DeltaTable, staged: StagedBatch) -> None:
    """The same inputs, code and parameters must give the same rows, or a rerun can repair nothing."""
    batch, new = staged.batch, _day_states(staged)
    # the whole log is read below, so only where it says that the same fingerprint was committed before
    if not batch.deterministic or batch.appends or table.transaction_version(batch.transaction) is None:
        return
    # fingerprints are of rows as published: once a listener was erased, the same inputs hold other rows
    states = [warehouse.state(name) for name in (batch.table, *batch.input_versions)]
    if any(state and state.erased_in for state in states):
        return
    found = _find_published(table, batch.fingerprint)
    if found is None:
        return
    old = found.day_states
    differences = [
        day for day, part in new.items() if day in old and old[day].content_hash != part.content_hash
    ]
    if differences:
        raise JobError(
            f"table {batch.table}: batch {batch.id} holds other rows than version {found.version} did, "
            f"though it was made from the same inputs, code and parameters (differs for "
            f"{', '.join(str(day or 'the whole table') for day in differences[:5])}); nothing was published. "
            "The step is not deterministic: look for random order, a clock, or state outside its inputs"
        )


def _find_published(table: DeltaTable, fingerprint: str) -> TableState | None:
    """The newest version that published a batch of this fingerprint; it was held to the one before it."""
    # entry by entry, back to that one: `DeltaTable.history` has all commits in memory, with the state in each
    for version in range(table.version(), -1, -1):
        metadata = commit_metadata_at(table, version)
        if metadata is None:
            break
        is_of_batch = str(metadata.get("batch", "")).rpartition("-")[0] == fingerprint
        if is_of_batch and metadata["kind"] == "publish":
            return read_state_at(table, version)
    return None
