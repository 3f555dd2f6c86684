"""How a staged batch is audited and becomes visible: the parts of decision 1 that `Job.publish` puts in order.

A batch is staged inside its table's folder as files that the table's log does not name, so nobody
sees them. Great Expectations audits those very files; then one commit of the log names them and
drops the days they replace. Nothing is copied, and the commit is a compare-and-swap on the version.
"""

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
from expectations.profile import Profile, profile
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
    swap,
    to_add_actions,
)
from jobs.publishing.staging import explain_unreadable, read_staged_rows
from jobs.publishing.state import DayState, TableState, commit_metadata_at, parse_commit_metadata, read_state
from jobs.publishing.warehouse import Warehouse

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Losing a compare-and-swap costs milliseconds; this many in a row mean something else is wrong.
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


def audit(
    spark: SparkSession,
    warehouse: Warehouse,
    batch: Batch,
    suite: Suite,
    measures: Measures,
    missing: Mapping[str, str],
    violation: Result | None,
) -> StagedBatch:
    """Judges the files that were staged, as they are read back. Those of a refused batch stay, for a look at them.

    Args:
        measures: numbers, or what makes them of the staged rows.
        missing: why a column of plays has no value, in words.
        violation: the constraint that ended the write, so that there is nothing to read back.

    Raises:
        JobError: rows outside the batch's days, or files that cannot be read back.
    """
    path = folder(warehouse, batch)
    if violation:
        return StagedBatch(batch, path, Profile(0, 0, {}), Verdict((violation,)))
    with explain_unreadable(batch):
        rows = read_staged_rows(spark, warehouse, path, batch.contract)
        seen = profile(rows, batch.contract)
        _check_days(batch, seen)
        numbers = measures(rows) if callable(measures) else measures
        return StagedBatch(batch, path, seen, audit_batch(rows, suite, seen, numbers, missing))


def commit(warehouse: Warehouse, staged: StagedBatch, metadata: Mapping[str, Any]) -> TableState | None:
    """Names the staged files in the table's log, in one commit; None if the content is there already.

    Raises:
        JobError: others kept committing; or appended, or erased a listener, while this was being made.
    """
    batch, files = staged.batch, list_staged_files(warehouse, staged.path)
    for _ in range(ATTEMPTS):
        table = warehouse.add_missing_columns(batch.contract)
        check_current(warehouse, batch)
        _check_deterministic(warehouse, table, staged)
        # planned again in each round: who won may have published the same days
        change = _plan_change(table, staged, files, metadata)
        check_file_sizes(warehouse, batch.table, files)
        try:
            state = swap(table, change) if change else None
        except CommitConflict:
            continue
        _delete_unreferenced_files(warehouse, staged, files, change.adds if change else ())
        return state
    raise JobError(f"table {batch.table}: lost {ATTEMPTS} commits in a row to others; run the step again")


def check_current(warehouse: Warehouse, batch: Batch) -> None:
    """That what the batch was made of still is what it should be made of.

    Raises:
        JobError: a listener was erased from an input meanwhile, whom the batch would bring back; or the
            batch rests on its own table, and that was published to.
    """
    for name, version in batch.input_versions.items():
        state = warehouse.state(name)
        if state and state.erased_in > version:
            raise JobError(
                f"table {batch.table}: a listener was erased from {name} (version {state.erased_in}) after this "
                f"step read version {version}; nothing was published. Run the step again"
            )
    # compaction and erasure make versions too, and change no row that a batch could rest on;
    # only what was published meanwhile does
    table = None if batch.base_version is None else warehouse.table(batch.table)
    for version in range((batch.base_version or 0) + 1, table.version() + 1 if table else 0):
        if table and (commit_metadata_at(table, version) or {}).get("kind") == "publish":
            raise JobError(
                f"table {batch.table}: version {version} was published after this step looked at the table, and "
                "what it made rests on what was there; nothing was published. Run the step again"
            )


def _delete_unreferenced_files(
    warehouse: Warehouse, staged: StagedBatch, files: list[dict[str, Any]], named: Sequence[AddAction]
) -> None:
    """Removes what was staged and is not named: days of equal rows, and the log. A rest is swept later."""
    # the commit is done: whatever stays behind costs disk until maintenance, and is no reason to fail
    with suppress(OSError):
        if not named:
            warehouse.remove(staged.path)
            return
        kept, table = {add.path for add in named}, warehouse.table_path(staged.batch.table)
        for file in files:
            if file["path"] not in kept:
                warehouse.files.delete_file(warehouse.inner(f"{table}/{file['path']}"))
        warehouse.remove(f"{staged.path}/_delta_log")


def _check_days(batch: Batch, seen: Profile) -> None:
    """A stray row would be published beside the day that it belongs to, and never be replaced."""
    stray = [] if batch.days is None else sorted(str(day) for day in set(seen.days) - set(batch.days))
    if stray:
        raise JobError(
            f"table {batch.table}: the batch is for {len(batch.days or ())} days, but has rows of "
            f"{', '.join(stray[:5])}; nothing was published. The step that made it must select its days"
        )


