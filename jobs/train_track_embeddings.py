"""Learns a vector per track from the sessions of the last days: item2vec, in one task."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import timedelta

from features.item2vec import Settings, embeddings, track_sequences
from jobs.errors import JobError
from jobs.job import Job, parser
from jobs.session import submitted


def main(argv: Sequence[str] | None = None) -> int:
    made = parser(__doc__, "train-track-embeddings")
    made.add_argument("--days", type=int, default=30, help="days of sessions to learn from (%(default)s)")
    default = Settings()
    for name in ("dimensions", "window", "epochs", "negatives", "min_plays", "seed"):
        flag = "--" + name.replace("_", "-")
        made.add_argument(flag, type=int, default=getattr(default, name), help="(%(default)s)")
    made.add_argument("--learning-rate", type=float, default=default.learning_rate, help="(%(default)s)")
    made.add_argument("--threads", type=int, help="1 repeats a result exactly (default: the task's cores)")
    args = made.parse_args(argv)
    job = Job("train-track-embeddings", args.root, args.run_id)
    state = job.state("sessions")
    if state is None or not state.days:
        raise JobError(f"table sessions has no data yet under {args.root}; run build-sessions first")
    last = state.days[-1]
    settings = Settings(
        **{name: getattr(args, name) for name in asdict(replace(default)) if name != "threads"}
    )
    heard = job.read("sessions", [last - timedelta(days=n) for n in range(args.days)])
    one_thread = args.threads == 1  # with more, they race each other and no run gives the same vectors
    batch = job.batch("track_embeddings", [last], repeatable=one_thread, parameters=asdict(settings))
    space = f"{last}-{batch.made_from[:8]}"
    settings = replace(settings, threads=args.threads or _cores(job))
    job.publish(batch, embeddings(track_sequences(heard), settings, space, last))
    return 0


def _cores(job: Job) -> int:
    """What a task may use: on a cluster what the scheduler grants it, on one machine all there is."""
    if submitted():
        return int(job.spark.conf.get("spark.task.cpus", "1") or 1)
    return os.cpu_count() or 1


if __name__ == "__main__":
    raise SystemExit(main())
