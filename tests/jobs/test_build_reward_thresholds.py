"""Of which days thresholds are made, and when; `test_reward_thresholds` has their values."""

from __future__ import annotations

import pytest
from simulation.laid import LaidStep
from simulation.loops import Rows

from jobs import build_reward_thresholds
from jobs.build_reward_thresholds import list_days, reads
from jobs.errors import WrongUsage
from jobs.publishing.batches import Watermark
from jobs.publishing.warehouse import Warehouse
from reference.worlds import DAY, MIDNIGHT, session_play
from schemas import CONTRACTS
from schemas.reward_set import PLAY_REWARDS
from schemas.reward_thresholds import RewardThresholds, Threshold
from schemas.rewards import Reward, Rewards

REWARDS = Rewards((*PLAY_REWARDS[:1], Reward("ms", "ms_played", "m", "2d", "bigint")))
DECLARED = RewardThresholds(REWARDS, (Threshold("long", "ms", {"length": "track_ms"}, days=2),))
DAYS = [(MIDNIGHT + n * DAY).date() for n in range(6)]


def publish(root, n, through=None):
    """A play, and its rewards, of one more day; `through`: up to when plays are complete."""
    watermark = through and Watermark("test", through, ("test",))
    job, play = LaidStep("test", root), session_play(play_id=f"p{n}", played_at=MIDNIGHT + n * DAY)
    row = {name: play[name] for name in REWARDS.contract.names if name in play}
    rewards = row | {"completed": True, "ms": 1, "status_2d": "ripe"}
    delivered = job.batch("plays", appends=True, parameters={"of": [n, str(through)]}, watermark=watermark)
    job.publish(delivered, [{**play, "source": "test"}])
    for table, of_table in (("sessions", play), ("play_rewards", rewards)):
        job.publish(job.batch(table, [play["ds"]]), [of_table])


@pytest.fixture
def read(tmp_path, monkeypatch):
    """The days of rewards and of plays that were read, of each night."""
    read = []

    def compute(job, declared, day, of_each, rewards, plays, tracks):
        read.append([sorted({row["ds"] for row in each.rows()}) for each in (rewards, plays)])
        assert tracks is None
        return Rows([make_row(day)])

    monkeypatch.setitem(CONTRACTS, REWARDS.name, REWARDS.contract)
    monkeypatch.setitem(CONTRACTS, DECLARED.name, DECLARED.contract)
    twins = {"Job": LaidStep, "_compute": compute, "THRESHOLD_TABLES": (DECLARED,)}
    for name, twin in twins.items():
        monkeypatch.setattr(build_reward_thresholds, name, twin)
    return read


def make_row(day):
    days = list_days(DECLARED, DECLARED.thresholds[0], day, day)
    found = {"level": 0, "plays": 1, "listeners": 1, "first_day": days[0], "last_day": days[-1], "ds": day}
    texts = {"threshold": "long", "reward": "ms", "group_values": "{}", "by": ["length"], "quantile": 0.8}
    return found | texts | {"own_value": None, "value": None, "value_level": None}


def test_a_night_makes_its_day_of_the_newest_days_that_are_known(read, tmp_path):
    root = str(tmp_path / "root")
    for n in range(5):
        publish(root, n)
    assert build_reward_thresholds.main(["--root", root]) == 0
    publish(root, 5)
    assert build_reward_thresholds.main(["--root", root]) == 0
    assert build_reward_thresholds.main(["--root", root]) == 0
    assert read == [[DAYS[1:3]] * 2, [DAYS[2:4]] * 2]
    assert Warehouse(root).state(DECLARED.name).days == DAYS[4:6], "thresholds of before stay as they were"


def test_while_the_newest_day_is_not_complete_a_night_is_of_as_many_days_one_earlier(read, tmp_path):
    """Rewards within a horizon that ends on that day are not known yet."""
    root = str(tmp_path / "root")
    for n in range(5):
        publish(root, n, MIDNIGHT + n * DAY + DAY / 2)
    assert build_reward_thresholds.main(["--root", root]) == 0
    assert read == [[DAYS[:2]] * 2]
    publish(root, 4, MIDNIGHT + 5 * DAY)
    assert build_reward_thresholds.main(["--root", root]) == 0
    assert read[1:] == [[DAYS[1:3]] * 2], "the night that completes the day does not make it again"


def test_what_is_known_at_once_is_of_the_newest_day_complete_or_not():
    at_once = Rewards((*REWARDS.rewards, Reward("now", "ms_played", "m", type="bigint")))
    declared = RewardThresholds(at_once, (Threshold("now", "now", days=2), Threshold("long", "ms", days=1)))
    known = [list_days(declared, each, DAYS[4], DAYS[3]) for each in declared.thresholds]
    assert known == [DAYS[3:5], DAYS[1:2]]


def test_of_the_catalogue_and_of_plays_only_what_groups_are_of_is_read():
    def declare(*by):
        return RewardThresholds(
            REWARDS, tuple(Threshold(f"t{n}", "ms", {"g": sql}) for n, sql in enumerate(by))
        )

    # of the length both know, and that of the play is taken
    assert [reads(declare("track_ms"), table) for table in ("sessions", "tracks")] == [True, False]
    assert [reads(declare("genres[0]"), table) for table in ("sessions", "tracks")] == [False, True]
    assert [reads(declare("explicit", "saved"), table) for table in ("sessions", "tracks")] == [True, True]


def test_without_a_declaration_there_is_no_step(tmp_path):
    with pytest.raises(WrongUsage, match="declare RewardThresholds"):
        build_reward_thresholds.main(["--root", str(tmp_path)])
