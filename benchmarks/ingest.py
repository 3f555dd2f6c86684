"""What the ingest of a file costs against Spark's bare read and Delta write of it; and a day's, by how many lie behind.

    PYTHONPATH=. python benchmarks/ingest.py                                # 10,000,000 plays, and 20,000 a day
    PYTHONPATH=. python benchmarks/ingest.py --rows 1000000 --rounds 3 --only file

The file: plays in the order of their times, some of them twice, some no plays. Bare is Spark's CSV reader with a schema
and an append to a new Delta table: no check, no reject, no order, no audit, no days. Both run in a process of their
own, with the same settings of the session, and take turns. Seconds, and CPU seconds of JVM and Python, which other work
on the machine moves less, are from the open session to the end.

A day: its plays are ingested after a short and after a long history of as many plays a day, which differ in nothing
else. Ids are drawn at random, so that any day could hold any of them; or they rise with time; or there are none, and
they are derived. Medians are printed, and the ratios.
"""

from __future__ import annotations

import argparse
import binascii
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake.transaction import AddAction
from pyspark.sql import SparkSession

from jobs import ingest_plays
from jobs.publishing.commits import Change, next_commit_time, swap
from jobs.publishing.state import DayState, TableState
from jobs.publishing.warehouse import Warehouse
from jobs.session import open_session
from schemas.plays import PLAYS
from segue.buckets import bucket

FIRST = date(2025, 1, 1)
FILE_DAYS = 10
SOURCE = """
name = "test"
header = ["id", "who", "track", "artist", "at", "ms", "length"]
[plays]
user_id = "who"
track_id = "track"
artist_id = "artist"
played_at = "at"
ms_played = "ms"
track_ms = "length"
"""
WITH_IDS = 'play_id = "id"\n'
SCHEMA = "id string, who string, track string, artist string, at timestamp, ms bigint, length bigint"
USERS = 5000
IDS = ("random", "ordered", "derived")
DUPLICATES, BROKEN = 100, 1000
Cost = tuple[float, float]


def main() -> None:
    args = _parse_arguments()
    if args.run:
        _run(*args.run)
        return
    packages = ", ".join(f"{name} {version(name)}" for name in ("pyspark", "delta-spark", "deltalake"))
    print(f"{os.cpu_count()} cores, {packages}, medians of {args.rounds}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "derived.toml").write_text(SOURCE)
        (folder / "ids.toml").write_text(SOURCE + WITH_IDS)
        if args.only != "day":
            _compare_with_bare(folder, args)
        for kind in () if args.only == "file" else args.ids:
            _compare_histories(folder, args, kind)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000_000, help="of the file")
    parser.add_argument("--plays-a-day", type=int, default=20_000)
    parser.add_argument("--days", type=int, nargs=2, default=(30, 365), metavar=("SHORT", "LONG"))
    parser.add_argument("--ids", nargs="+", choices=IDS, default=IDS, help="of the plays of days")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", choices=("file", "day"))
    parser.add_argument("--run", nargs="+", help=argparse.SUPPRESS)
    return parser.parse_args()


# --- a file


def _compare_with_bare(folder: Path, args: argparse.Namespace) -> None:
    _run_process("lay", str(folder / "plays.csv"), str(args.rows))
    size = (folder / "plays.csv").stat().st_size / 2**20
    print(
        f"{args.rows:,} plays of {FILE_DAYS} days, {size:,.0f} MiB, one of {DUPLICATES} twice, one of {BROKEN} no play"
    )
    costs: dict[str, list[Cost]] = {"bare": [], "ingest": []}
    for _ in range(args.rounds):
        for each in costs:
            root = folder / each
            cost = _run_process(each, str(root), str(folder / "ids.toml"), str(folder / "plays.csv"))
            print(f"  {each}: {cost[0]:.1f} s, {cost[1]:.1f} s of CPU", flush=True)
            costs[each].append(cost)
            shutil.rmtree(root)
    _print_ratio(costs, "ingest")


