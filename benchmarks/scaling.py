"""How costs grow with the data, as ratios within one run: what anybody can measure of it on two cores.

    PYTHONPATH=. python benchmarks/scaling.py                                # 1, 3, 10 and 30 million plays a day
    PYTHONPATH=. python benchmarks/scaling.py --only lookup --keys 1000000
    PYTHONPATH=. python benchmarks/scaling.py --only plays --plays 20000 60000 200000 600000

plays: a flow of one day of each size, each under a root and in a process of its own, from ingest to release. Of each
step the seconds that tasks held a core and their CPU, by play, at the largest size against the smallest; what it
shuffled, against the bytes of the day's plays as Spark holds them; and what `segue size` says of the largest size, from
the costs of the others, against what it cost. A listener has twelve plays.

skew: a flow of a day of which one track has 5 % of the plays and one listener 1 %: of each step the largest task
against the median, in the stage where they are farthest from each other, beside the same of an even day.

history: a flow of one day with its release and report after a short and after a long history of few plays a day,
which one flow has made before. A track has four plays a day.

lookup: 1,000 keys of a table of listeners, others in each round, against the same table read by deltalake with a
filter, and by DuckDB's `delta_scan` with --duckdb-python; warm, the median of --rounds. CPU seconds change less with
other work on the machine.

case: nights of several sizes under one root, and what `segue size` then says: the figures of docs/size.md.

What an erasure rewrites is in `benchmarks/files.py`, an ingest after a long history in `benchmarks/ingest.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from apart import run_apart
from key_lookups import compare_lookups
from made_up_files import SOURCE, Listening, write_plays
from stopwatch import Times, stopwatch, time_functions

from jobs import flow, show_size
from jobs.job import Job
from jobs.publishing.warehouse import Warehouse
from jobs.sizing import meter
from jobs.sizing.fit import TooFewRuns, fit_costs
from jobs.sizing.predict import KINDS, read_runs

FIRST = date(2026, 1, 1)
PLAYS_OF_A_LISTENER = 12
# Of a long history: a track has a row on every day from its first play on.
PLAYS_OF_A_TRACK = 4
EMBEDDINGS = (
    "train-track-embeddings",
    "build-user-embeddings",
    "build-similar-tracks",
    "build-candidates",
    "build-semantic-ids",
)
HOT, BOT = 0.05, 0.01
MEASURES = ("plays", "skew", "history", "lookup", "case")
CASE = (
    "--listeners 750e6 --plays-per-listener 12 --tracks 100e6 --cores 2000 --hours 8 --task-memory 2 "
    "--driver-memory 16 --executor-memory 64"
)
Runs = Mapping[str, Mapping[str, Any]]


class Place(NamedTuple):
    """Where roots and files are laid, and the steps that flows leave out."""

    folder: Path
    skip: Sequence[str]


def main() -> None:
    args = _parse_arguments()
    if args.run:
        print(json.dumps(_run_flow(*args.run)))
        return
    packages = ", ".join(f"{name} {version(name)}" for name in ("pyspark", "delta-spark", "deltalake"))
    print(f"{os.cpu_count()} cores, {packages}", flush=True)
    only = args.only or MEASURES
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        place = Place(folder, args.skip)
        (folder / "source.toml").write_text(SOURCE)
        if "plays" in only:
            compare_sizes(place, sorted(args.plays))
        if "skew" in only:
            compare_skew(place, args.skew_plays)
        if "history" in only:
            compare_histories(place, args.days, args.plays_a_day)
        if "case" in only:
            show_case(place, args.case_plays)
        if "lookup" in only:
            compare_lookups(folder, args.keys, args.rounds, args.duckdb_python)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add, million = parser.add_argument, 1_000_000
    add("--only", nargs="+", choices=MEASURES)
    add(
        "--skip",
        nargs="+",
        default=EMBEDDINGS,
        help="steps that no flow is to run (default: those of embeddings)",
    )
    sizes = [million, 3 * million, 10 * million, 30 * million]
    add("--plays", type=int, nargs="+", default=sizes, help="of a day; `segue size` is held to the largest")
    add("--skew-plays", type=int, default=3 * million, help="of the uneven day")
    add("--days", type=int, nargs=2, default=(30, 3 * 365), metavar=("SHORT", "LONG"), help="of history")
    add("--plays-a-day", type=int, default=2000, help="of history")
    sizes = [20_000, 60_000, 200_000, 60_000]
    add("--case-plays", type=int, nargs="+", default=sizes, help="of the nights of the case")
    add("--keys", type=int, default=10 * million, help="listeners of the table that is looked up in")
    add("--rounds", type=int, default=5, help="look-ups of each kind")
    add("--duckdb-python", help="a Python that has DuckDB, see key_lookups_duckdb.py")
    add("--run", nargs="+", help=argparse.SUPPRESS)
    return parser.parse_args()


def _run_flow(root: str, source: str, file: str, *skip: str) -> dict[str, float]:
    """What a flow took, and the bytes of its plays as Spark holds them."""
    warehouse, times = Warehouse(root), Times()
    arguments = ["--root", root, "--source", source, "--input", file, "--skip", *skip]
    with time_functions({"costs": (meter, "_finish")}, times), stopwatch(times, "flow"):
        assert flow.run_flow(arguments) == 0, "a step was refused or failed: this measures nothing"
    (seconds,) = times["flow"]
    print(
        f"{seconds:.1f} s, {sum(times['costs']) / seconds:.2%} of them to record costs of {len(times['costs'])} steps"
    )
    job = Job("benchmark", root, say=lambda text: None)
    plays = job.read("plays", [warehouse.state("plays").days[-1]]).persist()  # type: ignore[union-attr]
    plays.count()
    held = sum(
        each.memSize() + each.diskSize() for each in job.spark.sparkContext._jsc.sc().getRDDStorageInfo()
    )
    return {"seconds": seconds, "held": held}


def _measure(place: Place, name: str, listening: Listening) -> tuple[Runs, dict[str, float]]:
    """The costs of each step of a flow of such a file, and what the flow took."""
    root = place.folder / name
    print(f"{name}: {listening.plays:,} plays", flush=True)
    found = _run_file(place, root, listening)
    runs = read_runs(Warehouse(str(root)))
    shutil.rmtree(root)
    return {run["step"]: run for run in reversed(runs)}, found


def _run_file(place: Place, root: Path, listening: Listening) -> dict[str, float]:
    file = place.folder / "plays.csv"
    write_plays(file, listening)
    found: dict[str, float] = run_apart(
        __file__, str(root), str(place.folder / "source.toml"), str(file), *place.skip
    )
    file.unlink()
    return found


# --- more plays


def compare_sizes(place: Place, sizes: Sequence[int]) -> None:
    measured = {
        plays: _measure(place, f"day of {plays}", Listening(FIRST, plays, users=plays // PLAYS_OF_A_LISTENER))
        for plays in sizes
    }
    runs, held = [runs for runs, _ in measured.values()], measured[sizes[-1]][1]["held"]
    small, large = sizes[0], sizes[-1]
    print(
        f"\nby play, {large:,} against {small:,} plays; shuffled of what {held / 2**20:,.0f} MiB of plays are"
    )
    for step in runs[-1]:
        if not all(step in each for each in runs):
            continue
        core, cpu = (
            (runs[-1][step][cost] / large) / (runs[0][step][cost] / small)
            if runs[0][step][cost]
            else float("nan")
            for cost in ("core_seconds", "cpu_seconds")
        )
        shuffled = runs[-1][step]["shuffle_bytes"] / held
        print(f"  {step:<24} core {core:5.2f} x, CPU {cpu:5.2f} x, shuffled {shuffled:5.2f} x")
    total = sum(run["shuffle_bytes"] for run in runs[-1].values()) / held
    print(f"  shuffled by all steps: {total:.2f} x the bytes of the plays", flush=True)
    _compare_with_prediction(runs, large)


def _compare_with_prediction(runs: Sequence[Runs], plays: int) -> None:
    *known, last = runs
    print(f"\n{plays:,} plays as predicted from the other sizes, against what they took")
    totals: dict[str, list[float]] = {}
    for step, taken in last.items():
        before = [each[step] for each in known if step in each]
        kinds = [kind for kind in KINDS if any(run[kind] for run in before)]
        rows = [{kind: run[kind] for kind in kinds} for run in before]
        for cost in ("core_seconds", "shuffle_bytes", "bytes_written"):
            try:
                predicted = fit_costs(rows, [run[cost] for run in before]).predict(taken)
            except TooFewRuns as reason:
                print(f"  not predicted, {step}: {reason}")
                break
            found = totals.setdefault(cost, [0.0, 0.0])
            found[0], found[1] = found[0] + predicted, found[1] + taken[cost]
    for cost, (predicted, taken_in_all) in totals.items():
        print(f"  {cost:<16} {predicted / taken_in_all - 1:+.1%} of {taken_in_all:,.0f}", flush=True)


# --- uneven plays


def compare_skew(place: Place, plays: int) -> None:
    even = Listening(FIRST, plays, users=plays // PLAYS_OF_A_LISTENER)
    uneven = Listening(FIRST, plays, users=plays // PLAYS_OF_A_LISTENER, hot=HOT, bot=BOT)
    (runs, _), (skewed, _) = _measure(place, "even day", even), _measure(place, "uneven day", uneven)
    print(
        f"\nlargest task / median, even day and one track with {HOT:.0%} and one listener with {BOT:.0%} of plays"
    )
    for step, run in skewed.items():
        if step in runs:
            print(f"  {step:<24} {_describe_tasks(runs[step])}   {_describe_tasks(run)}", flush=True)


def _describe_tasks(run: Mapping[str, Any]) -> str:
    median, largest = run["median_task_seconds"], run["largest_task_seconds"]
    if median is None:
        return "-"
    return f"{largest:6.2f} s / {median:6.2f} s = {largest / median if median else float('nan'):5.2f} x"


# --- a long history


def compare_histories(place: Place, lengths: Sequence[int], plays_a_day: int) -> None:
    users, tracks = (max(1, plays_a_day // each) for each in (PLAYS_OF_A_LISTENER, PLAYS_OF_A_TRACK))
    night = Listening(FIRST, plays_a_day, users=users, tracks=tracks, seed=2)
    seconds, cores = [], []
    for days in lengths:
        root = place.folder / f"after {days} days"
        # before it, not up to now: what is later than now is no play
        first, plays = FIRST - timedelta(days=days), plays_a_day * days
        _run_file(place, root, replace(night, first=first, plays=plays, days=days, seed=1))
        seconds.append(_run_file(place, root, night)["seconds"])
        runs = read_runs(Warehouse(str(root)))
        cores.append(sum(run["core_seconds"] for run in runs if run["run_id"] == runs[0]["run_id"]))
        print(f"after {days} days: {seconds[-1]:.1f} s, {cores[-1]:.1f} s of cores", flush=True)
        shutil.rmtree(root)
    print(
        f"\na night of {plays_a_day:,} plays after {lengths[1]} days against after {lengths[0]}, release and report:"
    )
    print(
        f"  {seconds[1] / seconds[0]:.2f} x the seconds, {cores[1] / cores[0]:.2f} x those of cores",
        flush=True,
    )


# --- a case worked through


def show_case(place: Place, sizes: Sequence[int]) -> None:
    """What `segue size` says of a root of some nights of these sizes."""
    root = place.folder / "case"
    for number, plays in enumerate(sizes):
        day = FIRST + timedelta(days=number)
        _run_file(place, root, Listening(day, plays, users=plays // PLAYS_OF_A_LISTENER, seed=number))
    parser = argparse.ArgumentParser()
    show_size.configure(parser)
    for requested in ("", CASE):
        print(f"\n$ segue size {requested}".rstrip(), flush=True)
        show_size.run(parser.parse_args(["--root", str(root), *requested.split()]))
    shutil.rmtree(root)


if __name__ == "__main__":
    main()
