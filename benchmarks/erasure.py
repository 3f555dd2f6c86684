"""What `segue forget` reads and rewrites to erase one listener of many, by how many files a day has.

    PYTHONPATH=. python benchmarks/erasure.py
    PYTHONPATH=. python benchmarks/erasure.py --listeners 1000000 --days 365 --files 64

A table with a row of every listener on every day, laid by pyarrow as flows lay it: a day is --files files, each a range
of buckets. The listener is in one file of each day. For each number of files, in a process of its own: which share of
the table's bytes are files that the log then drops, the files that replace them, and what the processes of the command
read, by all of its passes: rows are looked for, copied, hashed before and after, shuffled to their files, and once more
looked for. Beside it is the size that a day must have for so many files with `file_megabytes` as it comes; the share of
a smaller file is the same.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from apart import run_apart
from key_lookups import lay_listeners
from thread_cpu import find_jvms

from jobs import forget
from jobs.publishing.layout import MEGABYTE, find_file_bytes
from jobs.session import open_session
from segue.storage import Snapshot, find_table, table_uri

TABLE = "user_embeddings"
LISTENER = "u1"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--listeners", type=int, default=100_000)
    add("--days", type=int, default=60)
    add("--files", type=int, nargs="+", default=[1, 16, 64], help="of a day, up to 64")
    add("--dimensions", type=int, default=16, help="of two vectors in each row")
    add("--run", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        print(json.dumps(erase(args.run)))
        return
    packages = ", ".join(f"{name} {version(name)}" for name in ("pyspark", "delta-spark", "deltalake"))
    print(f"{os.cpu_count()} cores, {packages}; {args.listeners:,} listeners, {args.days} days", flush=True)
    print("files a day, MiB of a day, a day of default files;   dropped  written     read   seconds")
    for files in args.files:
        with tempfile.TemporaryDirectory() as root:
            lay_listeners(Path(root), args.listeners, args.dimensions, args.days, files)
            found = run_apart(__file__, root)
        size = found["bytes"]
        shares = "".join(f"{found[name] / size:9.2%}" for name in ("dropped", "written", "read"))
        default = files * find_file_bytes(TABLE) / MEGABYTE / 1024
        about = f"{files:11}, {size / args.days / MEGABYTE:12.1f}, {default:14.2f} GiB"
        print(f"{about};{shares}{found['seconds']:10.1f}", flush=True)


def erase(root: str) -> dict[str, float]:
    """Bytes of the table, and what its erasure took."""
    before, days = _list_files(root), len(Snapshot.at(table_uri(root, TABLE), 1).days)
    open_session("erasure", Path(root, "logs", "spark.log"))
    (jvm,) = find_jvms(os.getpid())
    with tempfile.TemporaryDirectory() as small:
        # first, as classes and modules are read from files too
        lay_listeners(Path(small), 1000, days=2)
        _forget(small, days=2)
    read, started = _count_read(jvm), time.monotonic()
    _forget(root, days)
    seconds, read = time.monotonic() - started, _count_read(jvm) - read
    after = _list_files(root)
    return {
        "bytes": sum(before.values()),
        "dropped": sum(before[path] for path in before.keys() - after.keys()),
        "written": sum(after[path] for path in after.keys() - before.keys()),
        "read": read,
        "seconds": seconds,
    }


def _forget(root: str, days: int) -> None:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        code = forget.main(["--root", root, "--user", LISTENER])
    assert code == 0 and f"{days:,} rows erased" in printed.getvalue(), printed.getvalue()


def _list_files(root: str) -> dict[str, int]:
    """Bytes of each file of the table."""
    path = table_uri(root, TABLE)
    table = find_table(path)
    assert table is not None
    return {file.path: file.bytes for file in Snapshot(path, table).files}


def _count_read(jvm: int) -> int:
    # by any means, of this process and of Spark's; what Linux keeps in memory counts as well
    return sum(int(Path(f"/proc/{pid}/io").read_text().split()[1]) for pid in ("self", jvm))


if __name__ == "__main__":
    main()
