"""Says from where on a reward is high, by groups of listeners and content, of the newest days that are known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from functools import reduce
from typing import TYPE_CHECKING

from features.reward_thresholds import compute_thresholds, select_plays
from jobs.arguments import new_parser
from jobs.build_play_rewards import find_complete_day
from jobs.errors import WrongUsage
from jobs.inputs import TableInput
from jobs.job import Job
from jobs.reward_evidence import read_plays
from schemas import CONTRACTS, THRESHOLD_TABLES, RewardThresholds
from schemas.contract import add_new_columns
from schemas.reward_thresholds import Threshold

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def main(argv: Sequence[str] | None = None) -> int:
    args = new_parser(__doc__, "build-reward-thresholds").parse_args(argv)
    if not THRESHOLD_TABLES:
        raise WrongUsage("no thresholds are declared; declare RewardThresholds(…) in the project")
    (declared,) = THRESHOLD_TABLES
    job = Job("build-reward-thresholds", args.root, args.run_id)
    day = job.source(declared.rewards.name).days[-1]
    through = find_complete_day(declared.rewards, job)
    of_each = {each.name: list_days(declared, each, day, through) for each in declared.thresholds}
    days = sorted(set().union(*of_each.values()))
    rewards = job.table(declared.rewards.name, days)
    plays = job.table("sessions", days) if reads(declared, "sessions") else None
    tracks = job.find("tracks") if reads(declared, "tracks") else None
    inputs = [rewards, plays, tracks]
    parameters = {"declared": declared.identity, "last": {name: str(of[-1]) for name, of in of_each.items()}}
    batch = job.batch(declared.name, [day], inputs, parameters=parameters)
    # before Spark is started
    if job.unchanged(batch):
        return 0
    rows = _compute(job, declared, day, of_each, rewards, plays, tracks)
    job.publish(batch, rows, if_empty="no reward of these is known of any play yet")
    return 0


def list_days(declared: RewardThresholds, threshold: Threshold, day: date, through: date) -> list[date]:
    """The days of plays whose reward is known on the night of a day, as many as the threshold is of.

    Args:
        through: the last day up to which all plays are there: a horizon that ends later is not over.
    """
    horizon = declared.find_reward(threshold).days
    last = min(day, through) - timedelta(days=horizon) if horizon else day
    return [last - timedelta(days=n) for n in reversed(range(threshold.days))]


def reads(declared: RewardThresholds, table: str) -> bool:
    """Whether groups are of a column of plays, or of the catalogue that plays do not have."""
    of_plays = CONTRACTS["sessions"].names
    named: Iterable[str] = (name for each in declared.thresholds for name in each.columns)
    return any((name in of_plays) == (table == "sessions") for name in named)


def _compute(
    job: Job,
    declared: RewardThresholds,
    day: date,
    of_each: Mapping[str, Sequence[date]],
    rewards: TableInput,
    plays: TableInput | None,
    tracks: TableInput | None,
) -> DataFrame:
    # columns of a project, before the first row that has them
    known = add_new_columns(rewards.rows(), declared.rewards.contract)
    of_plays = read_plays(plays) if plays else None
    no_tracks = job.spark.createDataFrame([], CONTRACTS["tracks"].struct())
    catalogue = add_new_columns(tracks.rows(), CONTRACTS["tracks"]) if tracks else no_tracks
    computed = []
    for threshold in declared.thresholds:
        days = of_each[threshold.name]
        grouped = select_plays(known.where(known["ds"].isin(days)), of_plays, catalogue, threshold)
        computed.append(compute_thresholds(grouped, threshold, (days[0], days[-1]), day))
    return reduce(lambda one, other: one.unionByName(other), computed)


if __name__ == "__main__":
    raise SystemExit(main())
