"""A publisher that stages some batches first, and then commits them without asking for the lease.

    python committer.py ROOT TEMPLATES ROUNDS BEGIN OFFER...

The offers take turns, as the same one again would find its rows there already. It commits once the
file BEGIN is there, and prints each lost compare-and-swap and each batch published.
"""

from __future__ import annotations

import sys
import time
from itertools import cycle
from pathlib import Path
from typing import Any

import jobs.publishing.protocol
import jobs.publishing.state_changes
from faults.offers import OFFERS
from faults.replay import ReplayJob
from jobs.publishing.commits import CommitConflict

# Between looking at the table and the swap: long enough that others come in between, as on a slow disk.
LOOK_S = 0.05


def main() -> None:
    root, templates, rounds, begin, *numbers = sys.argv[1:]
    jobs.publishing.state_changes.WHOLE_BYTES = 0
    jobs.publishing.protocol.swap = count_losses(jobs.publishing.protocol.swap)
    jobs_ = [ReplayJob(root, Path(templates)) for _ in range(int(rounds))]
    turns = cycle(OFFERS[int(number)] for number in numbers)
    staged = [job.stage(offer.batch(job), offer.label) for job, offer in zip(jobs_, turns, strict=False)]
    print("staged", flush=True)
    while not Path(begin).exists():
        time.sleep(0.005)
    for job, batch in zip(jobs_, staged, strict=True):
        print(job.commit(batch).kind, batch.batch.id, flush=True)


def count_losses(swap: Any) -> Any:
    def slow(*args: Any) -> Any:
        time.sleep(LOOK_S)
        try:
            return swap(*args)
        except CommitConflict:
            print("lost", flush=True)
            raise

    return slow


if __name__ == "__main__":
    main()