def _print_ratio(costs: Mapping[str, Sequence[Cost]], what: str) -> None:
    """Of the second to the first."""
    for n, unit in enumerate(("seconds", "CPU seconds")):
        (peer, less), (name, more) = ((each, median(cost[n] for cost in of)) for each, of in costs.items())
        print(f"{what}, {unit}: {more:.1f} {name}, {less:.1f} {peer}: {more / less:.2f} x", flush=True)


def _run_process(*arguments: str) -> Cost:
    command = [sys.executable, __file__, "--run", *arguments]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    *lines, cost = printed.splitlines()
    print("\n".join(f"    {line}" for line in lines), flush=True)
    seconds, cpu = json.loads(cost)
    return seconds, cpu


def _count_cpu_seconds(spark: SparkSession) -> float:
    pid = spark.sparkContext._jvm.ProcessHandle.current().pid()  # type: ignore[union-attr]
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK") + time.process_time()


def _run(what: str, path: str, *arguments: str) -> None:
    """Prints what it cost, last."""
    log = Path(path).parent / f"{what}.log"
    if what == "lay":
        _lay_file(path, int(arguments[0]), log)
        print("[0, 0]")
        return
    spark = open_session("ingest", log)
    before, started = _count_cpu_seconds(spark), time.perf_counter()
    source, file = arguments
    if what == "bare":
        spark.read.schema(SCHEMA).csv(file).write.format("delta").save(path)
    else:
        assert ingest_plays.main(["--root", path, "--source", source, "--input", file]) == 0
    print(json.dumps((time.perf_counter() - started, _count_cpu_seconds(spark) - before)))


def _lay_file(path: str, rows: int, log: Path) -> None:
    spark = open_session("lay", log)
    # a duplicate is the line of before once more, with what else there is the same
    row = f"if(id % {DUPLICATES} = 1, id - 1, id)"
    seconds = f"cast({row} * {FILE_DAYS * 86_400 / rows} as bigint)"
    start = int(datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=UTC).timestamp())
    columns = (
        f"md5(cast({row} as string))",
        f"concat('u', pmod(xxhash64({row}), 200000))",
        f"concat('t', pmod(xxhash64({row}, 1), 50000))",
        f"concat('a', pmod(xxhash64({row}, 1), 9000))",
        f"date_format(timestamp_seconds({start} + {seconds}), \"yyyy-MM-dd'T'HH:mm:ss'Z'\")",
        f"if(id % {BROKEN} = 7, 'none', cast(pmod(xxhash64({row}, 2), 240000) as string))",
        "'240000'",
    )
    lines = spark.range(rows).selectExpr(f"concat_ws(',', {', '.join(columns)})")
    lines.coalesce(1).write.text(f"{path}.parts")
    (part,) = Path(f"{path}.parts").glob("part-*")
    part.rename(path)
    shutil.rmtree(f"{path}.parts")


# --- a day after others


def _compare_histories(folder: Path, args: argparse.Namespace, kind: str) -> None:
    last = FIRST + timedelta(days=max(args.days))
    file = folder / f"{kind}.csv"
    file.write_text("".join(_make_lines(last, args.plays_a_day, kind)))
    source = folder / ("derived.toml" if kind == "derived" else "ids.toml")
    for days in args.days:
        _lay_history(folder / f"{kind}-{days}", last, days, args.plays_a_day, kind)
    costs: dict[str, list[Cost]] = {f"after {days} days": [] for days in args.days}
    for _ in range(args.rounds):
        for days, each in zip(args.days, costs, strict=True):
            root = shutil.copytree(folder / f"{kind}-{days}", folder / f"{kind}-{days}-night")
            costs[each].append(_run_process("ingest", str(root), str(source), str(file)))
            print(f"  {each}: {costs[each][-1][0]:.1f} s, {costs[each][-1][1]:.1f} s of CPU", flush=True)
            shutil.rmtree(root)
    _print_ratio(costs, f"a day of {args.plays_a_day:,} plays, ids {kind}")


