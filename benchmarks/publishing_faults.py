"""Kills publishers at random moments, and checks after each kill that readers see whole batches only.

    python benchmarks/publishing_faults.py                       # 100 kills of drivers with Spark
    python benchmarks/publishing_faults.py --replayed --kills 500    # of the protocol alone

The moment is drawn evenly over the time that the same work took undisturbed, counted from when the
session is up. Each run first has to end what the one before left; the history must then be the offered
batches in order, each once. With Spark each kill costs the start of a session; replayed, about a second.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

TOP = Path(__file__).parents[1]
sys.path[:0] = [str(TOP), str(TOP / "tests")]

from faults.offers import OFFERS  # noqa: E402
from faults.replay import save_templates  # noqa: E402
from faults.runs import Chain  # noqa: E402

BATCHES = 3  # of each run; the kill hits one of them


def main() -> int:
    args = parse_arguments()
    rng = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        chain = Chain(Path(folder, "root"), *template_options(Path(folder), args.replayed))
        seconds = chain.run_undisturbed(BATCHES)
        print(f"seed {args.seed}; {BATCHES} batches take {seconds:.2f} s undisturbed", flush=True)
        start, hits = time.monotonic(), Counter[str]()
        while hits.total() - hits["done"] < args.kills:
            hits[kill_one(chain, rng, seconds, args.replayed, hits.total() + 1)] += 1
        chain.run_undisturbed(BATCHES)
        minutes = (time.monotonic() - start) / 60
    print(
        f"{args.kills} kills in {minutes:.1f} min: {hits['before']} before the commit of the batch in flight, "
        f"{hits['after']} after it; {hits['done']} runs were done before their kill. "
        f"{chain.reported} batches offered, each in the history once; all invariants held after every kill"
    )
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--kills", type=int, default=100, help="runs that are to be killed (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments and victims (%(default)s)")
    parser.add_argument(
        "--replayed", action="store_true", help="without Spark: reserve, record, commit and clean-up only"
    )
    return parser.parse_args()


def template_options(folder: Path, replayed: bool) -> list[str]:
    """Options of the driver: none, or where every offer is staged already."""
    if not replayed:
        return []
    return ["--templates", str(save_templates(folder / "templates", OFFERS))]


def kill_one(chain: Chain, rng: random.Random, seconds: float, replayed: bool, number: int) -> str:
    """Kills one run, prints a line, and says on which side of the commit the kill fell."""
    delay = rng.uniform(0, seconds)
    victim = "group" if replayed or rng.random() < 0.8 else "python"
    is_killed = chain.kill_after(delay, BATCHES, victim)
    hit = ("after" if chain.landed else "before") if is_killed else "done"
    where = (
        f"batch {chain.reported} in flight, kill {hit} its commit" if is_killed else "done before its kill"
    )
    print(f"{number:4} {victim:<6} at {delay:6.2f} s  {where}; invariants hold", flush=True)
    return hit


if __name__ == "__main__":
    sys.exit(main())
