"""Every attempt leaves a record: what was expected, what was seen, what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, Schema, write_deltalake

from expectations.verdict import Result
from jobs.publish import Staged
from jobs.warehouse import Warehouse
from schemas.quality_results import QUALITY_RESULTS


def record(warehouse: Warehouse, run_id: str, staged: Staged, outcome: str) -> None:
    """Appends the audit of one batch to the quality results."""
    days = sorted(day for day in staged.profile.days if day)
    about = {
        "run_id": run_id,
        "attempt_id": staged.batch.attempt,
        "table_name": staged.batch.contract.name,
        "batch_id": staged.batch.id,
        "first_ds": days[0] if days else None,
        "last_ds": days[-1] if days else None,
        "rows": staged.profile.rows,
        "outcome": outcome,
    }
    append_results(warehouse, about, staged.verdict.results)


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
