"""How a batch becomes visible: reserve, stage, audit, commit by reference.

A batch is staged inside its table's folder as files that the table's log does not name, so nobody
sees them. Great Expectations audits those very files; then one commit of the log names them and
drops the days they replace. Nothing is copied, and the commit is a compare-and-swap on the version.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
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
from jobs.errors import JobError, first_line
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
from jobs.publishing.state import DayState, TableState, commit_metadata_at, parse_commit_metadata, read_state
from jobs.publishing.warehouse import Warehouse
from jobs.session import tune
from schemas import Contract, conform

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Losing a compare-and-swap costs milliseconds; this many in a row mean something else is wrong.
ATTEMPTS = 50

# Beyond these, Delta's scan of the log is quicker than looking at every file; a remote one takes a request.
FEW_FILES = 1_000
FEW_REMOTE_FILES = 32
# A hundred thousand plays: one core reads and counts them in less than the tasks of a shuffle take.
FEW_BYTES = 8 * 1024**2

# Numbers of a whole batch, for the gate's bounds.
Measures = Mapping[str, float] | Callable[["DataFrame"], Mapping[str, float]]


@dataclass(frozen=True)
class Staged:
    """A batch whose files lie in place and have been audited; nobody sees them yet."""

    batch: Batch
    path: str
    profile: Profile
    verdict: Verdict


def stage(
    spark: SparkSession,
    warehouse: Warehouse,
    batch: Batch,
    rows: DataFrame,
    measures: Measures,
    suite: Suite,
    missing: Mapping[str, str],
) -> Staged:
    """Writes a reserved batch's files and audits them. A refused batch stays where it is, for a look at it.

    Args:
        measures: numbers, or what makes them of the staged rows as they are read back.
        missing: why a column of plays has no value, in words.

    Raises:
        JobError: rows outside the batch's days, or files that cannot be read back.
    """
    path = folder(warehouse, batch)
    if broken := write(_cluster_by_bucket(conform(rows, batch.contract), batch), path):
        return Staged(batch, path, Profile(0, 0, {}), Verdict((broken,)))
    with explain_unreadable(batch):
        written = read_staged_rows(spark, warehouse, path, batch.contract)
        seen = profile(written, batch.contract)
        _check_days(batch, seen)
        counted = measures(written) if callable(measures) else measures
        return Staged(batch, path, seen, audit_batch(written, suite, seen, counted, missing))


def commit(warehouse: Warehouse, staged: Staged, note: Mapping[str, Any]) -> TableState | None:
    """Names the staged files in the table's log, in one commit; None if the content is there already.

    Raises:
        JobError: others kept committing; or appended, or erased a listener, while this was being made.
    """
    batch, files = staged.batch, list_staged_files(warehouse, staged.path)
    for _ in range(ATTEMPTS):
        table = warehouse.add_missing_columns(batch.contract)
        check_current(warehouse, batch)
        _check_repeatable(warehouse, table, staged)
        change = _change(table, staged, files, note)
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
    table = None if batch.base_version is None else warehouse.table(batch.table)
    for version in range((batch.base_version or 0) + 1, table.version() + 1 if table else 0):
        if table and (commit_metadata_at(table, version) or {}).get("kind") == "publish":
            raise JobError(
                f"table {batch.table}: version {version} was published after this step looked at the table, and "
                "what it made rests on what was there; nothing was published. Run the step again"
            )


def _delete_unreferenced_files(
    warehouse: Warehouse, staged: Staged, files: list[dict[str, Any]], named: Sequence[AddAction]
) -> None:
    """Removes what was staged and is not named: days of equal rows, and the log. A rest is swept later."""
    with suppress(OSError):
        if not named:
            warehouse.remove(staged.path)
            return
        kept, table = {add.path for add in named}, warehouse.table_path(staged.batch.table)
        for file in files:
            if file["path"] not in kept:
                warehouse.files.delete_file(warehouse.inner(f"{table}/{file['path']}"))
        warehouse.remove(f"{staged.path}/_delta_log")


def write(rows: DataFrame, path: str) -> Result | None:
    """None, or the constraint that a row breaks: behind the expectations, the last line.

    Raises:
        JobError: what Spark wrote to, or shuffled through, gave out.
    """
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        rows.write.format("delta").mode("append").save(path)
    except (PySparkException, Py4JError) as error:
        broken = re.search(r"\[DELTA_(?:VIOLATE|NOT_NULL)_CONSTRAINT\w*\] ?(.*)", str(error))
        if broken is None and isinstance(error, PySparkException):
            raise  # the step itself is wrong, and needs its trace
        if broken is None:
            raise JobError(
                f"{path} could not be written: {_root_cause(error)}; nothing was published. "
                "Put right what is named here (a full disk, rights, a lost machine), then run the step again"
            ) from error
        observed, expected = first_line(broken[1]), "every row keeps the table's constraints"
        return Result("expect_constraints_to_hold", None, "critical", False, observed, expected)
    return None


def read_staged_rows(spark: SparkSession, warehouse: Warehouse, path: str, contract: Contract) -> DataFrame:
    """The files that the log of a staged batch names, read back, in a session set to their number of rows.

    Few are read as what they are, Parquet files: Delta's own scan asks its log with a Spark job or two for each
    query. Small ones are one partition, so that no aggregation shuffles.
    """
    files = list_staged_files(warehouse, path)
    tune(spark, sum(json.loads(file["stats"])["numRecords"] for file in files))
    if not 0 < len(files) <= (FEW_REMOTE_FILES if warehouse.remote else FEW_FILES):
        return spark.read.format("delta").load(path)
    parent = path.rsplit("/", 1)[0]
    paths = [f"{parent}/{file['path']}" for file in files]
    rows = spark.read.schema(contract.struct()).option("basePath", path).parquet(*paths)
    rows = rows.select(*contract.names)  # Spark puts partition columns last
    return rows.coalesce(1) if sum(file["size"] for file in files) <= FEW_BYTES else rows


@contextmanager
def explain_unreadable(batch: Batch) -> Iterator[None]:
    """Page checksums are on, so what a disk spoiled since it was written ends here, not at a reader."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JError) as error:
        raise JobError(
            f"table {batch.table}: what was staged of batch {batch.id} cannot be read back and audited: "
            f"{_root_cause(error)}; nothing was published. Look at the disk, then run the step again"
        ) from error


