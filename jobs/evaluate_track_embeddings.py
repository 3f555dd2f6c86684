"""Evaluates a published space on plays held out: next tracks, similar tracks, baselines; on request another day's.

Held out are the last tracks of some sessions, which a training of the same settings did not see; of versions that
did not note how many these were, a shorter window asks some that were learned from. Sessions after the day of the
embeddings are unseen altogether.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np

from features.embeddings.evaluation import compare_hits
from features.embeddings.settings import Settings
from jobs.arguments import new_parser, parse_day
from jobs.embeddings.evaluation import Evaluation, evaluate_space
from jobs.embeddings.parents import find_held_out_share
from jobs.embeddings.scratch import Scratch
from jobs.embeddings.steps import TABLE, add_day_argument, days_ending, resolve_day
from jobs.errors import JobError, WrongUsage
from jobs.inputs import TableInput
from jobs.job import Job
from jobs.messages import LOG
from jobs.settings_flags import add_flags, from_flags
from segue import show

HEADINGS = ("this", "against", "popularity", "cooccurrence", "cooccurrence_nearby")


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    job = Job("evaluate-track-embeddings", args.root, args.run_id)
    day = resolve_day(job, args.day)
    settings = from_flags(args, Settings)
    requested = days_ending(args.on_day or day, args.days)
    sessions = job.table("sessions", requested)
    days = [day, *([resolve_day(job, args.against)] if args.against else [])]
    # the same pairs of both
    share = min(_find_unseen_share(job, each, requested) for each in days)
    evaluations = [_evaluate_day(job, sessions, each, settings, share) for each in days]
    # a pair is the last two tracks of a session, and one track more must be left to learn from
    if not evaluations[0].hits:
        raise JobError(
            f"there is nothing to evaluate on: of {args.days} days no session with three tracks was held out of the "
            "training; give more --days, or later ones by --on-day"
        )
    # paired: of the same pairs in both, so that what is hard to predict is so for both
    hits = [np.array(each.hits, bool) for each in evaluations]
    ratios = compare_hits(*hits) if args.against else {}
    if args.truth:
        ratios["share_of_perfect"] = _share_of_perfect(evaluations[0], args.truth)
    rows = _tabulate(evaluations)
    if args.json:
        print(show.format_json({"metrics": rows, **ratios}))
    else:
        print(_format_report(rows, ratios, day, len(evaluations[0].hits)))
    return 0


def _find_unseen_share(job: Job, day: date, requested: Sequence[date]) -> float:
    """Of sequences of the requested days, the share that may be asked of the embeddings of `day`."""
    if min(requested) > day:
        return 1.0
    share = find_held_out_share(job, day)
    if share is None:
        LOG.warning(
            "  (the trainings of %s did not all note which sessions they held out: with fewer --days than they had, "
            "some pairs were learned from, and figures come out too high)",
            day,
        )
    return 1.0 if share is None else share


def _evaluate_day(
    job: Job, sessions: TableInput, day: date, settings: Settings, largest_share: float
) -> Evaluation:
    embeddings = job.read(TABLE, [day])
    # read off a vector: days of one table may have been trained with other dimensions
    size = embeddings.where("vector is not null").selectExpr("size(vector)").limit(1).collect()
    if not size:
        raise JobError(f"the embeddings of {day} hold no vector at all; train that day again")
    # named by run and day: an evaluation beside this one has files of its own
    scratch = Scratch(job.warehouse.path("scratch", "evaluation", f"{job.run_id}-{day}"))
    try:
        settings = settings.replace(dimensions=size[0][0])
        return evaluate_space(scratch, sessions.rows(), sessions.count, embeddings, settings, largest_share)
    finally:
        scratch.remove()


def _share_of_perfect(evaluation: Evaluation, path: str) -> float:
    """Hits as a share of those of a recommender that knows every listener's taste.

    Raises:
        WrongUsage: no such file, or not one that generate-plays writes.
    """
    try:
        with open(path) as file:
            # without repeats: sequences leave out a track that follows itself
            perfect = json.load(file)["perfect_recommender"]["hit_rate_at_10_without_repeats"]
    except (OSError, ValueError, KeyError) as problem:
        raise WrongUsage(
            f"--truth {path}: expected the truth.json of generate-plays; got {problem!r}"
        ) from problem
    return sum(evaluation.hits) / len(evaluation.hits) / float(perfect)


def _tabulate(evaluations: Sequence[Evaluation]) -> list[dict[str, Any]]:
    """One per metric and segment, a column per list that was scored."""
    table: dict[tuple[str, str], dict[str, Any]] = {}
    for each, this in zip(evaluations, ("this", "against"), strict=False):
        for metric in each.metrics:
            # baselines count the sessions alone, so those of the other day are the same
            of = this if metric["of"] == "this" else metric["of"]
            key = (metric["name"], metric["segment"])
            table.setdefault(key, {"metric": key[0], "segment": key[1]})[of] = metric["value"]
    return sorted(table.values(), key=lambda row: (row["segment"] != "all", row["segment"], row["metric"]))


def _format_report(rows: list[dict[str, Any]], ratios: dict[str, float], day: date, pairs: int) -> str:
    columns = [name for name in HEADINGS if any(name in row for row in rows)]
    cells = [
        (row["metric"], row["segment"], *(_format_number(row.get(name)) for name in columns)) for row in rows
    ]
    table = show.format_table(("metric", "segment", *columns), cells)
    lines = [f"embeddings of {day}, {pairs:,} pairs", "", table, ""]
    return "\n".join([*lines, *(f"{name}: {value:.4f}" for name, value in ratios.items())]).rstrip()


def _format_number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if value >= 1000 else f"{value:.4f}"


def _parser() -> argparse.ArgumentParser:
    parser = add_day_argument(new_parser(__doc__, "evaluate-track-embeddings"))
    add = parser.add_argument
    add("--on-day", type=parse_day, help="last day of the sessions to evaluate on (default: --day)")
    add("--days", type=int, default=30, help="days of sessions (%(default)s)")
    add("--against", type=parse_day, help="day of other embeddings, on the same pairs")
    add("--truth", help="truth.json of generate-plays: the share of what a perfect recommender hits")
    add("--json", action="store_true", help="for programs")
    # as the training had them, the same plays are held out
    add_flags(parser, Settings, but=set(Settings.model_fields) - Settings.sampling)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
