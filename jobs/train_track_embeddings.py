"""Trains item2vec on the sessions of the last days: a vector per track, evaluated, gated and versioned.

A warm training continues the space of the version before; once a week a cold one begins a new space, aligned to
the old one. A cold training chooses window, backward, learning rate, epochs and dimensions by measuring, where
they are not given; a warm one uses its parent's. A version that the gate refuses is recorded in
`embedding_versions`, with the reasons.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from datetime import date
from functools import partial
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql.types import StructType

from expectations.verdict import Refused, Verdict, format_failure
from features.embeddings.settings import SEARCHED, Settings
from features.embeddings.track_embeddings import build_track_embeddings
from features.embeddings.trials import SearchPlan
from jobs.arguments import new_parser, parse_day
from jobs.embeddings.parents import AUTO, Parent, choose_start, find_parent
from jobs.embeddings.scratch import Scratch
from jobs.embeddings.staged_measures import measure_staged
from jobs.embeddings.steps import TABLE, days_ending, whole_executor_profile
from jobs.embeddings.task import Plan
from jobs.embeddings.tracks import LEARNED, VOCABULARY
from jobs.embeddings.trainer import NothingToLearn, TrainingResult, train, write_vocabulary
from jobs.job import Job
from jobs.publishing.batches import Batch
from jobs.settings_flags import add_flags, from_flags
from schemas import CONTRACTS
from schemas.embedding_versions import STARTS

NO_SEARCH = "gensim takes its settings as they are, given or default"


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    given = frozenset(name for name in SEARCHED if getattr(args, name) is not None)
    settings = from_flags(args, Settings, threads=args.threads or 1)
    job = Job("train-track-embeddings", args.root, args.run_id)
    day = args.day or job.source("sessions").days[-1]
    parent = find_parent(job, day)
    inherited = parent.settings(settings, given) if parent else settings
    start = choose_start(args.start, parent, day, inherited)
    search = None
    if start == "cold" and settings.backend == "sgns":
        # a cold space has the dimensions of the one before: only then can it be aligned to that
        search = SearchPlan(given | {"dimensions"} if parent else given, args.search_budget)
    settings = inherited if start == "warm" else settings.replace(dimensions=inherited.dimensions)
    days = days_ending(day, args.days)
    sessions, tracks = job.table("sessions", days), job.find("tracks")
    published = job.table(TABLE, [parent.day]) if parent else None
    about = {"start": start, "days": args.days}
    batch = job.batch(
        TABLE,
        [day],
        [sessions, published, tracks],
        deterministic=args.threads == 1,
        parameters=_parameters(settings, search) | about,
    )
    with job.lease(TABLE):
        if job.unchanged(batch):
            return 0
        plays = sessions.rows()
        previous = published.rows() if published else None
        catalogue = tracks.rows() if tracks else None
        # not sooner: only a running session knows its cores
        settings = settings.replace(threads=args.threads or whole_executor_profile(job.spark)[1])
        scratch = Scratch(job.warehouse.path("scratch", TABLE, batch.fingerprint))
        write_vocabulary(scratch, plays, previous, settings)
        if start == "cold" and search is None:
            job.say(f"no search: {NO_SEARCH}")
        try:
            plan = Plan(scratch, settings, start, parent is not None, search)
            trained = train(job.spark, plan, plays, job.say)
        except NothingToLearn as problem:
            scratch.remove()
            job.not_made(TABLE, str(problem))
            return 0
        version = _Version(job, day, start, parent, trained.settings | about, trained)
        _publish(job, batch, version, scratch, catalogue)
        scratch.remove()
    return 0


def _parameters(settings: Settings, search: SearchPlan | None) -> dict[str, Any]:
    """Of the batch: the settings that are fixed, and how the others are searched."""
    fixed = settings.result_settings()
    if search is None:
        return fixed
    fixed = {name: value for name, value in fixed.items() if name not in search.searched}
    return fixed | {"searched": search.searched, "search_budget": search.budget}


class _Version:
    """The version that a training made, and its row of `embedding_versions`."""

    def __init__(
        self,
        job: Job,
        day: date,
        start: str,
        parent: Parent | None,
        parameters: dict[str, Any],
        trained: TrainingResult,
    ) -> None:
        self.day, self.trained, self._job = day, trained, job
        self.id = f"{day}-{trained.digest}"
        self.space = parent.space_id if parent and start == "warm" else self.id
        self._about = {
            "version_id": self.id,
            "space_id": self.space,
            "parent": parent.version_id if parent else None,
            "start": start,
            "parameters": json.dumps(parameters | {"threads": trained.threads}, sort_keys=True),
            "seed": parameters["seed"],
            "inputs": json.dumps(dict(sorted(job.versions.items()))),
            "ds": day,
        }

    def record(self, verdict: Verdict) -> None:
        """Appends the row; the same training again adds nothing."""
        status = "rejected" if verdict.refused else "accepted"
        gated = [
            {"name": name, "of": "this", "segment": "gate", "value": float(value)}
            for name, value in self.trained.measures.items()
        ]
        row = self._about | {
            "status": status,
            "reasons": [format_failure(result) for result in verdict.critical],
            "metrics": self.trained.metrics + gated,
            "trials": self.trained.trials or None,
            "search": json.dumps(self.trained.search, sort_keys=True) if self.trained.search else None,
            **{name: getattr(self.trained, name) for name in ("tracks", "plays", "seconds", "peak_bytes")},
        }
        contract = CONTRACTS["embedding_versions"]
        columns = StructType([field for field in contract.struct() if field.name != "available_at"])
        rows = self._job.spark.createDataFrame([tuple(row[name] for name in columns.names)], columns)
        parameters = {"version": self.id, "status": status}
        self._job.publish(self._job.batch(contract.name, appends=True, parameters=parameters), rows)


def _publish(
    job: Job, batch: Batch, version: _Version, scratch: Scratch, catalogue: DataFrame | None
) -> None:
    """The vectors if they pass the gate, and the record of the version in either case."""
    learned = job.spark.read.parquet(scratch.path(LEARNED))
    vocabulary = job.spark.read.parquet(scratch.path(VOCABULARY))
    rows = build_track_embeddings(learned, vocabulary, catalogue, version.id, version.space, version.day)
    measure = partial(
        measure_staged, scratch=scratch, learned=version.trained.tracks, trained=version.trained.measures
    )
    try:
        job.publish(batch, rows, measure, after_audit=lambda staged: version.record(staged.verdict))
    except Refused:
        scratch.remove()  # or the same vectors would be offered again
        raise


def _parser() -> argparse.ArgumentParser:
    arguments = new_parser(__doc__, "train-track-embeddings")
    arguments.add_argument(
        "--day", type=parse_day, help="last day to learn from (default: the newest of sessions)"
    )
    arguments.add_argument(
        "--days", type=int, default=30, help="days of sessions to learn from (%(default)s)"
    )
    arguments.add_argument("--start", choices=(AUTO, *STARTS), default=AUTO, help=f"{AUTO}: cold once a week")
    searched = dict.fromkeys(SEARCHED, "default: chosen by measuring; warm: the parent's")
    add_flags(arguments, Settings, but={"threads"}, unset=searched)
    arguments.add_argument(
        "--search-budget",
        type=_budget,
        default=SearchPlan.budget,
        help="the most that a search may cost, in trainings of what it chooses; 0: no search (%(default)s)",
    )
    arguments.add_argument(
        "--threads", type=int, help="1 makes results reproducible (default: the task's cores)"
    )
    return arguments


def _budget(text: str) -> float:
    budget = float(text)
    if not 0 <= budget <= 1_000:
        raise argparse.ArgumentTypeError(f"{text} is not 0 to 1,000 trainings")
    return budget


if __name__ == "__main__":
    raise SystemExit(main())