def _root_cause(problem: Exception) -> str:
    """What the innermost cause says: the outer ones say only which call failed, or that a task did."""
    causes = re.findall(r"Caused by: [\w.$]+: (.+)", str(problem))
    return causes[-1].strip() if causes else first_line(problem)


def _check_days(batch: Batch, seen: Profile) -> None:
    """A stray row would be published beside the day that it belongs to, and never be replaced."""
    stray = [] if batch.days is None else sorted(str(day) for day in set(seen.days) - set(batch.days))
    if stray:
        raise JobError(
            f"table {batch.table}: the batch is for {len(batch.days or ())} days, but has rows of "
            f"{', '.join(stray[:5])}; nothing was published. The step that made it must select its days"
        )


def _cluster_by_bucket(rows: DataFrame, batch: Batch) -> DataFrame:
    """Each file holds a narrow range of buckets, sorted: that is what prunes a look-up."""
    from pyspark.sql import functions as F

    contract = batch.contract
    day = [F.col("ds")] if contract.by_day else []
    if not contract.buckets:
        return rows.repartition(*day or [F.lit(0)])
    file = F.floor(F.col("bucket") * batch.files_per_day / contract.buckets)
    within = ["bucket", contract.entity, contract.event_time]
    return rows.repartition(*day, file).sortWithinPartitions(*day, *[F.col(name) for name in within if name])


