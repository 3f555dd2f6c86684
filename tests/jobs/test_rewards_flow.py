"""A project with impressions, attributions, rewards, traces and thresholds: a night of the flow, its release, and
outcomes of labels in a file, against loops over what was released."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.synthetic.impressions import FIELDS
from jobs import FLOW
from jobs.generated_impressions import describe_source
from reference import attributions, discovery_traces, impression_rewards, outcomes, reward_thresholds, rewards
from reference.flows import DAYS, FIRST, LAST, FlowWorld
from reference.rows import assert_same, midnight_after, same
from reference.worlds import DAY
from schemas.attributions import AttributionRule, Attributions
from schemas.impression_rewards import ImpressionRewards
from schemas.impressions import IMPRESSIONS
from schemas.pair_features import USER_TRACK_FEATURE_GROUP
from schemas.reward_set import PLAY_REWARDS, TRACK_DISCOVERED
from schemas.rewards import Rewards

TOP = Path(__file__).parents[2]
# Long ago, so that all there will ever be of these days was delivered, and what is after them never comes.
THROUGH = date.max
MINUTE, MS = timedelta(minutes=1), timedelta(milliseconds=1)
# Of features of listeners nothing is made here, so that no reward is of them.
WITHOUT = "returns_7d"
REWARDS = Rewards((*(each for each in PLAY_REWARDS if each.name != WITHOUT), TRACK_DISCOVERED))
RULE = AttributionRule("last_touch_1d", "1d")
IMPRESSION_REWARDS = ImpressionRewards(REWARDS, Attributions((RULE,), IMPRESSIONS))
BY, QUANTILE, THRESHOLD_DAYS, MIN_PLAYS, MIN_LISTENERS = "explicit", 0.5, 3, 20, 10
DECLARATIONS = f"""
from schemas.attributions import AttributionRule, Attributions
from schemas.discovery_traces import DiscoveryTraces
from schemas.impression_rewards import ImpressionRewards
from schemas.impressions import IMPRESSIONS
from schemas.reward_set import PLAY_REWARDS, TRACK_DISCOVERED
from schemas.reward_thresholds import RewardThresholds, Threshold
from schemas.rewards import Rewards
from schemas.starting_set import *

ATTRIBUTIONS = Attributions((AttributionRule("{RULE.name}", "1d"),), IMPRESSIONS)
REWARDS = Rewards((*(each for each in PLAY_REWARDS if each.name != "{WITHOUT}"), TRACK_DISCOVERED))
IMPRESSION_REWARDS = ImpressionRewards(REWARDS, ATTRIBUTIONS)
TRACES = DiscoveryTraces(REWARDS)
LISTENS_ON = Threshold(
    "listens_on", "ms_after", {{"{BY}": "{BY}"}}, {QUANTILE}, {THRESHOLD_DAYS}, {MIN_PLAYS}, {MIN_LISTENERS}
)
THRESHOLDS = RewardThresholds(REWARDS, (LISTENS_ON,))
"""
SETTINGS = """
root = "../root"
source = "../landing/source.toml"
input = ["../landing/plays/delivered={day}"]
catalogue = ["../landing/tracks"]
declarations = ["declarations"]

