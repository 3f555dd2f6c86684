"""What takes too long for every commit: a month of nights three ways on Spark, hundreds of adversarial runs, and labels
of tens of thousands of listeners.

    make soak                                              # all of it
    python tests/simulation/soak.py --only month           # 30 nights, 200 listeners, 2,000 labels, on Spark
    python tests/simulation/soak.py --only month --no-spark --seed 8
    python tests/simulation/soak.py --only runs --runs 500
    python tests/simulation/soak.py --only attributions --cases 20000 --seed 1; and rewards, outcomes

The month has no gate, as a half of a day is among its nights; all else is what `segue run` does. Ends at the first
difference, with the night or the steps that lead to it.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from simulation.label_cases import check_attributions, check_outcomes, check_rewards
from simulation.laid import remove_spark
from simulation.machine import NightsMachine
from simulation.ways import Size, live_at_random, live_by_backfill, live_by_nights

from jobs.session import open_session
from reference.published import pass_every_batch
from reference.worlds import FEW

# By what is checked, with returns among rewards: a function of the session, a seed and a number of listeners.
LABEL_CHECKS = {
    "attributions": check_attributions,
    "rewards": check_rewards,
    "outcomes": check_outcomes,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=("month", "runs", *LABEL_CHECKS))
    parser.add_argument("--nights", type=int, default=30)
    parser.add_argument("--listeners", type=int, default=200)
    parser.add_argument("--allowed-lateness", type=int, default=7, help="days")
    parser.add_argument("--labels", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--runs", type=int, default=500, help="of the state machine, without Spark")
    parser.add_argument("--spark-runs", type=int, default=0, help="of the same with Spark, a minute each")
    parser.add_argument(
        "--cases", type=int, default=20_000, help="listeners with plays, impressions and labels"
    )
    parser.add_argument("--batch", type=int, default=5_000, help="of them in one call of Spark")
    parser.add_argument("--no-spark", action="store_true", help="rows in plain Python in its place")
    args = parser.parse_args()
    packages = ("pyspark", "delta-spark", "deltalake", "hypothesis")
    print(f"{os.cpu_count()} cores, {', '.join(f'{name} {version(name)}' for name in packages)}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        if args.only in (None, "month"):
            _live_a_month(Path(folder), args)
        if not args.no_spark:
            _check_labels(Path(folder), [each for each in LABEL_CHECKS if args.only in (None, each)], args)
    if args.only in (None, "runs"):
        _run_machine(args.runs, with_spark=False)
        if args.spark_runs and not args.no_spark:
            _run_machine(args.spark_runs, with_spark=True)


def _live_a_month(folder: Path, args: argparse.Namespace) -> None:
    size = Size(args.nights, args.listeners, args.allowed_lateness, args.labels, args.seed)
    hashes = []
    with pytest.MonkeyPatch.context() as patch, open(folder / "printed", "w") as printed:
        pass_every_batch(patch)
        if args.no_spark:
            remove_spark(patch)
        for live in (live_by_nights, live_by_backfill, live_at_random):
            started = time.perf_counter()
            with redirect_stdout(printed):
                hashes.append(live(folder / live.__name__, size))
            print(
                f"{live.__name__}: {time.perf_counter() - started:.0f} s, as plain Python has it", flush=True
            )
    assert hashes[0] == hashes[1] == hashes[2], hashes
    print(f"{args.nights} nights of {args.listeners} listeners: the three end with equal content hashes")


def _check_labels(folder: Path, kinds: Sequence[str], args: argparse.Namespace) -> None:
    """Ties at a label, and at the end of what comes after it, are among the cases of each batch."""
    for kind in kinds:
        spark, started, compared = open_session("soak", folder / "spark.log"), time.perf_counter(), 0
        for n, first in enumerate(range(0, args.cases, args.batch)):
            cases = min(args.batch, args.cases - first)
            compared += LABEL_CHECKS[kind](spark, args.seed + n, cases)
        print(
            f"{args.cases:,} cases of {kind}: {compared:,} as loops have them, {time.perf_counter() - started:.0f} s",
            flush=True,
        )


def _run_machine(runs: int, with_spark: bool) -> None:
    NightsMachine.with_spark, started = with_spark, time.perf_counter()
    # kept in no database: each soak looks elsewhere
    of_soak = settings(FEW, max_examples=runs, stateful_step_count=20, phases=tuple(Phase), database=None)
    with redirect_stdout(io.StringIO()):
        run_state_machine_as_test(NightsMachine, settings=of_soak)
    where = "on Spark" if with_spark else "without Spark"
    print(f"{runs} runs {where}: {time.perf_counter() - started:.0f} s", flush=True)
    for what, counts in (("steps", NightsMachine.steps), ("killed", NightsMachine.kills)):
        print(f"  {what}: {', '.join(f'{count} {name}' for name, count in sorted(counts.items()))}")
        counts.clear()


if __name__ == "__main__":
    main()
