"""A few rows of a refused batch for each expectation that they broke: `quality/quarantine/<table>/<attempt>.json`.

Files and no Delta table: what is erased must be gone, and not in an older version.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from expectations.quarantine import (
    MOST_ROWS,
    Quarantine,
    Search,
    iterate_conditions,
    list_searches,
)
from expectations.suite import Suite
from jobs.errors import mask_line
from jobs.messages import LOG
from jobs.pseudonyms import Hash, find_hash
from jobs.publishing.protocol import StagedBatch
from jobs.publishing.staging import read_staged_rows
from jobs.publishing.warehouse import Warehouse
from schemas import Contract

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row, SparkSession

_FOLDER = ("quality", "quarantine")
# Of a value, such as a vector or a title.
_LONGEST_VALUE = 200


def keep_offending_rows(
    spark: SparkSession, warehouse: Warehouse, run_id: str, staged: StagedBatch, suite: Suite
) -> None:
    """Takes rows of a refused batch by one query more. What fails here is logged: the verdict stands without it."""
    try:
        path = staged.path if warehouse.remote else os.path.abspath(staged.path)
        searches = list_searches(suite, staged.batch.contract, staged.verdict, path)
        if searches:
            _write(warehouse, _take(spark, warehouse, run_id, staged, searches))
    except Exception as problem:
        LOG.warning("  (rows that break expectations could not be kept: %s)", mask_line(problem))


def read_quarantine(warehouse: Warehouse, table: str, attempt_id: str) -> Quarantine | None:
    """None where nothing was kept, or where it went with the files of the batch."""
    path = warehouse.inner(_path(warehouse, table, attempt_id))
    with suppress(FileNotFoundError), warehouse.files.open_input_stream(path) as file:
        return Quarantine.loads(file.read().decode())
    return None


def read_quarantines(warehouse: Warehouse, rows: Sequence[Mapping[str, Any]]) -> dict[str, Quarantine]:
    """What was kept of the refused among these results, by attempt."""
    refused = {row["attempt_id"]: row["table_name"] for row in rows if row["outcome"] == "refused"}
    kept = {id_: read_quarantine(warehouse, table, id_) for id_, table in refused.items()}
    return {id_: each for id_, each in kept.items() if each}


def remove_quarantine(warehouse: Warehouse, table: str, before: datetime | None = None) -> set[str]:
    """Removes what was kept of a table's batches: all of it, or what was written before an instant; says of which
    attempts."""
    files = warehouse.list_files(warehouse.path(*_FOLDER, table)).values()
    gone = [info for info in files if before is None or info.mtime < before]
    for info in gone:
        warehouse.files.delete_file(info.path)
    return {info.base_name.removesuffix(".json") for info in gone}


def _write(warehouse: Warehouse, quarantine: Quarantine) -> None:
    warehouse.write(_path(warehouse, quarantine.table, quarantine.attempt_id), quarantine.dumps())


def _path(warehouse: Warehouse, table: str, attempt_id: str) -> str:
    return warehouse.path(*_FOLDER, table, f"{attempt_id}.json")


def _take(
    spark: SparkSession, warehouse: Warehouse, run_id: str, staged: StagedBatch, searches: Sequence[Search]
) -> Quarantine:
    batch, hash_ = staged.batch, find_hash(warehouse, staged.batch.table)
    rows: dict[int, list[Mapping[str, Any]]] = {}
    if any(each.condition or each.by_key for each in searches):
        staged_rows = read_staged_rows(spark, warehouse, staged.path, batch.contract)
        for row in find_offending_rows(staged_rows, batch.contract, searches):
            rows.setdefault(row["place"], []).append(_describe(row, searches[row["place"]], hash_))
    return Quarantine(
        table=batch.table,
        batch_id=batch.id,
        attempt_id=batch.attempt,
        run_id=run_id,
        taken_at=datetime.now(UTC).isoformat(timespec="seconds"),
        hashed=hash_.meaning,
        faults=tuple(search.fault(rows.get(place, ())) for place, search in enumerate(searches)),
    )


def find_offending_rows(rows: DataFrame, contract: Contract, searches: Sequence[Search]) -> list[Row]:
    """Up to `MOST_ROWS` for each search, as its place, the row's key and what may be shown of it as JSON."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    # one scan for all conditions: a row goes on as often as it breaks one, and mostly never
    broken = [F.when(F.expr(sql), F.lit(place)) for place, sql in iterate_conditions(searches)]
    names = sorted({name for each in searches for name in each.columns})
    places = F.explode(F.array_compact(F.array(*broken)) if broken else F.array().cast("array<int>"))
    found = rows.select(places.alias("place"), _key(contract), _to_json(names))
    for place, search in enumerate(searches):
        if search.by_key:
            twice = rows.groupBy(*contract.key).agg(F.count("*").alias("rows")).where("rows > 1")
            found = found.unionAll(twice.select(F.lit(place), _key(contract), _to_json(["rows"])))
    # by a hash, so that the same batch shows the same rows, and none because of where it lies
    by_hash = Window.partitionBy("place").orderBy(F.xxhash64("key"))
    return found.withColumn("nth", F.row_number().over(by_hash)).where(f"nth <= {MOST_ROWS}").collect()


def _key(contract: Contract) -> Any:
    from pyspark.sql import functions as F

    return F.array(*[F.col(name).cast("string") for name in contract.key]).alias("key")


def _to_json(names: Sequence[str]) -> Any:
    from pyspark.sql import functions as F

    shown = F.to_json(F.struct(*names), {"ignoreNullFields": "false"}) if names else F.lit("{}")
    return shown.alias("shown")


def _describe(row: Row, search: Search, hash_: Hash) -> Mapping[str, Any]:
    values = json.loads(row["shown"])
    names = ("rows",) if search.by_key else search.columns
    return {
        "key": hash_(json.dumps(row["key"])),
        "values": {name: _cut(values[name]) for name in names},
    }


def _cut(value: Any) -> Any:
    text = value if isinstance(value, str) else json.dumps(value)
    return value if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]} …"