[events.impressions]
source = "../landing/impressions.toml"
input = ["../landing/impressions"]
"""
# Of the steps that every project has.
STEPS = ("ingest-plays", "build-sessions", "build-pair-partials", "release-tables")
OUTCOMES = (("plays_count", "1d"), ("completion_mean", "2d"), ("plays_count", "30d"))
# One process, and so one JVM.
SCRIPT = """
import sys
from segue.command import main
for command in {commands!r}:
    if code := main(command):
        sys.exit(code)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The golden root after one more night, on which all that was shown came too."""
    folder = tmp_path_factory.mktemp("rewards")
    world = FlowWorld.committed(folder)
    before = world.released("plays")
    (world.landing / "impressions.toml").write_text(describe_source())
    write_impressions(world.landing, [*before, *read_landed_plays(world)])
    mine = folder / "mine"
    (mine / "declarations").mkdir(parents=True)
    (mine / "declarations" / "rewards.py").write_text(DECLARATIONS)
    (mine / "segue.toml").write_text(SETTINGS.format(day=LAST))
    write_labels(folder / "labels.parquet", before)
    labels = ["--labels", "../labels.parquet", "--out", "../set"]
    labels += [
        "--outcomes",
        *(f"{USER_TRACK_FEATURE_GROUP.table}:{name}_{horizon}" for name, horizon in OUTCOMES),
    ]
    skip = ["--skip", *(step.name for step in FLOW if step.name not in STEPS)]
    commands = [["run", "flow", *skip], ["training-set", *labels]]
    run = subprocess.run(
        [sys.executable, "-P", "-c", SCRIPT.format(commands=commands)],
        cwd=mine,
        env={**os.environ, "PYTHONPATH": str(TOP)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, f"{run.stdout[-5000:]}\n{run.stderr[-3000:]}"
    return world, run.stdout


def read_landed_plays(world):
    """Of the last day, as its files say; beside them there are late plays of days before, and rows that are none."""
    ids = {play["track_id"] for play in world.released("plays")}
    for file in Path(world.day(LAST)).glob("*.csv"):
        with file.open(newline="") as lines:
            for row in csv.DictReader(lines):
                if (
                    row["user_id"]
                    and row["track_id"] in ids
                    and (row["played_at"] or "").startswith(str(LAST))
                ):
                    yield row | {"played_at": datetime.fromisoformat(row["played_at"])}


# From the play back, around the ends of the rule's window.
AGO = [timedelta(0), MINUTE, DAY - MS, DAY, -MINUTE]


def write_impressions(landing, plays):
    """Two tracks before, at or after each play, the first of them what was played."""
    of_days = {FIRST + n * DAY: [] for n in range(DAYS)}
    for n, play in enumerate(plays):
        shown_at = play["played_at"] - AGO[n % len(AGO)]
        for position, item in enumerate((play["track_id"], plays[n - 1]["track_id"]), 1):
            row = dict.fromkeys(FIELDS, "") | {
                "impression_id": f"i{n}-{position}",
                "request_id": f"r{n}",
                "user_id": play["user_id"],
                "shown_at": shown_at.isoformat(timespec="milliseconds"),
                "surface": "home",
                "position": position,
                "item_type": "track",
                "item_id": item,
            }
            # of the day before the first there is nothing to tell
            of_days.get(shown_at.date(), []).append(row)
    for day, rows in of_days.items():
        path = landing / "impressions" / f"delivered={day}" / "part.csv"
        path.parent.mkdir(parents=True)
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, FIELDS)
            writer.writeheader()
            writer.writerows(rows)


def write_labels(path, plays):
    """At plays and around them; a label that is a play says which, and it does not count for itself."""
    rows = []
    for n, play in enumerate(plays):
        own, at = (play["play_id"], play["played_at"]) if n % 2 else (None, play["played_at"] - MS * (n % 3))
        rows.append(
            {"user_id": play["user_id"], "track_id": play["track_id"], "play_id": own, "label_at": at}
        )
    pq.write_table(pa.Table.from_pylist(rows), path)


def test_impressions_lead_to_the_plays_that_loops_find(project):
    world, _ = project
    expected = attributions.attributions(world.released("sessions"), world.released("impressions"), (RULE,))
    assert {0, 60_000, 86_399_999} <= {row["delay_ms"] for row in expected}
    assert_same(
        drop(expected, "bucket"),
        strip(world, "attributions", "attribution_id"),
        ("rule_id", "play_id"),
        [],
        "user_id",
    )


def strip(world, table, *names):
    """Released rows without what only the engine can know."""
    return drop(world.released(table), "available_at", *names)


def drop(rows, *names):
    return [{name: value for name, value in row.items() if name not in names} for row in rows]


def define_rewards(world):
    sessions = world.released("sessions")
    days = sorted({row["ds"] for row in sessions})
    rows = rewards.rewards(sessions, days, THROUGH, LAST)
    return drop(rows, WITHOUT, "context_left", "status_7d")


def test_rewards_of_every_play_are_as_defined(project):
    world, _ = project
    expected = define_rewards(world)
    assert {row["status_1d"] for row in expected} == {"ripe", "censored"}
    assert {row["replayed_1d"] for row in expected} == {True, False, None}
    assert_same(
        drop(expected, "bucket"),
        strip(world, "play_rewards"),
        ("play_id",),
        world.released("plays"),
        "user_id",
    )


def test_impressions_are_worth_what_came_of_their_first_play(project):
    world, _ = project
    expected = impression_rewards.impression_rewards(
        world.released("impressions"),
        strip(world, "attributions"),
        {row["play_id"]: row for row in define_rewards(world)},
        IMPRESSION_REWARDS,
        lambda day, days: rewards.status(day, days, THROUGH, LAST),
        lambda _: True,
    )
    assert {row["status_0d"] for row in expected} == {"ripe", "censored"}
    assert {row["plays"] for row in expected} >= {None, 0, 1}
    assert_same(
        drop(expected, "bucket"),
        strip(world, "impression_rewards"),
        ("impression_id", "rule_id"),
        [],
        "user_id",
    )


def test_discoveries_have_a_bit_for_each_day_on_which_they_were_played_again(project):
    world, _ = project
    sessions = world.released("sessions")
    days = {row["ds"] for row in sessions}
    expected = list(discovery_traces.discovery_traces(sessions, days, THROUGH, LAST, items=("track",)))
    assert sum(row["trace"] > 0 for row in expected) > 20
    assert_same(
        drop(expected, "bucket"),
        strip(world, "discovery_traces"),
        ("item_type", "play_id"),
        sessions,
        "user_id",
    )


def test_thresholds_are_of_the_newest_days_that_were_known(project):
    world, _ = project
    tracks = {row["track_id"]: row for row in world.released("tracks")}
    known = [LAST - n * DAY for n in range(1, THRESHOLD_DAYS + 1)]
    plays = [
        {"user_id": row["user_id"], "value": row["ms_after"], BY: str(tracks[row["track_id"]][BY]).lower()}
        for row in define_rewards(world)
        if row["ds"] in known and not row["is_bot"]
    ]
    expected = reward_thresholds.reward_thresholds(plays, [BY], QUANTILE, MIN_PLAYS, MIN_LISTENERS)
    of_all = {"threshold": "listens_on", "reward": "ms_after", "by": [BY], "quantile": QUANTILE}
    of_all |= {"first_day": known[-1], "last_day": known[0], "ds": LAST}
    actual = [row for row in strip(world, "reward_thresholds") if row["ds"] == LAST]
    assert {row["value_level"] for row in expected} == {0, 1}
    assert_same([row | of_all for row in expected], actual, ("level", "group_values"), [], "group_values")


def test_outcomes_of_labels_in_a_file_are_as_defined(project):
    world, printed = project
    plays_by_pair, group = {}, USER_TRACK_FEATURE_GROUP
    for play in world.released("sessions"):
        plays_by_pair.setdefault((play["user_id"], play["track_id"]), []).append(play)
    labels = pq.read_table(Path(world.root).parent / "labels.parquet").to_pylist()
    rows = pq.read_table(Path(world.root).parent / "set").to_pylist()
    assert len(rows) == len(labels), printed[-3000:]
    end = midnight_after(LAST)
    found = Counter()
    for row in rows:
        plays = plays_by_pair.get((row["user_id"], row["track_id"]), [])
        for name, horizon in OUTCOMES:
            (feature,) = (each for each in group.features if f"{each.what}_{each.op}" == name)
            status = row[f"{group.table}__status_next_{horizon}"]
            assert status == outcomes.status(
                row["label_at"], horizon, end - DAYS * DAY, end, datetime.max.replace(tzinfo=UTC)
            ), row
            expected = outcomes.outcome(plays, feature, horizon, row["label_at"], row["play_id"])
            got = row[f"{group.table}__{name}_next_{horizon}"]
            assert same(expected if status == "ripe" else None, got), (row, name, horizon, plays)
            found[status, name, got] += 1
    assert found.keys() >= {
        ("ripe", "plays_count", 0),
        ("ripe", "plays_count", 1),
        ("censored", "plays_count", None),
    }
