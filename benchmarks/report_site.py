"""What `segue report --site` takes, on a root that is laid here, without Spark.

    python benchmarks/report_site.py                        # 30 tables, 90 nights: laid in about three minutes
    python benchmarks/report_site.py --nights 28 --days 28

Each night commits a day of every table, with an audit of 40 expectations, and makes a release; every tenth batch
warns, every thirtieth is refused. Every number has a profile of each day. Then the site is written, and the index alone
is made of 1,000 batches.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP), str(TOP / "tests")]
GROUPS = 6
EXPECTATIONS = 40
DECLARATIONS = (
    "from schemas.declarations import Feature, FeatureGroup\nfrom schemas.starting_set import *\n"
    + "".join(
        f'G{n} = FeatureGroup("g{n}_features", ("user_id",), "Made up.", '
        f'(Feature("plays", "count", "play_id", "plays", ("7d",)),))\n'
        for n in range(GROUPS)
    )
)
ROWS = 5


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--nights", type=int, default=90)
    add("--days", type=int, help="that the site shows (default: all nights)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "declared.py").write_text(DECLARATIONS)
        (folder / "segue.toml").write_text('declarations = ["declared.py"]\n')
        os.environ |= {"SEGUE_PROJECT": name, "SEGUE_DECLARATIONS": str(folder / "declared.py")}
        tables = lay_nights(str(folder / "root"), args.nights)
        print(f"{os.cpu_count()} cores; {tables} tables, {args.nights} nights")
        measure(str(folder / "root"), folder / "site", args.days or args.nights)


def measure(root: str, site: Path, days: int) -> None:
    from jobs.health.root import open_root
    from jobs.site import write
    from jobs.site.read import read_root

    start = time.perf_counter()
    facts = read_root(open_root(root), days, "Segue")
    report("read", start)
    measure_index(facts)
    start = time.perf_counter()
    write.write_site(root, str(site), days)
    report(f"the whole site of {days} days, read and written", start)
    sizes = sorted(((path.stat().st_size, path.name) for path in site.rglob("*.html")), reverse=True)
    total = sum(size for size, _ in sizes)
    print(f"{len(sizes):,} pages, {total / 2**20:.0f} MiB; the largest {sizes[0][1]}, {sizes[0][0]:,} bytes")


def measure_index(facts: Any) -> None:
    """Of the newest 1,000 batches, as far as there are so many."""
    from dataclasses import replace

    from expectations.site.site import Site

    newest = {each.attempt_id for each in facts.attempts[-1000:]}
    tables = [
        replace(table, attempts=[each for each in table.attempts if each.attempt_id in newest])
        for table in facts.tables
    ]
    start = time.perf_counter()
    Site(replace(facts, tables=tables)).render_index()
    report(f"the index of {len(newest):,} batches", start)


def report(what: str, start: float) -> None:
    print(f"{time.perf_counter() - start:>7.2f} s   {what}", flush=True)


# --- the root


def lay_nights(root: str, nights: int) -> int:
    """How many tables it has."""
    from jobs import TABLES
    from jobs.publishing.record_tables import RESULTS
    from jobs.publishing.warehouse import Warehouse
    from segue.releases import TableVersion, append_release

    warehouse, today = Warehouse(root), datetime.now(UTC).date()
    # late plays would be found to be wrong
    tables = [table for table in TABLES if table != "late_plays"]
    days = [today - timedelta(days=night) for night in range(nights, 0, -1)]
    for place, table in enumerate(tables):
        lay_table(warehouse, table, days)
        rows = [row for n, day in enumerate(days) for row in list_results(table, place, n, day)]
        RESULTS.append(warehouse, rows)
    lay_profiles(warehouse, tables, days)
    versions = {
        table: TableVersion(version, ROWS, f"{version:016x}")
        for table, version in last_versions(warehouse, tables)
    }
    for day in days[-35:]:
        append_release(root, day, versions)
    return len(tables)


def last_versions(warehouse: Any, tables: list[str]) -> Iterator[tuple[str, int]]:
    return ((table, warehouse.table(table).version()) for table in tables)


def lay_table(warehouse: Any, table: str, days: list[date]) -> None:
    """A commit for each day, as a night publishes it."""
    import pyarrow as pa
    from deltalake import CommitProperties, write_deltalake

    from jobs.publishing.state import DayState, TableState
    from reference.batches import batch
    from reference.laid_flow import FITTING_VALUES
    from reference.rows import complete_rows
    from schemas import CONTRACTS

    contract = CONTRACTS[table]
    log, state = warehouse.create(contract), TableState(1)
    schema = pa.schema(log.schema())
    for n, day in enumerate(days):
        key = day if contract.by_day else None
        state = state.replace_days({key: DayState(ROWS * 1000 + n, n, n, f"{table}{n}")}, [key])
        rows = batch(contract, ROWS, **FITTING_VALUES, version_id=f"v{day}")
        records = complete_rows([row | ({"ds": day} if "ds" in row else {}) for row in rows], contract)
        metadata = {"kind": "publish", "batch": f"{table}{n}-1", "state": state.dumps()}
        write_deltalake(
            log,
            pa.Table.from_pylist(records, schema=schema),
            mode="append",
            commit_properties=CommitProperties(custom_metadata={"userMetadata": json.dumps(metadata)}),
        )


def lay_profiles(warehouse: Any, tables: list[str], days: list[date]) -> None:
    """Of every number of every table, as nights record them."""
    import numpy as np

    from expectations.column_profiles import NUMBER, ColumnProfile, bin_of
    from jobs.publishing.record_tables import PROFILES
    from schemas import CONTRACTS

    random = np.random.default_rng(1)
    for table in tables:
        columns = [c.name for c in CONTRACTS[table].columns if c.type in ("bigint", "int", "double")]
        rows = []
        for n, day in enumerate(days):
            values = random.lognormal(2, 1, 2000)
            bins, counts = np.unique(bin_of(values), return_counts=True)
            profile = ColumnProfile(
                NUMBER,
                2000,
                n % 7,
                0,
                9.0,
                4.0,
                0.1,
                80.0,
                dict(zip(bins.tolist(), counts.tolist(), strict=True)),
                1990,
            )
            about = {
                "run_id": f"run-{day}",
                "attempt_id": f"{table}-{n}",
                "table_name": table,
                "batch_id": f"{table}{n}-1",
            }
            about |= {"appends": False, "outcome": "passed", "ds": day, "profiled_at": datetime.now(UTC)}
            rows += [{**about, "column": column, **profile.to_row()} for column in columns]
        PROFILES.append(warehouse, rows)


def list_results(table: str, place: int, n: int, day: date) -> Iterator[dict[str, Any]]:
    outcome = "refused" if (place + n) % 30 == 7 else "passed"
    warns = (place + n) % 10 == 3
    checked_at = datetime(day.year, day.month, day.day, 4, tzinfo=UTC) + timedelta(days=1, minutes=place)
    for k in range(EXPECTATIONS):
        severity = "critical" if k < EXPECTATIONS // 2 else "warning"
        success = not (k == 0 and outcome == "refused") and not (k > EXPECTATIONS - 3 and warns)
        yield {
            "run_id": f"run-{day}",
            "attempt_id": f"{table}-{n}",
            "table_name": table,
            "batch_id": f"{table}{n}-1",
            "first_ds": day,
            "last_ds": day,
            "rows": ROWS * 1000 + n,
            "outcome": outcome,
            "checked_at": checked_at,
            "expectation": "expect_column_values_to_not_be_null",
            "column": f"column_{k}",
            "severity": severity,
            "success": success,
            "observed": f"{n:,} of 5,000 rows are null",
            "expected": "not null",
            "unexpected_count": 0 if success else n,
            "reason": "a row without it means nothing to those who read it",
            "owner": "the team",
        }


if __name__ == "__main__":
    main()
