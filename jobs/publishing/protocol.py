"""How a batch becomes visible: reserve, stage, audit, commit by reference.

A batch is staged inside its table's folder as files that the table's log does not name, so nobody
sees them. Great Expectations audits those very files; then one commit of the log names them and
drops the days they replace. Nothing is copied, and the commit is a compare-and-swap on the version.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from expectations.gate import judge
from expectations.profile import Profile, profile
from expectations.suite import suite_for
from expectations.verdict import Result, Verdict
from jobs.errors import JobError, first_line
from jobs.publishing.batches import Batch, folder
from jobs.publishing.commits import (
    Change,
    Lost,
    as_adds,
    check_whole,
    files_in,
    next_instant,
    staged_files,
    swap,
)
from jobs.publishing.state import Part, TableState, note_of, state_of
from jobs.publishing.warehouse import Warehouse, add_columns, missing_columns
from schemas import Contract, conform

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Losing a compare-and-swap costs milliseconds; this many in a row mean something else is wrong.
ATTEMPTS = 50


@dataclass(frozen=True)
class Staged:
    """A batch whose files lie in place and have been audited; nobody sees them yet."""

    batch: Batch
    path: str
    profile: Profile
    verdict: Verdict


def stage(
    spark: SparkSession, warehouse: Warehouse, batch: Batch, rows: DataFrame, measures: Mapping[str, float]
) -> Staged:
    """Writes a reserved batch's files and audits them. A refused batch stays where it is, for a look at it.

    Raises:
        JobError: rows outside the batch's days, or files that cannot be read back.
    """
    path = folder(warehouse, batch)
    if broken := _written(_laid_out(conform(rows, batch.contract), batch), path):
        return Staged(batch, path, Profile(0, 0, {}), Verdict((broken,)))
    with _readable(batch):
        written = spark.read.format("delta").load(path)
        seen = profile(written, batch.contract)
        _check_days(batch, seen)
        return Staged(batch, path, seen, judge(written, suite_for(batch.table), seen, measures))


def commit(warehouse: Warehouse, staged: Staged, note: Mapping[str, Any]) -> TableState | None:
    """Names the staged files in the table's log, in one commit; None if the content is there already.

    Raises:
        JobError: others kept committing; or appended, or erased a listener, while this was being made.
    """
    batch, staged_now = staged.batch, staged_files(warehouse, staged.path)
    check_whole(warehouse, batch.table, staged_now)
    for _ in range(ATTEMPTS):
        table = warehouse.create(batch.contract)
        _check_nobody_was_erased(warehouse, batch)
        try:
            if missing_columns(table, batch.contract):
                _widen(table, batch.contract)
                continue
            change = _change(table, staged, staged_now, note)
            state = swap(table, change) if change else None
        except Lost:
            _check_can_follow(batch)
            continue
        warehouse.remove(f"{staged.path}/_delta_log" if state else staged.path)
        return state
    raise JobError(f"table {batch.table}: lost {ATTEMPTS} commits in a row to others; run the step again")


def _written(rows: DataFrame, path: str) -> Result | None:
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


@contextmanager
def _readable(batch: Batch) -> Iterator[None]:
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


def _laid_out(rows: DataFrame, batch: Batch) -> DataFrame:
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
    batch, before = staged.batch, state_of(table)
    state, changed = _appended(before, staged) if batch.appends else _replaced(table, before, staged)
    if not changed and _follow(before, batch):
        return None
    available_at = next_instant(before)
    if changed:
        state = replace(state, published_at=available_at)
    return Change(
        batch=batch.id,
        kind="publish",
        state=state,
        adds=as_adds([f for f in staged_now if _day(f) in changed], available_at, rewrites=False),
        removes=[] if batch.appends else [path for path, day in files_in(table) if day in changed],
        transaction=(batch.transaction, batch.revision),
        note={**note, "content_hash": staged.profile.content_hash},
    )


def _appended(before: TableState, staged: Staged) -> tuple[TableState, set[date | None]]:
    new = _parts(staged)
    total = {
        day: before.parts[day].and_also(part) if day in before.parts else part for day, part in new.items()
    }
    return before.with_parts(total, replaces=()), set(new)


def _replaced(table: DeltaTable, before: TableState, staged: Staged) -> tuple[TableState, set[date | None]]:
    new, old = _parts(staged), before.parts
    _check_repeatable(table, staged, new)
    changed = {day for day, part in new.items() if day not in old or not old[day].holds_what(part)}
    kept = {
        day: part if day in changed else replace(part, origin=old[day].origin) for day, part in new.items()
    }
    if staged.batch.days is None:
        changed |= set(old) - set(new)
    return before.with_parts(kept, replaces=staged.batch.days), changed


def _parts(staged: Staged) -> dict[date | None, Part]:
    """Every day of the batch; of a day that it was asked for and has no rows of, that there are none."""
    batch = staged.batch
    asked = [] if batch.appends else [None] if batch.days is None else list(batch.days)
    seen = dict.fromkeys(asked, (0, 0)) | {
        day: (found.rows, found.content_hash) for day, found in staged.profile.days.items()
    }
    return {
        day: Part(rows, hash_, hash_, batch.made_from, batch.follows.get(day, "") if day else "")
        for day, (rows, hash_) in seen.items()
    }


def _follow(before: TableState, batch: Batch) -> bool:
    """Whether the days are known to mirror what they mirror now; else they would be stale for ever."""
    return all(day in before.parts and before.parts[day].follows == of for day, of in batch.follows.items())


def _day(file: Mapping[str, Any]) -> date | None:
    text = file["partitionValues"].get("ds")
    return date.fromisoformat(text) if text else None


def _widen(table: DeltaTable, contract: Contract) -> None:
    try:
        add_columns(
            table, contract, {"userMetadata": json.dumps({"kind": "widen", "state": state_of(table).dumps()})}
        )
    except CommitFailedError as problem:
        raise Lost from problem


def _check_repeatable(table: DeltaTable, staged: Staged, new: Mapping[date | None, Part]) -> None:
    """The same inputs, code and parameters must give the same rows, or a rerun can repair nothing.

    The log is searched only where it says that this very batch was published before.
    """
    batch = staged.batch
    if not batch.repeatable or table.transaction_version(batch.transaction) is None:
        return
    for commit_ in table.history():
        note = note_of(commit_)
        if str(note.get("batch", "")).rpartition("-")[0] != batch.made_from or note["kind"] != "publish":
            continue
        then = TableState.loads(0, note["state"]).parts
        differ = [day for day, part in new.items() if day in then and then[day].origin != part.origin]
        if differ and state_of(table).erased_in <= commit_["version"]:
            raise JobError(
                f"table {batch.table}: batch {batch.id} holds other rows than version {commit_['version']} did, "
                f"though it was made from the same inputs, code and parameters (differs for "
                f"{', '.join(str(day or 'the whole table') for day in differ[:5])}); nothing was published. "
                "The step is not deterministic: look for random order, a clock, or state outside its inputs"
            )
        return


def _check_can_follow(batch: Batch) -> None:
    if batch.appends:
        raise JobError(
            f"table {batch.table}: another batch was appended meanwhile, and this one may repeat "
            "its rows; nothing was published, run the step again"
        )


def _check_nobody_was_erased(warehouse: Warehouse, batch: Batch) -> None:
    """Rows made of what was read before a listener was erased would bring the listener back."""
    for name, version in batch.read_at.items():
        state = warehouse.state(name)
        if state and state.erased_in > version:
            raise JobError(
                f"table {batch.table}: a listener was erased from {name} (version {state.erased_in}) after this "
                f"step read version {version}; nothing was published. Run the step again"
            )
