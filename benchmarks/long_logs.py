"""What the driver holds of tables with years of days behind them, on a root whose logs are laid here, without Spark.

    python benchmarks/long_logs.py                         # three years of nights: some minutes to lay
    python benchmarks/long_logs.py --commits-a-day 24      # and of hours
    python benchmarks/long_logs.py --root FOLDER           # keeps the root, or measures one that is there

plays gets files of new days, user_features is made again for the newest three days by every commit, as late plays make
it. A day is --files files: what 30 million plays a day need at 128 MiB each. All are one small Parquet file by many
names: logs, listings and footers are as long as they would be, rows and bytes are not. The log goes back --log-days,
its newest checkpoint a week. Each operation is measured in a process of its own: seconds, CPU, and the largest resident
set; what the imports take is said first. What it publishes and releases stays in the root.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP), str(TOP / "tests")]

from apart import run_apart  # noqa: E402
from deltalake import DeltaTable  # noqa: E402
from deltalake.transaction import AddAction  # noqa: E402
from pyarrow.fs import LocalFileSystem  # noqa: E402

from jobs.publishing import commits  # noqa: E402
from jobs.publishing.batches import Batch, is_published  # noqa: E402
from jobs.publishing.retention import checkpoint, clean_log, vacuum  # noqa: E402
from jobs.publishing.selection import Selection  # noqa: E402
from jobs.publishing.state import DayState, TableState, digest  # noqa: E402
from jobs.publishing.warehouse import LOG_LIFE, Warehouse  # noqa: E402
from schemas import CONTRACTS  # noqa: E402
from segue.log import find_commit, read_actions  # noqa: E402
from segue.releases import append_release  # noqa: E402

PLAYS, FEATURES = "plays", "user_features"
REOPENED = 3
CHECKPOINT_AGE = timedelta(days=7)
KEYS = 1000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--days", type=int, default=3 * 365, help="of history (%(default)s)")
    add("--commits-a-day", type=int, default=1, help="of user_features (%(default)s)")
    add("--log-days", type=int, default=LOG_LIFE.days, help="that the log goes back (%(default)s)")
    add("--files", type=int, default=16, help="of a day (%(default)s)")
    add("--root", help="where to lay it; what is there is measured")
    add("--only", nargs="+", choices=list(OPERATIONS))
    add("--run", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        print(json.dumps(measure(*args.run)))
        return
    with tempfile.TemporaryDirectory() as name:
        root = args.root or name
        if not Path(root, "tables").exists():
            lay_history(Warehouse(root), args)
        print(f"{os.cpu_count()} cores, {args.days} days, {args.commits_a_day} commits a day")
        describe_log(Path(root, "tables", FEATURES, "_delta_log"))
        print(f"{'':<44}seconds    CPU s    MiB")
        for operation in args.only or OPERATIONS:
            found = run_apart(__file__, operation, root)
            print(
                f"{operation:<12}{found['what']:<30}{found['seconds']:>9.2f}{found['cpu']:>9.2f}{found['mib']:>7.0f}",
                flush=True,
            )


# --- the root


def lay_history(warehouse: Warehouse, args: argparse.Namespace) -> None:
    today = datetime.now(UTC).date()
    days = [today - timedelta(days=n) for n in range(args.days, 0, -1)]
    for table in (PLAYS, FEATURES):
        start = time.perf_counter()
        commits_a_day = args.commits_a_day if table == FEATURES else 1
        History(warehouse, table, args.files).lay(days, commits_a_day, timedelta(days=args.log_days))
        print(f"{table}: laid in {time.perf_counter() - start:.0f} s", flush=True)
    versions = Selection.newest(warehouse, (PLAYS, FEATURES)).entries
    append_release(warehouse.root, days[-1], versions)


class History:
    """A table and its log, commit by commit, as `swap` writes them."""

    def __init__(self, warehouse: Warehouse, table: str, files: int) -> None:
        self.warehouse, self.contract, self.files = warehouse, CONTRACTS[table], files
        self.log = warehouse.create(self.contract)
        self.folder = Path(warehouse.table_path(table))
        self.template = lay_template(self.contract, self.folder)
        self.names: dict[date, list[str]] = {}
        self.state = TableState(self.log.version())

    def lay(self, days: list[date], commits_a_day: int, log_life: timedelta) -> None:
        log_starts = days[-1] - log_life
        # of days that the log does not reach back to, one commit
        self.publish([day for day in days if day <= log_starts], str(log_starts))
        checkpointed = False
        for day in [day for day in days if day > log_starts]:
            for n in range(commits_a_day):
                reopened = REOPENED if self.contract.daily else 1
                self.publish([day - timedelta(days=ago) for ago in range(reopened)], f"{day} {n}")
            if not checkpointed and day >= days[-1] - CHECKPOINT_AGE:
                checkpoint(self.log, 0)
                checkpointed = True
        self.age_entries(log_life)

    def publish(self, days: list[date], about: str) -> None:
        at = commits.next_commit_time(self.state)
        parts = {day: self.make_day(day, about) for day in days}
        adds = [add for day in days for add in self.add_files(day, about, at)]
        removes = (
            [] if not self.contract.daily else [name for day in days for name in self.names.get(day, ())]
        )
        if self.contract.daily:
            earlier = commits.record_earlier(self.log, self.state, days, adds, at)
            self.names |= {day: [] for day in days}
        else:
            earlier = self.state.earlier
            parts = {
                d: self.state.day_states[d].plus(p) if d in self.state.day_states else p
                for d, p in parts.items()
            }
        for add in adds:
            self.names.setdefault(date.fromisoformat(add.partition_values["ds"] or ""), []).append(add.path)
        state = replace(self.state.replace_days(parts, days), published_at=at, earlier=earlier)
        change = commits.Change(
            f"{digest(about)}-1",
            "publish",
            state,
            adds,
            removes,
            (f"publish:{digest(about)}", 1),
            {"run": about},
        )
        self.state = commits.swap(self.log, change)
        self.log.update_incremental()

    def make_day(self, day: date, about: str) -> DayState:
        content = int(digest(str(day), about), 16)
        names = (digest("fingerprint", str(day), about), digest("upstream", str(day), about))
        columns = digest("columns") if self.contract.declared else ""
        return DayState(self.template[1] * self.files, content, content, *names, columns)

    def add_files(self, day: date, about: str, at: str) -> Iterator[AddAction]:
        size, rows = self.template
        folder = f"batch-{digest(about, str(day))}-1"
        (self.folder / folder).mkdir()
        for n in range(self.files):
            os.link(self.folder / "template.parquet", self.folder / folder / f"part-{n:05}.parquet")
            buckets = (
                self.contract.buckets * n // self.files,
                self.contract.buckets * (n + 1) // self.files - 1,
            )
            stats = {
                "numRecords": rows,
                "minValues": {"bucket": buckets[0]},
                "maxValues": {"bucket": buckets[1]},
            }
            yield AddAction(
                path=f"{folder}/part-{n:05}.parquet",
                size=size,
                partition_values={"ds": str(day), "available_at": at},
                modification_time=int(time.time() * 1000),
                data_change=True,
                stats=json.dumps(stats),
            )

    def age_entries(self, log_life: timedelta) -> None:
        """As old as the log is long, so that maintenance has the same to do as with a log that grew."""
        entries = sorted((self.folder / "_delta_log").glob("*.json"))
        for n, entry in enumerate(entries):
            then = time.time() - log_life.total_seconds() * (1 - n / len(entries))
            os.utime(entry, (then, then))


def lay_template(contract: Any, folder: Path) -> tuple[int, int]:
    """The one file: its bytes and rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from reference.batches import batch
    from reference.laid_flow import FITTING_VALUES
    from reference.rows import complete_rows

    schema = pa.schema(DeltaTable(str(folder)).schema())
    fields = [field for field in schema if field.name not in contract.partitions]
    rows = complete_rows(batch(contract, 5, **FITTING_VALUES), contract)
    pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema(fields)), folder / "template.parquet")
    return (folder / "template.parquet").stat().st_size, len(rows)


