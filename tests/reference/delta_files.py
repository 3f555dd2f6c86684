"""The rows of a Delta table by delta-rs and pyarrow alone."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable


def rows_of(table: DeltaTable) -> list[dict]:
    """File by file: `DeltaTable.to_pyarrow_table` now and then aborts the process at its end."""
    rows = []
    for file in pa.table(table.get_add_actions(flatten=True)).to_pylist():
        values = {
            name.removeprefix("partition."): file[name] for name in file if name.startswith("partition.")
        }
        path = Path(table.table_uri.removeprefix("file://"), unquote(file["path"]))
        rows += [row | values for row in read_file(path)]
    return rows


def read_newest_rows(root: Path | str, table: str) -> list[dict]:
    """Of the newest version, released or not, without the instant of its commit; none where there is no table."""
    path = f"{root}/tables/{table}"
    rows = rows_of(DeltaTable(path)) if DeltaTable.is_deltatable(path) else []
    return [{name: value for name, value in row.items() if name != "available_at"} for row in rows]


def read_file(path: Path) -> list[dict]:
    return pq.ParquetFile(path).read().to_pylist()
