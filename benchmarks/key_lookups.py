"""A large table of listeners, and look-ups in it by our client, deltalake and DuckDB: for `scaling.py`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.transaction import AddAction

import segue
from jobs.publishing.commits import Change, next_commit_time, swap
from jobs.publishing.staging import PAGES
from jobs.publishing.state import DayState, TableState
from jobs.publishing.warehouse import Warehouse
from schemas.contract import Contract
from schemas.user_embeddings import USER_EMBEDDINGS
from segue.buckets import bucket
from segue.releases import TableVersion, append_release

DAY = date(2026, 1, 1)
REQUESTED = 1000
DIMENSIONS = 64
# As jobs/session.py has the files of a table.
ROW_GROUP_BYTES = 16 * 2**20


def compare_lookups(folder: Path, keys: int, rounds: int, duckdb_python: str | None) -> None:
    root = folder / "lookups"
    path = lay_listeners(root, keys)
    store = segue.open(str(root))
    readers: dict[str, Callable[[list[str]], Taken]] = {
        "segue": lambda requested: _time(lambda: store.lookup("user_embeddings", requested)),
        "deltalake": lambda requested: _time(lambda: _read_by_deltalake(path, requested)),
    }
    if duckdb_python:
        peer = Duckdb(duckdb_python, path)
        readers[f"DuckDB {peer.version}"] = peer.read
    taken: dict[str, list[Taken]] = {name: [] for name in readers}
    for seed in range(rounds + 1):
        # other keys each time: what one look-up read is of no use to the next
        requested = [f"u{n}" for n in Random(seed).sample(range(keys), REQUESTED)]
        for name, read in readers.items():
            taken[name].append(read(requested))
            assert taken[name][-1].found == sorted(requested), f"{name} found other rows"
    print(f"\n{REQUESTED:,} of {keys:,} listeners, {2 * DIMENSIONS} numbers each, warm, median of {rounds}")
    # the first round warms up
    medians = {
        name: (median(each.seconds for each in of[1:]), median(each.cpu for each in of[1:]))
        for name, of in taken.items()
    }
    ours = medians["segue"]
    for name, (seconds, cpu) in medians.items():
        print(
            f"  {name:<14} {seconds * 1000:9.1f} ms, {seconds / ours[0]:6.1f} x segue's; "
            f"CPU {cpu * 1000:9.1f} ms, {cpu / ours[1]:6.1f} x",
            flush=True,
        )
    if not duckdb_python:
        print("  not measured: DuckDB's delta_scan, as no --duckdb-python was given")


class Taken(NamedTuple):
    """One look-up: which keys it found, in order, and what it took."""

    found: list[str]
    seconds: float
    cpu: float


def _time(read: Callable[[], pa.Table]) -> Taken:
    started, cpu = time.perf_counter(), time.process_time()
    rows = read()
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    assert rows["vector"].null_count == 0
    return Taken(sorted(rows["user_id"].to_pylist()), seconds, cpu)


def _read_by_deltalake(path: str, requested: list[str]) -> pa.Table:
    rows = DeltaTable(path).to_pyarrow_dataset()
    return rows.to_table(filter=pads.field("user_id").isin(requested))


class Duckdb:
    """DuckDB, at the other end of a pipe."""

    def __init__(self, python: str, path: str) -> None:
        command = [python, str(Path(__file__).with_name("key_lookups_duckdb.py")), path]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.version = self._answer()

    def read(self, requested: list[str]) -> Taken:
        assert self._process.stdin
        print(json.dumps(requested), file=self._process.stdin, flush=True)
        return Taken(*self._answer())

    def _answer(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, "DuckDB ended: what it said is above"
        return json.loads(line)


# --- the table


def lay_listeners(
    root: Path, keys: int, dimensions: int = DIMENSIONS, days: int = 1, files: int | None = None
) -> str:
    """Days of `user_embeddings` as flows would have published large ones; the last is released.

    Args:
        files: of a day, each a range of buckets; one for each bucket, if not given.

    Returns:
        its path.
    """
    warehouse, contract = Warehouse(str(root)), USER_EMBEDDINGS
    table = warehouse.create(contract)
    path = Path(warehouse.table_path(contract.name))
    now = next_commit_time(TableState(0))
    parts = list(_write_parts(path / "parts", pa.schema(table.schema()), keys, dimensions, files))
    adds, state = [], TableState(0)
    for day in (DAY - timedelta(days=n) for n in range(days)):
        state = state.replace_days({day: DayState(keys, 1, 1, "laid")}, ())
        (path / f"batch-{day}-1").mkdir()
        for file, statistics in parts:
            place = f"batch-{day}-1/{file.name}"
            # the same rows on each day, as the day is in no file
            os.link(file, path / place)
            partition = {"ds": str(day), "available_at": now}
            adds.append(AddAction(place, file.stat().st_size, partition, 0, True, statistics))
    shutil.rmtree(path / "parts")
    swap(table, Change("laid", "publish", TableState(0, state.day_states, now), adds))
    newest = warehouse.table(contract.name)
    assert newest is not None
    append_release(str(root), DAY, {contract.name: TableVersion(newest.version(), keys, "laid")})
    return str(path)


def _write_parts(
    folder: Path, schema: pa.Schema, keys: int, dimensions: int, files: int | None
) -> Iterator[tuple[Path, str]]:
    """The files of a day, and the statistics that a log has of each."""
    contract = USER_EMBEDDINGS
    stored = pa.schema([field for field in schema if field.name not in contract.partitions])
    buckets, count = list(_draw_buckets(contract, keys)), files or contract.buckets
    for number in range(count):
        drawn = [
            (bucket, _draw_rows(users, bucket, stored, dimensions))
            for bucket, users in buckets
            if bucket * count // contract.buckets == number
        ]
        rows = pa.concat_tables([rows for _, rows in drawn])
        _write(rows, folder / f"part-{number}.parquet")
        low, high = {"bucket": drawn[0][0]}, {"bucket": drawn[-1][0]}
        statistics = {"numRecords": len(rows), "minValues": low, "maxValues": high}
        yield folder / f"part-{number}.parquet", json.dumps(statistics)


def _write(rows: pa.Table, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        rows,
        file,
        row_group_size=max(1000, ROW_GROUP_BYTES // (rows.nbytes // len(rows))),
        max_rows_per_page=int(PAGES["parquet.page.row.count.limit"]),
        data_page_size=int(PAGES["parquet.page.size"]),
        # how often a page's bytes are looked at, as in Spark's writer
        write_batch_size=100,
        use_dictionary=[name for name in rows.column_names if name != "user_id"],
        write_page_index=True,
        write_page_checksum=True,
    )


def _draw_buckets(contract: Contract, keys: int) -> Iterator[tuple[int, Any]]:
    ids = np.array([f"u{n}" for n in range(keys)])
    buckets = np.fromiter((bucket(id_, contract.buckets) for id_ in ids), np.int32, keys)
    for number in range(contract.buckets):
        users = np.sort(ids[buckets == number])
        if len(users):
            yield number, users


def _draw_rows(users: Any, number: int, schema: pa.Schema, dimensions: int) -> pa.Table:
    count = len(users)
    numbers = np.random.default_rng(number).random(count * dimensions, np.float32)
    vectors = pa.FixedSizeListArray.from_arrays(numbers, dimensions)
    columns: dict[str, Any] = {
        "user_id": pa.array(users),
        "bucket": pa.array(np.full(count, number, np.int32)),
    }
    for field in schema:
        if field.name not in columns:
            columns[field.name] = _fill(field, vectors, count)
    return pa.table([columns[field.name] for field in schema], schema=schema)


def _fill(field: pa.Field, vectors: pa.Array, count: int) -> pa.Array:
    if pa.types.is_list(field.type):
        return vectors.cast(field.type)
    value = "laid" if pa.types.is_string(field.type) else 1
    return pa.array(np.full(count, value)).cast(field.type)
