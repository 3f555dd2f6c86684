"""A process that publishes offers one after the other, and may end itself by SIGKILL on the way.

    python driver.py --root R --first 0 --count 3 [--templates T] [--fault 'after record'] [--victim python]

It prints `ready` once it can begin, the outcome of each offer, and `reached` just before it dies.
With templates it replays what Spark staged, else it has a Spark session of its own.
"""

from __future__ import annotations

import argparse
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jobs.job
import jobs.publishing.protocol
import jobs.publishing.staging
import jobs.publishing.state_changes
import jobs.publishing.warehouse
from faults.invariants import has_staged_files
from faults.offers import OFFERS
from faults.replay import ReplayJob
from jobs.job import Job
from schemas.sessions import SESSIONS

Die = Callable[[str], None]


def main() -> None:
    args = parse_arguments()
    # states of a few days are written as those of years are
    jobs.publishing.state_changes.WHOLE_BYTES = 0
    cls = ReplayJob if args.templates else Job
    if args.fault:
        FAULTS[args.fault](cls, make_killer(args.fault, args.victim))
    publish_one = make_replay_publisher(args) if args.templates else make_spark_publisher(args)
    say("ready")
    for n in range(args.first, args.first + args.count):
        for _ in range(2):  # the second time, there must be nothing to do
            outcome = publish_one(OFFERS[n % len(OFFERS)])
            say(outcome.kind, n)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", required=True)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--templates", type=Path)
    parser.add_argument("--stage-s", type=float, default=0, help="how long a replayed write takes")
    parser.add_argument("--fault", choices=FAULTS)
    parser.add_argument("--victim", choices=("group", "python"), default="group")
    return parser.parse_args()


def make_replay_publisher(args: argparse.Namespace) -> Callable[[Any], Any]:
    return lambda offer: ReplayJob(args.root, args.templates, args.stage_s, say_comment).offer(offer)


def make_spark_publisher(args: argparse.Namespace) -> Callable[[Any], Any]:
    # here alone: what replays would spend more time on importing Spark than on publishing
    from reference.frames import frame

    spark = Job("fault", args.root).spark

    def publish(offer: Any) -> Any:
        job = Job("fault", args.root, say=say_comment)
        return job.publish(offer.batch(job), frame(spark, offer.rows(), SESSIONS))

    return publish


def make_killer(fault: str, victim: str) -> Die:
    def die(detail: str = "") -> None:
        say("reached", fault, detail)
        if victim == "group":  # the JVM is of our group
            os.killpg(0, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)

    return die


def kill_after(owner: Any, name: str) -> Callable[[Any, Die], None]:
    def install(_: Any, die: Die) -> None:
        real = getattr(owner, name)

        def faulty(*args: Any, **options: Any) -> None:
            real(*args, **options)
            die("")

        setattr(owner, name, faulty)

    return install


def kill_before_swap(_: Any, die: Die) -> None:
    jobs.publishing.protocol.swap = lambda table, change: die("")  # type: ignore[assignment]


def kill_in_the_write(_: Any, die: Die) -> None:
    """As soon as there is a first data file; the detail says whether that was the end of the write."""
    real = jobs.publishing.staging.write

    def faulty(rows: Any, path: str, *contract: Any) -> Any:
        threading.Thread(target=watch, args=(Path(path),), daemon=True).start()
        return real(rows, path, *contract)

    def watch(path: Path) -> None:
        while not any(path.rglob("*.parquet")):
            time.sleep(0.001)
        die("too late" if has_staged_files(path) else "half written")

    jobs.publishing.staging.write = faulty


def kill_in_the_audit(_: Any, die: Die) -> None:
    real = jobs.publishing.protocol.audit_batch

    def faulty(*args: Any) -> Any:
        threading.Timer(0.05, die, ("half audited",)).start()
        real(*args)
        die("too late")

    jobs.publishing.protocol.audit_batch = faulty


FAULTS: dict[str, Callable[[Any, Die], None]] = {
    "after create": kill_after(jobs.publishing.warehouse, "_create"),
    "after reserve": kill_after(jobs.job, "reserve"),
    "in the write": kill_in_the_write,
    "in the audit": kill_in_the_audit,
    "after stage": kill_after(ReplayJob, "_audit"),
    "after record": kill_after(jobs.job, "record"),
    "before swap": kill_before_swap,
    "after swap": kill_after(jobs.publishing.protocol, "swap"),
    "after commit": kill_after(jobs.job, "commit"),
}


def say(*words: Any) -> None:
    print(*words, flush=True)


def say_comment(text: str) -> None:
    say("#", text)


if __name__ == "__main__":
    main()