def describe_log(log: Path) -> None:
    entries = sorted(log.glob("*.json"))
    whole = sum(entry.stat().st_size for entry in entries)
    notes = [
        find_commit(read_actions(LocalFileSystem(), str(entry))).get("userMetadata", "") for entry in entries
    ]
    sizes = sorted(len(note) / 1000 for note in notes)
    print(
        f"{FEATURES}: {len(entries):,} entries of {whole / 2**20:,.1f} MiB; what they say of the table: "
        f"{sum(sizes) / 1000:,.1f} MB, an entry {sizes[len(sizes) // 2]:,.1f} kB (median) to {sizes[-1]:,.1f} kB"
    )


# --- what is measured


def measure(operation: str, root: str) -> dict[str, Any]:
    warehouse = Warehouse(root)
    operate = OPERATIONS[operation]
    cpu, start = time.process_time(), time.perf_counter()
    what = operate(warehouse)
    return {
        "what": what,
        "seconds": time.perf_counter() - start,
        "cpu": time.process_time() - cpu,
        "mib": find_peak(),
    }


def find_peak() -> float:
    """The largest resident set in MiB. Not that of `getrusage`, which is its parent's too."""
    (line,) = (
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")
    )
    return int(line.split()[1]) / 1024


def import_only(_: Warehouse) -> str:
    return ""


