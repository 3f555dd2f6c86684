"""What erasing one listener reads and rewrites of a table with many days: for `scaling.py`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from key_lookups import lay_listeners

from jobs import forget
from jobs.job import Job
from jobs.publishing.warehouse import Warehouse
from jobs.sizing.meter import record_costs
from jobs.sizing.predict import read_runs
from segue.storage import Snapshot

TABLE = "user_embeddings"


def measure_erasure(folder: Path, listeners: int, days: int, files_a_day: Sequence[int]) -> None:
    print(f"\none of {listeners:,} listeners erased from {days} days, of the table's bytes", flush=True)
    for files in files_a_day:
        root = str(folder / f"erasure of {files}")
        path = lay_listeners(Path(root), listeners, days=days, files=files)
        before = _list_files(root)
        with record_costs("forget"):
            job = Job("forget", root, "run-benchmark", say=lambda text: None)
            forget._erase(job, TABLE, ["u1"])
        gone = before.keys() - _list_files(root).keys()
        assert len(gone) == days, f"{path}: {len(gone)} files were rewritten, expected one of each day"
        read, size = read_runs(Warehouse(root))[0]["bytes_read"], sum(before.values())
        rewritten = sum(before[file] for file in gone)
        print(
            f"  {files:>3} files a day of {size / files / days / 2**20:6.1f} MiB: "
            f"read {read / size:7.2%}, rewritten {rewritten / size:7.2%}",
            flush=True,
        )


def _list_files(root: str) -> dict[str, int]:
    table = Warehouse(root).table(TABLE)
    assert table is not None
    return {file.path: file.bytes for file in Snapshot(table.table_uri, table).files}
