"""Every attempt leaves a record: what was expected, what was seen, what came of it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, Schema, write_deltalake
from deltalake.exceptions import DeltaError

from expectations.verdict import Result
from jobs.batches import Batch
from jobs.errors import first_line
from jobs.publish import Staged
from jobs.warehouse import Warehouse
from schemas.quality_results import QUALITY_RESULTS


def record(warehouse: Warehouse, run_id: str, staged: Staged, outcome: str) -> None:
    """Appends the audit of one batch to the quality results.

    "passed" is written before the commit, so that no batch is published without a record; whether it
    was, its table's log says.
    """
    days = sorted(day for day in staged.profile.days if day)
    about = _about(run_id, staged.batch, days, staged.profile.rows, outcome)
    append_results(warehouse, about, staged.verdict.results)


def record_failure(warehouse: Warehouse, run_id: str, batch: Batch, problem: Exception) -> None:
    """That a batch could not even be audited. What stopped it matters more than a record of it."""
    result = Result(
        "expect_batch_to_be_staged", None, "critical", False, first_line(problem), "staged and read back"
    )
    try:
        append_results(warehouse, _about(run_id, batch, list(batch.days or ()), 0, "failed"), [result])
    except (DeltaError, OSError) as also:
        print(f"  (and there is no record of it: {first_line(also)})", file=sys.stderr)


def _about(run_id: str, batch: Batch, days: list[date], rows: int, outcome: str) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "attempt_id": batch.attempt,
        "table_name": batch.table,
        "batch_id": batch.id,
        "first_ds": min(days, default=None),
        "last_ds": max(days, default=None),
        "rows": rows,
        "outcome": outcome,
    }


def append_results(warehouse: Warehouse, about: dict[str, Any], results: Iterable[Result]) -> None:
    """One row per expectation; a small table, so the driver writes it without Spark."""
    checked_at = datetime.now(UTC)
    rows = [{**about, "checked_at": checked_at, **vars(result)} for result in results]
    schema = pa.schema(Schema.from_json(QUALITY_RESULTS.struct().json()).to_arrow())
    write_deltalake(_path(warehouse), pa.Table.from_pylist(rows, schema=schema), mode="append")


def read_results(warehouse: Warehouse, run_id: str | None = None) -> list[dict[str, Any]]:
    """The results of one run, or of the newest."""
    import pyarrow.dataset as pads

    if not DeltaTable.is_deltatable(_path(warehouse)):
        return []
    rows = pads.dataset(DeltaTable(_path(warehouse)).file_uris()).to_table().to_pylist()
    newest = max(rows, key=lambda row: row["checked_at"], default={"run_id": None})["run_id"]
    return [row for row in rows if row["run_id"] == (run_id or newest)]


def newest_day(warehouse: Warehouse, table: str) -> date | None:
    state = warehouse.state(table)
    return state.days[-1] if state and state.days else None


def _path(warehouse: Warehouse) -> str:
    return warehouse.path("quality", "results")
