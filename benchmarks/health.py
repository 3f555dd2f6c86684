"""What `segue health` and `segue skew` take, on a root that is laid here, without Spark.

    python benchmarks/health.py                       # 31 tables, 90 nights, a million logged rows: about eight minutes
    python benchmarks/health.py --nights 10 --logged 100000

Each night publishes every table, records 20 expectations and the profiles of all columns of each, and makes a release.
Records of the last week are appended table by table, as a flow does; those of nights before, which `segue maintain` has
joined to few files, at once.
Six declared groups bring the tables that Segue does not. Then rows of user_features are logged as a look-up gave them,
and compared again.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP), str(TOP / "tests")]
GROUPS = 6
EXPECTATIONS = 20
# `segue maintain` runs once a week.
UNJOINED_NIGHTS = 7
# Rows that a profile is made of.
VALUES = 20_000
DECLARATIONS = (
    "from schemas.declarations import Feature, FeatureGroup\nfrom schemas.starting_set import *\n"
    + "".join(
        f'G{n} = FeatureGroup("g{n}_features", ("user_id",), "Made up.", '
        f'(Feature("plays", "count", "play_id", "plays", ("7d",)),))\n'
        for n in range(GROUPS)
    )
)
PROJECT = 'declarations = ["declared.py"]\nschedule = "30 4 * * *"\n[slo]\nreleases = "36h"\nuser_features = "30h"\n'


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--nights", type=int, default=90)
    add("--logged", type=int, default=1_000_000, help="rows (%(default)s)")
    add("--listeners", type=int, default=200_000, help="of the newest day of user_features (%(default)s)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "declared.py").write_text(DECLARATIONS)
        (folder / "segue.toml").write_text(PROJECT)
        os.environ |= {"SEGUE_PROJECT": name, "SEGUE_DECLARATIONS": str(folder / "declared.py")}
        tables = lay_nights(str(folder / "root"), args.nights, args.listeners)
        log_rows(str(folder / "root"), folder / "served.parquet", args.logged)
        print(f"{os.cpu_count()} cores; {tables} tables, {args.nights} nights")
        run(folder, "health", "--root", str(folder / "root"))
        run(folder, "skew", "--root", str(folder / "root"), "--logged", str(folder / "served.parquet"))


def lay_nights(root: str, nights: int, listeners: int) -> int:
    """How many tables it has."""
    from deltalake import DeltaTable

    from expectations.verdict import Result
    from jobs import TABLES
    from jobs.publishing.record_tables import PROFILES, RECORD_TABLES, RESULTS
    from jobs.publishing.records import make_result_rows
    from jobs.publishing.retention import checkpoint, last_checkpoint
    from jobs.publishing.warehouse import Warehouse
    from reference.batches import batch
    from reference.laid_flow import FITTING_VALUES
    from reference.published import lay
    from schemas import CONTRACTS
    from segue.releases import TableVersion, append_release

    warehouse, today = Warehouse(root), datetime.now(UTC).date()
    # late plays would be found to be wrong
    tables = [table for table in TABLES if table != "late_plays"]
    results = [Result(f"expect_{n}", "x", "critical", True, "seen", "wanted") for n in range(EXPECTATIONS)]
    for night in range(nights, 0, -1):
        day, versions = today - timedelta(days=night), {}
        verdicts: list[dict[str, object]] = []
        profiles: list[dict[str, object]] = []
        for table in tables:
            many = listeners if (table, night) == ("user_features", 1) else 5
            rows = batch(CONTRACTS[table], many, **FITTING_VALUES, version_id=f"v{day}")
            version = lay(warehouse, table, [row | _of_day(row, day) for row in rows])
            versions[table] = TableVersion(version, many, f"{version:016x}")
            about = {"run_id": f"run-{day}", "attempt_id": f"{table}-{day}", "table_name": table}
            about |= {
                # the fingerprint that `lay` gives to its days
                "batch_id": "test-1",
                "first_ds": day,
                "last_ds": day,
                "rows": many,
                "outcome": "passed",
            }
            verdicts += make_result_rows(about, results)
            profiles += list_profiles(about, day)
            if night <= UNJOINED_NIGHTS or table == tables[-1]:
                RESULTS.append(warehouse, verdicts)
                PROFILES.append(warehouse, profiles)
                verdicts, profiles = [], []
        append_release(root, day, versions)
        if not night % UNJOINED_NIGHTS:
            # of `segue maintain`, once a week, what makes logs and records quick to read
            for record in RECORD_TABLES:
                record.compact(warehouse)
            for table in tables:
                path = warehouse.table_path(table)
                checkpoint(DeltaTable(path), last_checkpoint(warehouse, path))
    return len(tables)


def list_profiles(about: dict[str, object], day: date) -> list[dict[str, object]]:
    """Of each column, as of a day of many rows."""
    import numpy as np

    from expectations.column_profiles import NUMBER, TEXT, ColumnProfile, bin_of
    from expectations.column_tallies import list_kinds
    from schemas import CONTRACTS

    random, rows = np.random.default_rng(day.toordinal()), []
    # as many as the day has, or it would not be compared; the bins are of a day of many
    count = int(str(about["rows"]))
    for column, kind in list_kinds(CONTRACTS[str(about["table_name"])]).items():
        bins, counts = np.unique(bin_of(random.lognormal(3, 1, VALUES)), return_counts=True)
        histogram = dict(zip(bins.tolist(), counts.tolist(), strict=True))
        profile = (
            ColumnProfile(
                TEXT, count, distinct_values=2, top_values={"a": count // 2, "b": count - count // 2}
            )
            if kind == TEXT
            else ColumnProfile(kind, count, mean=33.0 if kind == NUMBER else None, bins=histogram)
        )
        names = ("run_id", "attempt_id", "table_name", "batch_id", "outcome")
        rows.append(
            {name: about[name] for name in names}
            | {"appends": False, "ds": day, "column": column, "profiled_at": datetime.now(UTC)}
            | profile.to_row()
        )
    return rows


def _of_day(row: dict[str, object], day: date) -> dict[str, object]:
    return {"ds": day} if "ds" in row else {}


def log_rows(root: str, path: Path, count: int) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    import segue

    store = segue.open(root)
    listeners = pa.Table.from_batches(
        store.scan("user_features", ["user_id"], store.days("user_features")[-1])
    )
    chosen = np.random.default_rng(1).integers(0, len(listeners), count)
    rows = store.lookup("user_features", pc.take(listeners["user_id"], pa.array(chosen)))
    names = [name if name in ("user_id", "ds") else f"user_features__{name}" for name in rows.column_names]
    pq.write_table(rows.rename_columns(names), path)


def run(folder: Path, *argv: str) -> None:
    start = time.perf_counter()
    process = subprocess.run(
        [sys.executable, "-m", "segue.command", *argv],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - start
    first = (process.stdout or process.stderr).splitlines()[:1]
    print(
        f"segue {argv[0]:<8}{seconds:>7.2f} s   exit code {process.returncode}   {' '.join(first)}",
        flush=True,
    )


if __name__ == "__main__":
    main()