def _plan_change(
    table: DeltaTable, staged: StagedBatch, files: list[dict[str, Any]], metadata: Mapping[str, Any]
) -> Change | None:
    """What the commit has to do: only days that hold other rows than before change files.

    A day of equal rows keeps its files, and with them the instant since when these rows are known.
    """
    batch, before = staged.batch, read_state(table)
    state, changed = _add_rows(before, staged) if batch.appends else _replace_days(before, staged)
    state = replace(state, empty_columns=_empty_columns(before, staged))
    if not changed and _upstream_is_recorded(before, batch):
        return None
    # null while it was staged, as a partition value that lives in the log alone; true from here on
    available_at = next_commit_time(before)
    if changed:
        state = replace(state, published_at=available_at)
    return Change(
        batch=batch.id,
        kind="publish",
        state=state,
        adds=to_add_actions([f for f in files if _partition_day(f) in changed], available_at, rewrites=False),
        removes=[] if batch.appends else [path for path, day in list_file_days(table) if day in changed],
        transaction=(batch.transaction, batch.revision),
        metadata={**metadata, "content_hash": staged.profile.content_hash},
    )


def _empty_columns(before: TableState, staged: StagedBatch) -> frozenset[str]:
    batch, rows = staged.batch, staged.profile.rows
    found = find_empty_columns(staged.verdict.results, rows)
    replaced = set(before.day_states if batch.days is None else batch.days)
    whole = not batch.appends and set(before.day_states) <= replaced
    return before.update_empty_columns(rows, found, whole).empty_columns


def _add_rows(before: TableState, staged: StagedBatch) -> tuple[TableState, set[date | None]]:
    new = _day_states(staged)
    total = {
        day: before.day_states[day].plus(part) if day in before.day_states else part
        for day, part in new.items()
    }
    return before.replace_days(total, replaces=()), set(new)


def _replace_days(before: TableState, staged: StagedBatch) -> tuple[TableState, set[date | None]]:
    new, old = _day_states(staged), before.day_states
    changed = {day for day, part in new.items() if day not in old or not old[day].same_content_as(part)}
    states = {
        day: part if day in changed else replace(part, published_hash=old[day].published_hash)
        for day, part in new.items()
    }
    if staged.batch.days is None:
        changed |= set(old) - set(new)
    return before.replace_days(states, replaces=staged.batch.days), changed


def _day_states(staged: StagedBatch) -> dict[date | None, DayState]:
    """Every day of the batch; of a day that it was requested for and has no rows of, that there are none."""
    batch = staged.batch
    requested = [] if batch.appends else [None] if batch.days is None else list(batch.days)
    seen = dict.fromkeys(requested, (0, 0)) | {
        day: (found.rows, found.content_hash) for day, found in staged.profile.days.items()
    }
    return {
        day: DayState(rows, hash_, hash_, batch.fingerprint, batch.upstream.get(day, "") if day else "")
        for day, (rows, hash_) in seen.items()
    }


def _upstream_is_recorded(before: TableState, batch: Batch) -> bool:
    """Whether the days are known to mirror what they mirror now; else they would be stale for ever."""
    return all(
        day in before.day_states and before.day_states[day].upstream == of
        for day, of in batch.upstream.items()
    )


def _partition_day(file: Mapping[str, Any]) -> date | None:
    text = file["partitionValues"].get("ds")
    return date.fromisoformat(text) if text else None


def _check_deterministic(warehouse: Warehouse, table: DeltaTable, staged: StagedBatch) -> None:
    """The same inputs, code and parameters must give the same rows, or a rerun can repair nothing.

    The log is searched only where it says that this very batch was published before. Once a listener
    was erased, the same inputs do hold other rows.
    """
    batch, new = staged.batch, _day_states(staged)
    if not batch.deterministic or batch.appends or table.transaction_version(batch.transaction) is None:
        return
    # the whole log of a table is read here, so only where the same fingerprint was committed before
    states = [warehouse.state(name) for name in (batch.table, *batch.input_versions)]
    for commit_ in [] if any(state and state.erased_in for state in states) else table.history():
        metadata = parse_commit_metadata(commit_)
        if (
            str(metadata.get("batch", "")).rpartition("-")[0] != batch.fingerprint
            or metadata["kind"] != "publish"
        ):
            continue
        then = TableState.loads(0, metadata["state"]).day_states
        differ = [
            day for day, part in new.items() if day in then and then[day].content_hash != part.content_hash
        ]
        if differ:
            raise JobError(
                f"table {batch.table}: batch {batch.id} holds other rows than version {commit_['version']} did, "
                f"though it was made from the same inputs, code and parameters (differs for "
                f"{', '.join(str(day or 'the whole table') for day in differ[:5])}); nothing was published. "
                "The step is not deterministic: look for random order, a clock, or state outside its inputs"
            )
        return
