"""Delta's transactions of a table: which batches its newest version has, all of them at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow.fs import FileInfo

from jobs.publishing.retention import list_log
from jobs.publishing.warehouse import Warehouse

# Entries of a log are small files: on an object store a round trip each.
OPEN_AT_ONCE = 16
_TRANSACTION = b'{"txn":'


def list_transactions(warehouse: Warehouse, table: str) -> set[str]:
    """Their ids, from the newest checkpoint and the entries since.

    `DeltaTable.transaction_version` replays the log for each: of 400 entries, 24 ms.
    """
    entries = list(list_log(warehouse, warehouse.table_path(table)))
    checkpoints = {version: info for version, info in entries if ".checkpoint." in info.base_name}
    last = max(checkpoints, default=-1)
    ids = set(_read_checkpoint(warehouse, checkpoints[last])) if checkpoints else set()
    newer = [info for version, info in entries if info.extension == "json" and version > last]
    with ThreadPoolExecutor(OPEN_AT_ONCE) as pool:
        return ids.union(*pool.map(partial(_read_entry, warehouse), newer))


def _read_checkpoint(warehouse: Warehouse, info: FileInfo) -> Iterator[str]:
    rows = pq.read_table(info.path, columns=["txn"], filesystem=warehouse.files)["txn"]
    yield from pc.struct_field(rows, "appId").drop_null().to_pylist()


def _read_entry(warehouse: Warehouse, info: FileInfo) -> list[str]:
    with warehouse.files.open_input_stream(info.path) as entry:
        # the state of the table is in there too, which is long and need not be parsed
        lines = [line for line in entry.read().splitlines() if line.startswith(_TRANSACTION)]
    return [json.loads(line)["txn"]["appId"] for line in lines]
