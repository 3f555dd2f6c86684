"""How a batch becomes visible: reserve, stage, audit, commit by reference, record.

A batch is staged inside its table's folder as files that the table's log does not name, so nobody
sees them. Great Expectations audits those very files; then one commit of the log names them and
drops the days they replace. Nothing is copied, and the commit is a compare-and-swap on the version.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction, RemoveAction

from expectations.gate import judge
from expectations.profile import Profile, profile
from expectations.suite import suite_for
from expectations.verdict import Verdict
from jobs.errors import JobError
from jobs.warehouse import Part, TableState, Warehouse, appended, digest, replaced, state_of
from schemas import Contract, conform

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Losing a compare-and-swap costs milliseconds; ten losses in a row mean something else is wrong.
ATTEMPTS = 10


@dataclass(frozen=True)
class Batch:
    """What is to be published.

    `made_from` identifies inputs, code and parameters: the same again is the same batch. A batch
    replaces `days`; without days, the whole table. If it `appends`, it replaces nothing.
    """

    contract: Contract
    made_from: str
    days: tuple[date, ...] | None = None
    follows: Mapping[date, str] = field(default_factory=dict)
    appends: bool = False
    files_per_day: int = 1
    attempt: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    @property
    def transaction(self) -> str:
        return f"publish:{self.contract.name}:{self.made_from}"

    @property
    def id(self) -> str:
        return f"{self.made_from}-{self.attempt}"


@dataclass(frozen=True)
class Staged:
    """A batch whose files lie in place and have been audited; nobody sees them yet."""

    batch: Batch
    path: str
    profile: Profile
    verdict: Verdict


def already_published(warehouse: Warehouse, batch: Batch) -> bool:
    """Whether the table holds this very batch now; not merely whether it once did."""
    table = warehouse.table(batch.contract.name)
    if table is None:
        return False
    if batch.appends:
        return table.transaction_version(batch.transaction) is not None
    parts = state_of(table).parts
    wanted = batch.days if batch.days is not None else (None,)
    return all(day in parts and parts[day].made_from == batch.made_from for day in wanted)


def stage(
    spark: SparkSession, warehouse: Warehouse, batch: Batch, rows: DataFrame, measures: Mapping[str, float]
) -> Staged:
    """Writes the batch's files and audits them. A refused batch stays where it is, for a look at it."""
    contract = batch.contract
    warehouse.create(contract)
    path = f"{warehouse.table_path(contract.name)}/batch-{batch.id}"
    warehouse.create(contract, path)
    _laid_out(conform(rows, contract), batch).write.format("delta").mode("append").save(path)
    written = spark.read.format("delta").load(path)
    seen = profile(written, contract)
    _check_days(batch, seen)
    return Staged(batch, path, seen, judge(written, suite_for(contract.name), seen, measures))


def commit(warehouse: Warehouse, staged: Staged, note: Mapping[str, Any]) -> TableState | None:
    """Names the staged files in the table's log, in one commit; None if the content is there already.

    Raises:
        JobError: others kept committing, or appended while this batch was being made.
    """
    batch = staged.batch
    for _ in range(ATTEMPTS):
        table = warehouse.table(batch.contract.name)
        assert table is not None  # stage() made it
        state = _state_after(state_of(table), table.version() + 1, staged)
        if state is None:
            break
        try:
            _swap(warehouse, table, staged, {**note, "batch": batch.id, "state": state.dumps()})
        except CommitFailedError:
            if batch.appends:
                raise JobError(
                    f"table {batch.contract.name}: another batch was appended meanwhile, and this one may repeat "
                    "its rows; nothing was published, run the step again"
                ) from None
            continue
        warehouse.remove(f"{staged.path}/_delta_log")
        return state
    else:
        raise JobError(
            f"table {batch.contract.name}: lost {ATTEMPTS} commits in a row to others; run the step again"
        )
    warehouse.remove(staged.path)
    return None


@cache
def code_version() -> str:
    """Identifies the code that decides what rows a batch holds; works from a zip as well."""
    sources = [
        (entry.name, entry.read_text())
        for package in ("schemas", "features")
        for entry in files(package).iterdir()
        if entry.name.endswith(".py")
    ]
    return digest(sorted(sources))


def _check_days(batch: Batch, seen: Profile) -> None:
    """A stray row would be published beside the day that it belongs to, and never be replaced."""
    stray = [] if batch.days is None else sorted(str(day) for day in set(seen.days) - set(batch.days))
    if stray:
        raise JobError(
            f"table {batch.contract.name}: the batch is for {len(batch.days or ())} days, but has rows of "
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


def _state_after(before: TableState, version: int, staged: Staged) -> TableState | None:
    """The table's state once the batch is in; None where that would change no row."""
    batch = staged.batch
    days = [None] if batch.days is None and not batch.appends else list(batch.days or [])
    parts = {day: Part(0, 0, batch.made_from, batch.follows.get(day, "") if day else "") for day in days}
    for day, seen in staged.profile.days.items():
        follows = batch.follows.get(day, "") if day else ""
        parts[day] = Part(seen.rows, seen.content_hash, batch.made_from, follows)
    if batch.appends:
        return appended(before, version, parts)
    same = all(day in before.parts and _alike(before.parts[day], part) for day, part in parts.items())
    return None if same and parts else replaced(before, version, batch.days, parts)


def _alike(one: Part, other: Part) -> bool:
    return (one.rows, one.content_hash, one.follows) == (other.rows, other.content_hash, other.follows)


def _swap(warehouse: Warehouse, table: DeltaTable, staged: Staged, note: Mapping[str, Any]) -> None:
    batch, contract = staged.batch, staged.batch.contract
    available_at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    days = None if batch.days is None else [("ds", "in", [str(day) for day in batch.days])]
    table.create_write_transaction(
        _adds(warehouse, staged.path, available_at),
        mode="append" if batch.appends else "overwrite",
        schema=table.schema(),
        partition_by=list(contract.partitions),
        partition_filters=None if batch.appends else days,
        commit_properties=CommitProperties(
            app_transactions=[Transaction(batch.transaction, table.version() + 1)],
            custom_metadata={"userMetadata": json.dumps(dict(note))},
            max_commit_retries=0,
        ),
        post_commithook_properties=PostCommitHookProperties(
            create_checkpoint=False, cleanup_expired_logs=False
        ),
    )


def _adds(warehouse: Warehouse, path: str, available_at: str) -> list[AddAction | RemoveAction]:
    """The files that the staged log names, as the table's log will name them.

    Partition values live in the log alone, so the instant of publication can be the true one.
    """
    folder = path.rsplit("/", 1)[1]
    return [
        AddAction(
            path=f"{folder}/{add['path']}",
            size=add["size"],
            partition_values={**add["partitionValues"], "available_at": available_at},
            modification_time=add["modificationTime"],
            data_change=True,
            stats=add["stats"],
        )
        for action in _staged_log(warehouse, path)
        if (add := action.get("add"))
    ]


def _staged_log(warehouse: Warehouse, path: str) -> list[dict[str, Any]]:
    from pyarrow.fs import FileSelector

    listed = warehouse.files.get_file_info(FileSelector(warehouse.inner(f"{path}/_delta_log")))
    commits = sorted(entry.path for entry in listed if entry.path.endswith(".json"))
    return [
        json.loads(line)
        for commit in commits
        for line in warehouse.files.open_input_stream(commit).read().decode().splitlines()
    ]