def _make_lines(day: date, count: int, kind: str) -> Iterator[str]:
    draw, midnight = random.Random(1), datetime(day.year, day.month, day.day, tzinfo=UTC)
    for n in range(count):
        at = (midnight + timedelta(seconds=n * 86_400 // count)).strftime("%Y-%m-%dT%H:%M:%SZ")
        id_ = draw.randbytes(16).hex() if kind == "random" else f"{day:%Y%m%d}-{n:07}"
        user, track = draw.randrange(USERS), draw.randrange(50_000)
        yield f"{id_},u{user},t{track},a{track % 9000},{at},{draw.randrange(240_000)},240000\n"


def _lay_history(root: Path, until: date, days: int, plays_a_day: int, kind: str) -> None:
    """As ingests of before would have published it: a file a day, in one commit."""
    warehouse = Warehouse(str(root))
    table = warehouse.create(PLAYS)
    schema = pa.schema(table.schema())
    draw, state, adds = np.random.default_rng(1), TableState(0), []
    now = next_commit_time(state)
    for day in (until - timedelta(days=n) for n in range(days, 0, -1)):
        rows = _make_plays(draw, day, plays_a_day, kind)
        path = f"batch-{day}-1/part-0.parquet"
        written = Path(warehouse.table_path(PLAYS.name), path)
        written.parent.mkdir(parents=True)
        names = [name for name in schema.names if name not in PLAYS.partitions]
        pq.write_table(rows.select(names).cast(pa.schema([schema.field(name) for name in names])), written)
        size, stats = written.stat().st_size, json.dumps({"numRecords": plays_a_day})
        adds.append(AddAction(path, size, {"ds": str(day), "available_at": now}, 0, True, stats))
        state = state.replace_days({day: DayState(plays_a_day, 1, 1, "laid")}, ())
    swap(table, Change("laid", "publish", TableState(0, state.day_states, now), adds))


def _make_plays(draw: np.random.Generator, day: date, count: int, kind: str) -> pa.Table:
    users = draw.integers(0, USERS, count)
    buckets = _find_buckets()[users]
    midnight = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
    instants = (midnight + draw.integers(0, 86_400, count)) * 1_000_000
    order = np.lexsort((instants, users, buckets))
    tracks = draw.integers(0, 50_000, count)
    columns = {
        "play_id": _make_ids(draw, day, count, kind),
        "user_id": _name("u", users[order]),
        "track_id": _name("t", tracks),
        "artist_id": _name("a", tracks % 9000),
        "played_at": pa.array(instants[order], pa.timestamp("us", "UTC")),
        "ms_played": pa.array(draw.integers(0, 240_000, count)),
        "track_ms": pa.array(np.full(count, 240_000)),
        **{
            name: pa.nulls(count, type_)
            for name, type_ in (("skipped", "bool"), ("saved", "bool"), ("source_session_id", "string"))
        },
        "source": pa.array(["test"] * count),
        "bucket": pa.array(buckets[order]),
    }
    return pa.table(columns)


@cache
def _find_buckets() -> np.ndarray:
    return np.array([bucket(f"u{user}", PLAYS.buckets) for user in range(USERS)], np.int32)


def _make_ids(draw: np.random.Generator, day: date, count: int, kind: str) -> pa.Array:
    if kind == "ordered":
        return pa.array([f"{day:%Y%m%d}-{n:07}" for n in draw.permutation(count)])
    # 16 bytes as 32 digits, 20 as the 40 of a derived one
    width = 16 if kind == "random" else 20
    digits = binascii.hexlify(draw.bytes(width * count))
    return pa.array(np.frombuffer(digits, f"S{2 * width}").astype(str))


def _name(letter: str, numbers: np.ndarray) -> pa.Array:
    return pc.binary_join_element_wise(letter, pa.array(numbers).cast("string"), "")


if __name__ == "__main__":
    main()
