"""What `benchmarks/scaling.py` runs in a Python that has DuckDB: lists of keys in, rows found and what it took out.

    pip install duckdb==1.5.5 duckdb-extension-delta==1.5.5 duckdb-extensions==1.5.5

Without the last two packages DuckDB downloads its extension.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress

import duckdb


def main() -> None:
    path = sys.argv[1]
    connection = duckdb.connect()
    with suppress(ImportError):
        from duckdb_extensions import import_extension

        import_extension("delta")
    connection.sql("install delta")
    connection.sql("load delta")
    print(json.dumps(duckdb.__version__), flush=True)
    for line in sys.stdin:
        names = ", ".join(f"'{key}'" for key in json.loads(line))
        started, cpu = time.perf_counter(), time.process_time()
        query = f"select * from delta_scan('{path}') where user_id in ({names})"
        rows = connection.sql(query).to_arrow_table()
        taken = time.perf_counter() - started, time.process_time() - cpu
        print(json.dumps([sorted(rows["user_id"].to_pylist()), *taken]), flush=True)


if __name__ == "__main__":
    main()