def open_table(warehouse: Warehouse) -> str:
    table = warehouse.table(FEATURES)
    assert table
    return f"version {table.version():,}"


def state_of(warehouse: Warehouse) -> str:
    state = warehouse.state(FEATURES)
    assert state
    earlier = sum(len(each) for each in (state.earlier or {}).values())
    return f"{len(state.day_states):,} days, {earlier:,} earlier"


def publish_day(warehouse: Warehouse) -> str:
    """The newest day once more, as a job does it but for Spark."""
    from reference.batches import batch
    from reference.laid_flow import FITTING_VALUES
    from reference.staged import LaidJob

    job = LaidJob("benchmark", warehouse.root, "run-benchmark", say=lambda text: None)
    state = warehouse.state(FEATURES)
    assert state
    day = state.days[-1]
    rows = [row | {"ds": day} for row in batch(CONTRACTS[FEATURES], 5, **FITTING_VALUES)]
    # other rows each time that it is measured
    rows[0]["plays_count_7d"] = state.version
    found = job.publish(job.batch(FEATURES, [day], parameters={"version": state.version}), rows)
    return f"{found.kind}, {found.rows} rows"


def look_again(warehouse: Warehouse) -> str:
    """Whether a batch is there already: what every step asks first."""
    state = warehouse.state(FEATURES)
    assert state
    day = state.days[-1]
    batch = Batch(CONTRACTS[FEATURES], state.day_states[day].fingerprint, (day,))
    return f"there: {is_published(warehouse, batch)}"


def release(warehouse: Warehouse) -> str:
    selection = Selection.newest(warehouse, (PLAYS, FEATURES))
    assert selection.day
    return append_release(warehouse.root, selection.day, selection.entries).release_id


def look_up(warehouse: Warehouse) -> str:
    import segue

    rows = segue.open(warehouse.root).lookup(FEATURES, [f"user_id-{n}" for n in range(KEYS)])
    return f"{KEYS - rows['ds'].null_count} of {KEYS} keys"


def verify(warehouse: Warehouse) -> str:
    from jobs.verify import examine

    # the batches that were laid have no records
    wrong = [each for each in examine(warehouse.root) if "quality results" not in each.what]
    return f"{len(wrong)} findings"


def maintain(warehouse: Warehouse) -> str:
    now = datetime.now(UTC)
    table = warehouse.table(FEATURES)
    assert table
    result = vacuum(warehouse, table, FEATURES, now, dry_run=True)
    return f"{result.files:,} files, {clean_log(warehouse, FEATURES, now, dry_run=True):,} entries"


OPERATIONS: dict[str, Callable[[Warehouse], str]] = {
    "imports": import_only,
    "open": open_table,
    "state": state_of,
    "again": look_again,
    "publish": publish_day,
    "release": release,
    "look-up": look_up,
    "verify": verify,
    "maintain": maintain,
}


if __name__ == "__main__":
    main()