def _change(
    table: DeltaTable, staged: Staged, staged_now: list[dict[str, Any]], note: Mapping[str, Any]
) -> Change | None:
    """What the commit has to do: only days that hold other rows than before change files.

    A day of equal rows keeps its files, and with them the instant since when these rows are known.
    """
    batch, before = staged.batch, read_state(table)
    state, changed = _appended(before, staged) if batch.appends else _replaced(before, staged)
    state = replace(state, empty_columns=_empty_columns(before, staged))
    if not changed and _upstream_is_recorded(before, batch):
        return None
    available_at = next_commit_time(before)
    if changed:
        state = replace(state, published_at=available_at)
    return Change(
        batch=batch.id,
        kind="publish",
        state=state,
        adds=to_add_actions([f for f in staged_now if _day(f) in changed], available_at, rewrites=False),
        removes=[] if batch.appends else [path for path, day in list_file_days(table) if day in changed],
        transaction=(batch.transaction, batch.revision),
        note={**note, "content_hash": staged.profile.content_hash},
    )


def _empty_columns(before: TableState, staged: Staged) -> frozenset[str]:
    batch, rows = staged.batch, staged.profile.rows
    found = find_empty_columns(staged.verdict.results, rows)
    replaced = set(before.parts if batch.days is None else batch.days)
    whole = not batch.appends and set(before.parts) <= replaced
    return before.with_rows(rows, found, whole).empty_columns


def _appended(before: TableState, staged: Staged) -> tuple[TableState, set[date | None]]:
    new = _parts(staged)
    total = {day: before.parts[day].plus(part) if day in before.parts else part for day, part in new.items()}
    return before.with_parts(total, replaces=()), set(new)


def _replaced(before: TableState, staged: Staged) -> tuple[TableState, set[date | None]]:
    new, old = _parts(staged), before.parts
    changed = {day for day, part in new.items() if day not in old or not old[day].same_content_as(part)}
    kept = {
        day: part if day in changed else replace(part, published_hash=old[day].published_hash)
        for day, part in new.items()
    }
    if staged.batch.days is None:
        changed |= set(old) - set(new)
    return before.with_parts(kept, replaces=staged.batch.days), changed


def _parts(staged: Staged) -> dict[date | None, DayState]:
    """Every day of the batch; of a day that it was asked for and has no rows of, that there are none."""
    batch = staged.batch
    asked = [] if batch.appends else [None] if batch.days is None else list(batch.days)
    seen = dict.fromkeys(asked, (0, 0)) | {
        day: (found.rows, found.content_hash) for day, found in staged.profile.days.items()
    }
    return {
        day: DayState(rows, hash_, hash_, batch.fingerprint, batch.upstream.get(day, "") if day else "")
        for day, (rows, hash_) in seen.items()
    }


def _upstream_is_recorded(before: TableState, batch: Batch) -> bool:
    """Whether the days are known to mirror what they mirror now; else they would be stale for ever."""
    return all(day in before.parts and before.parts[day].upstream == of for day, of in batch.upstream.items())


def _day(file: Mapping[str, Any]) -> date | None:
    text = file["partitionValues"].get("ds")
    return date.fromisoformat(text) if text else None


def _check_repeatable(warehouse: Warehouse, table: DeltaTable, staged: Staged) -> None:
    """The same inputs, code and parameters must give the same rows, or a rerun can repair nothing.

    The log is searched only where it says that this very batch was published before. Once a listener
    was erased, the same inputs do hold other rows.
    """
    batch, new = staged.batch, _parts(staged)
    if not batch.deterministic or batch.appends or table.transaction_version(batch.transaction) is None:
        return
    states = [warehouse.state(name) for name in (batch.table, *batch.input_versions)]
    for commit_ in [] if any(state and state.erased_in for state in states) else table.history():
        note = parse_commit_metadata(commit_)
        if str(note.get("batch", "")).rpartition("-")[0] != batch.fingerprint or note["kind"] != "publish":
            continue
        then = TableState.loads(0, note["state"]).parts
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
