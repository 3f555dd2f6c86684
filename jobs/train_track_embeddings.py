"""Trains item2vec on the sessions of the last days: a vector per track, evaluated, gated and versioned.

A warm training continues the space of the version before; once a week, and where that version knows hardly a track, a
cold one begins a new space, aligned to the old one. A cold training chooses window, backward, learning rate, epochs
and dimensions by measuring, where they are not given; a warm one uses its parent's. A version that the gate refuses is
recorded in `embedding_versions`, with the reasons.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from datetime import date
from functools import partial
from hashlib import blake2b
from typing import Any, NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql.types import StructType

from expectations.verdict import Refused, Verdict, format_failure
from features.embeddings.settings import SEARCHED, Settings
from features.embeddings.track_embeddings import build_track_embeddings
from features.embeddings.trials import SearchPlan
from features.embeddings.tuning import DIMENSIONS
from jobs.arguments import new_parser, parse_day
from jobs.embeddings.ceiling import check_fits, training_task
from jobs.embeddings.parents import (
    AUTO,
    Parent,
    choose_start,
    find_held_out_share,
    find_parent,
    warm_is_impossible,
    why_not_continued,
)
from jobs.embeddings.scratch import Scratch
from jobs.embeddings.staged_measures import measure_staged
from jobs.embeddings.steps import TABLE, days_ending, whole_executor_profile
from jobs.embeddings.task import Plan
from jobs.embeddings.tracks import VOCABULARY, count_shared
from jobs.embeddings.trainer import (
    NothingToLearn,
    Say,
    TrainingResult,
    train,
    write_sequences,
    write_vocabulary,
)
from jobs.job import Job
from jobs.publishing.batches import Batch
from jobs.settings_flags import add_flags, from_flags
from schemas import CONTRACTS
from schemas.embedding_versions import STARTS


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    settings = from_flags(args, Settings, threads=args.threads or 1)
    job = Job("train-track-embeddings", args.root, args.run_id)
    sessions_state = job.source("sessions")
    complete = [day for day in sessions_state.days if day not in sessions_state.provisional_days]
    if not (args.day or complete):
        job.not_made(TABLE, "no day of sessions is complete; --day learns from one that is not")
        return 0
    # half a day that is learned from is in the space for good, as the next training goes on from it
    day = args.day or complete[-1]
    parent = find_parent(job, day)
    requested = settings
    training = _choose_training(args.start, args, requested, parent, day)
    sessions, tracks = job.table("sessions", days_ending(day, args.days)), job.find("tracks")
    parent_vectors = job.table(TABLE, [parent.day]) if parent else None
    # also where the vocabulary makes a cold start of a warm one: of the same inputs it does so each time
    identity = _identify_settings(training) | {"start": training.start, "days": args.days}
    # with several threads the same inputs give another model each time
    exact, inputs = args.threads == 1, [sessions, parent_vectors, tracks]
    batch = job.batch(TABLE, [day], inputs, deterministic=exact, parameters=identity)
    with job.lease(TABLE):
        if job.unchanged(batch):
            return 0
        plays = sessions.rows()
        previous = parent_vectors.rows() if parent_vectors else None
        catalogue = tracks.rows() if tracks else None
        # named by what it is made of: the run that repeats one that was cut off finds its files
        scratch = Scratch(job.warehouse.path("scratch", TABLE, batch.fingerprint))
        write_vocabulary(scratch, plays, previous, requested)
        training = _leave_other_spaces(args, requested, training, parent, day, scratch, job.say)
        settings, start, search = training
        # not sooner: only a running session knows its cores
        settings = settings.replace(threads=args.threads or whole_executor_profile(job.spark)[1])
        vocabulary_size = scratch.count_rows(VOCABULARY)
        dimensions = _most_dimensions(settings, search), parent.dimensions if parent else 0
        check_fits(job.spark, training_task(vocabulary_size, *dimensions))
        write_sequences(scratch, plays, sessions.count, settings, job.say)
        if start == "cold" and search is None:
            job.say("no search: gensim takes its settings as they are, given or default")
        if parent and parent.dimensions != settings.dimensions:
            job.say(
                f"a new space of {settings.dimensions} dimensions, not aligned to {parent.version_id}, which has "
                f"{parent.dimensions}; compared with it by hits and neighbours alone"
            )
        share = find_held_out_share(job, parent.day) if parent else None
        plan = Plan(scratch, settings, start, parent is not None, search, 1.0 if share is None else share)
        try:
            trained = train(job.spark, plan, job.say)
        except NothingToLearn as problem:
            scratch.remove()
            job.not_made(TABLE, str(problem))
            return 0
        version = _Version(job, day, parent, {"start": start, "days": args.days}, trained)
        _publish(job, batch, version, scratch, catalogue)
        # a training that fails, or is killed, leaves it for the next; `maintain` sweeps what nobody came back for
        scratch.remove()
    return 0


class _Training(NamedTuple):
    settings: Settings
    start: str
    # what is searched before it
    search: SearchPlan | None


def _choose_training(
    requested_start: str, args: argparse.Namespace, settings: Settings, parent: Parent | None, day: date
) -> _Training:
    given_names = frozenset(name for name in SEARCHED if getattr(args, name) is not None)
    inherited_settings = parent.settings(settings, given_names) if parent else settings
    start = choose_start(requested_start, parent, day, inherited_settings)
    if start == "warm":
        return _Training(inherited_settings, start, None)
    # a cold space has the dimensions of the one before unless others are given: only then can it be aligned to that
    fixed = given_names | {"dimensions"} if parent else given_names
    search = SearchPlan(fixed, args.search_budget) if settings.backend == "sgns" else None
    return _Training(settings.replace(dimensions=inherited_settings.dimensions), start, search)


def _leave_other_spaces(
    args: argparse.Namespace,
    settings: Settings,
    training: _Training,
    parent: Parent | None,
    day: date,
    scratch: Scratch,
    say: Say,
) -> _Training:
    """A cold training instead of a warm one whose vocabulary the parent hardly knows.

    Raises:
        WrongUsage: warm was requested.
    """
    if parent is None or training.start == "cold":
        return training
    reason = why_not_continued(*count_shared(scratch, settings.min_plays), parent)
    if reason is None:
        return training
    if args.start == "warm":
        scratch.remove()
        raise warm_is_impossible(reason)
    say(f"a cold start: {reason}")
    return _choose_training("cold", args, settings, parent, day)


def _most_dimensions(settings: Settings, search: SearchPlan | None) -> int:
    """Of the vectors, whatever the search chooses."""
    return max(DIMENSIONS) if search and "dimensions" in search.searched else settings.dimensions


def _identify_settings(training: _Training) -> dict[str, Any]:
    fixed, search = training.settings.result_settings(), training.search
    if search is None:
        return fixed
    # by what is searched, not by what is chosen: that is known only after the search
    fixed = {name: value for name, value in fixed.items() if name not in search.searched}
    return fixed | {"searched": search.searched, "search_budget": search.budget}


class _Version:
    """The version that a training made, and its row of `embedding_versions`."""

    def __init__(
        self, job: Job, day: date, parent: Parent | None, about: dict[str, Any], trained: TrainingResult
    ) -> None:
        self.day, self.trained, self._job = day, trained, job
        self.id = f"{day}-{_digest_vectors(trained.digest, job.versions.get('tracks'))}"
        self.space = parent.space_id if parent and about["start"] == "warm" else self.id
        parameters = trained.settings | about
        self._about = {
            "version_id": self.id,
            "space_id": self.space,
            "parent": parent.version_id if parent else None,
            "start": about["start"],
            "parameters": json.dumps(parameters | {"threads": trained.threads}, sort_keys=True),
            "seed": parameters["seed"],
            "inputs": json.dumps(dict(sorted(job.versions.items()))),
            "ds": day,
        }

    def record(self, verdict: Verdict) -> None:
        """Appends the row; the same training again adds nothing."""
        trained, status = self.trained, "rejected" if verdict.refused else "accepted"
        # what the gate judged is stored beside the metrics, to be compared over versions
        gate = {"of": "this", "segment": "gate"}
        measures = [gate | {"name": name, "value": float(value)} for name, value in trained.measures.items()]
        row = self._about | {
            "status": status,
            "reasons": [format_failure(result) for result in verdict.critical],
            "metrics": trained.metrics + measures,
            "trials": trained.trials or None,
            "search": json.dumps(trained.search, sort_keys=True) if trained.search else None,
            **{name: getattr(trained, name) for name in ("tracks", "plays", "seconds", "peak_bytes")},
        }
        contract = CONTRACTS["embedding_versions"]
        # `available_at` is known only at the commit
        columns = StructType([field for field in contract.struct() if field.name != "available_at"])
        rows = self._job.spark.createDataFrame([tuple(row[name] for name in columns.names)], columns)
        parameters = {"version": self.id, "status": status}
        self._job.publish(self._job.batch(contract.name, appends=True, parameters=parameters), rows)


def _digest_vectors(learned: str, catalogue: int | None) -> str:
    """Of the vectors learned, and of the version of the catalogue that all others come of: a day that is trained again
    on other plays, or of another catalogue, gets another id."""
    if catalogue is None:
        return learned
    return blake2b(f"{learned} {catalogue}".encode(), digest_size=4).hexdigest()


def _publish(
    job: Job, batch: Batch, version: _Version, scratch: Scratch, catalogue: DataFrame | None
) -> None:
    """The vectors if they pass the gate, and the record of the version in either case."""
    # the task wrote files: vectors never pass through the driver
    learned = job.spark.read.parquet(scratch.path(version.trained.learned))
    vocabulary = job.spark.read.parquet(scratch.path(VOCABULARY))
    rows = build_track_embeddings(learned, vocabulary, catalogue, version.id, version.space, version.day)
    trained = version.trained
    measure = partial(measure_staged, scratch=scratch, learned=trained.tracks, trained=trained.measures)
    try:
        job.publish(batch, rows, measure, after_audit=lambda staged: version.record(staged.verdict))
    except Refused:
        # or the same vectors would be offered again
        scratch.remove()
        raise


def _parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__, "train-track-embeddings")
    parser.add_argument(
        "--day",
        type=parse_day,
        help="last day to learn from (default: the newest of sessions that is complete)",
    )
    parser.add_argument("--days", type=int, default=30, help="days of sessions to learn from (%(default)s)")
    parser.add_argument("--start", choices=(AUTO, *STARTS), default=AUTO, help=f"{AUTO}: cold once a week")
    # no default, so that a setting that was given can be told from one that is to be searched
    searched = dict.fromkeys(SEARCHED, "default: chosen by measuring; warm: the parent's")
    add_flags(parser, Settings, but={"threads"}, unset=searched)
    budget_help = (
        "the most that a search may cost, in trainings of what it chooses; 0: no search (%(default)s)"
    )
    parser.add_argument("--search-budget", type=_budget, default=SearchPlan.budget, help=budget_help)
    parser.add_argument(
        "--threads", type=int, help="1 makes results reproducible (default: the task's cores)"
    )
    return parser


def _budget(text: str) -> float:
    budget = float(text)
    if not 0 <= budget <= 1_000:
        raise argparse.ArgumentTypeError(f"{text} is not 0 to 1,000 trainings")
    return budget


if __name__ == "__main__":
    raise SystemExit(main())
