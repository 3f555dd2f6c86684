"""Which days rewards are computed of: as horizons pass, after late and retracted plays, other rewards, erasures.

Loops stand in for Spark; `test_rewards` has them agree.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from random import Random
from types import SimpleNamespace

import pytest
from simulation.laid import LaidStep, remove_spark
from simulation.laid_files import read
from simulation.loops import Rows

from jobs import build_play_rewards, forget, reward_evidence
from jobs.build_play_rewards import find_status, name_days
from jobs.errors import JobError, WrongUsage
from jobs.publishing.state import DayState, TableState, find_limit
from jobs.publishing.warehouse import Warehouse
from jobs.reward_evidence import leave_waiting
from reference.laid_partials import publish_pairs
from reference.rewards import OF_PLAY, _later, status
from reference.rows import assert_same, bucket
from reference.worlds import DAY, MIDNIGHT, US, session_play
from schemas import CONTRACTS, FEATURE_GROUPS
from schemas.reward_set import PLAY_REWARDS
from schemas.rewards import Reward, Rewards

TRACK = "user_track_features__plays_count"
AGAIN = Reward("again_3d", f"{TRACK}_next_3d", "plays of the track", "3d", "bigint")
NEW = Reward(
    "new_days", f"if({TRACK}_2d = 0, user_track_features__active_days_next_5d, null)", "m", "5d", "bigint"
)
DECLARED = Rewards((PLAY_REWARDS[0], AGAIN, NEW))
HORIZONS = {"3d": 3, "5d": 5}
DAYS = [(MIDNIGHT + n * DAY).date() for n in range(12)]


def define(plays, statuses):
    """Rows of `DECLARED`, from all plays there are."""
    for play in plays:
        if (of_day := statuses.get(play["ds"])) is None:
            continue
        known = {horizon: each == "ripe" for horizon, each in of_day.items()}
        others = [each for each in plays if each["user_id"] == play["user_id"]]
        later = _later(play, others, 3, "track_id")
        yield {
            **{name: play[name] for name in OF_PLAY},
            "completed": play["completion"] >= 0.9,
            "again_3d": len(later) if known["3d"] else None,
            "new_days": count_days(play, others) if known["5d"] else None,
            **{f"status_{horizon}": each for horizon, each in of_day.items()},
            "bucket": bucket(play["user_id"]),
        }


def count_days(play, plays):
    of_track = [each for each in plays if each["track_id"] == play["track_id"]]
    if any(play["played_at"] - 2 * DAY <= each["played_at"] < play["played_at"] for each in of_track):
        return None
    return len({each["ds"] for each in of_track if 1 <= (each["ds"] - play["ds"]).days <= 4})


class Nights:
    """A root with plays, sessions and partials, and the step that rewards them."""

    def __init__(self, root):
        self.root, self.plays, self.made = str(root), [], 0

    def deliver(self, plays=(), gone=(), with_partials=True):
        job = LaidStep("test", self.root)
        days = sorted({row["ds"] for row in plays} | {row["ds"] for row in gone})
        self.plays = [row for row in (*self.plays, *plays) if row not in gone]
        self.made += 1
        rows = [row for row in self.plays if row["ds"] in days]
        if plays:
            batch = job.batch("plays", appends=True, parameters={"n": self.made})
            job.publish(batch, [{**row, "source": "test"} for row in plays])
        job.publish(job.batch("sessions", days, parameters={"n": self.made}), rows)
        if with_partials:
            self.publish_pairs()

    def publish_pairs(self):
        publish_pairs(LaidStep("test", self.root), self.plays)

    def build(self, *arguments):
        """The days that were made."""
        before = self.state()
        assert build_play_rewards.main(["--root", self.root, *arguments]) == 0
        after = self.state()
        return [day for day in after.days if after.day_states[day] != before.day_states.get(day)]

    def state(self):
        return Warehouse(self.root).state("play_rewards") or TableState(0)

    def check(self):
        """How many plays have which status, by horizon."""
        last = max(row["ds"] for row in self.plays)
        statuses = {
            row["ds"]: {h: status(row["ds"], n, last, last) for h, n in HORIZONS.items()}
            for row in self.plays
        }
        actual = [
            {k: v for k, v in row.items() if k not in ("_file", "available_at")}
            for row in read(Warehouse(self.root).table("play_rewards"))
        ]
        assert_same(define(self.plays, statuses), actual, ("play_id",), self.plays, "user_id")
        return {h: Counter(row[f"status_{h}"] for row in actual) for h in HORIZONS}


@pytest.fixture
def nights(tmp_path, monkeypatch):
    root = Nights(tmp_path / "root")
    monkeypatch.setitem(CONTRACTS, DECLARED.name, DECLARED.contract)
    monkeypatch.setattr(build_play_rewards, "Job", LaidStep)
    monkeypatch.setattr(build_play_rewards, "REWARD_TABLES", (DECLARED,))
    monkeypatch.setattr(reward_evidence, "add_new_columns", lambda rows, contract: rows)
    monkeypatch.setattr(
        build_play_rewards, "reward_plays", lambda plays, _, evidence: reward(root, plays, evidence)
    )
    return root


def reward(nights, plays, evidence):
    assert {row["ds"] for row in plays} <= set(evidence.statuses)
    check_reads(nights, evidence)
    nights.erased = evidence.erased
    return Rows(define(nights.plays, evidence.statuses))


def check_reads(nights, evidence):
    """Of days whose horizon is over, and of no others, all plays and partials of their windows."""
    there = {row["ds"] for row in nights.plays}
    for window in evidence.windows:
        horizon = "3d" if window.request.ahead else "5d"
        ripe = {day for day, of_day in evidence.statuses.items() if of_day[horizon] == "ripe"}
        assert set(window.request.label_days) == ripe
        assert {row["ds"] for row in window.plays} == there & set(window.request.play_days)
        assert {row["ds"] for row in window.partials} == there & set(window.request.partial_days)
    for count in evidence.day_counts:
        within = {day + n * DAY for day in count.label_days for n in range(1, 5)}
        assert {row["ds"] for row in count.partials} == there & within


def play(n, day, **others):
    return session_play(play_id=f"{n}", played_at=MIDNIGHT + day * DAY + n * US, track_id="t", **others)


def test_a_night_makes_the_days_whose_horizons_have_passed_and_no_others(nights):
    for night, day in enumerate(DAYS[:7]):
        nights.deliver([play(night, night), play(100 + night, night, user_id="u2")])
        made = [each for n in (5, 3, 0) if (each := day - n * DAY) >= DAYS[0]]
        assert nights.build() == made
    assert nights.build() == []
    counts = nights.check()
    assert counts["3d"] == {"ripe": 8, "unripe": 6} and counts["5d"] == {"ripe": 4, "unripe": 10}


def test_nights_of_late_plays_end_as_one_run(nights):
    rng, number = Random(0), 0
    for night in range(6):
        days = [night, *(rng.randint(0, night) for _ in range(rng.randint(0, 2)))]
        users = [rng.choice("uvw") for _ in days]
        nights.deliver([play(number + n, day, user_id=users[n]) for n, day in enumerate(days)])
        number += len(days)
        nights.build()
        nights.check()
    assert nights.build() == []


def test_a_late_play_makes_the_days_again_that_reach_it(nights):
    nights.deliver([play(n, n) for n in range(10)])
    assert nights.build() == DAYS[:10]
    nights.deliver([play(50, 6)])
    # 3 days ahead of days 3 to 6, 5 days of no day but 4 and before; up to 2 days back, of days whose 5 days are over
    assert nights.build() == DAYS[1:7]
    nights.check()


def test_days_whose_partials_are_of_other_sessions_wait_for_them(nights):
    """As by `segue run flow --skip build-pair-partials`, after late plays."""
    nights.deliver([play(n, n) for n in range(10)])
    assert nights.build() == DAYS[:10]
    nights.deliver([play(50, 6)], with_partials=False)
    # the fifth day ahead ends within the day of the late play, of which only its plays are read
    assert nights.build() == [DAYS[1]], (
        "days were made of partials that lack the late play, and would stay so"
    )
    assert nights.build("--day", str(DAYS[5])) == [], "a day that is asked for is made of such partials"
    nights.publish_pairs()
    assert nights.build() == DAYS[2:7], "days that have waited are not made once partials are there"
    nights.check()
    assert nights.build() == []


def test_a_job_says_which_days_wait_and_what_to_run():
    said = []
    waiting = {day: {"user_track_partials"} for day in DAYS[2:4]}
    assert leave_waiting(SimpleNamespace(say=said.append), "t", DAYS[:5], waiting) == [*DAYS[:2], DAYS[4]]
    (line,) = said
    assert line.startswith(f"t: 2 days wait, {DAYS[2]} to {DAYS[3]}: they are made of user_track_partials, ")
    assert "not yet of the sessions that there are; " in line
    assert line.endswith("run build-pair-partials, then this again"), (
        "the step that makes them is another one"
    )
    assert leave_waiting(SimpleNamespace(say=said.append), "t", DAYS[2:4], waiting, "plays and clicks") == []
    assert "not yet of the plays and clicks that there are; " in said[1]


def test_a_retracted_play_counts_no_more_and_a_day_without_any_has_no_row(nights):
    nights.deliver([play(n, n) for n in range(6)])
    nights.build()
    nights.deliver(gone=[row for row in nights.plays if row["ds"] == DAYS[2]])
    assert DAYS[2] in nights.build()
    nights.check()
    assert nights.state().day_states[DAYS[2]].rows == 0 and nights.build() == []


def test_an_erasure_takes_rewards_too_and_what_comes_later_of_before_it_is_censored(nights, monkeypatch):
    nights.deliver([play(n, n, user_id=user) for n, user in enumerate(("u1", "u2", "u2", "u1"))])
    nights.build()
    remove_spark(monkeypatch)
    monkeypatch.setattr(forget, "TABLES", ("plays", "sessions", "user_track_partials", DECLARED.name))
    assert forget.main(["--root", nights.root, "--user", "u2"]) == 0
    nights.plays = [row for row in nights.plays if row["user_id"] != "u2"]
    nights.check()
    assert nights.build() == [], "an erasure makes nothing stale"
    nights.deliver([play(9, 3, user_id="u2")])
    assert DAYS[3] in nights.build()
    assert nights.erased.keys() == {hashlib.sha256(b"u2").hexdigest()}


def test_another_reward_makes_all_days_again(nights, monkeypatch):
    nights.deliver([play(n, n) for n in range(4)])
    nights.build()
    other = Rewards((replace(PLAY_REWARDS[0], meaning="as everybody says"), AGAIN, NEW))
    monkeypatch.setattr(build_play_rewards, "REWARD_TABLES", (other,))
    assert nights.build() == [], "what is said of a reward makes nothing again"
    names = dict(name_days(other, nights.state(), DAYS[3]))
    changed = Rewards((replace(PLAY_REWARDS[0], value="completion >= 0.8"), AGAIN, NEW))
    assert not set(names.values()) & set(dict(name_days(changed, nights.state(), DAYS[3])).values())


def test_a_batch_of_fewer_rows_than_plays_is_not_published(nights, monkeypatch):
    nights.deliver([play(1, 0)])
    monkeypatch.setattr(build_play_rewards, "reward_plays", lambda *_: Rows())
    with pytest.raises(JobError, match="rewards of 0 plays were computed, there are 1"):
        nights.build()
    assert nights.state().days == []


def test_without_rewards_there_is_no_step(tmp_path):
    with pytest.raises(WrongUsage, match="declare Rewards"):
        build_play_rewards.main(["--root", str(tmp_path)])


def state(*days, complete_through=None):
    parts = {day: DayState(1, day.day, day.day, "test") for day in days}
    return TableState(1, parts, complete_through=complete_through)


def test_find_status_is_of_what_was_delivered_and_of_what_there_is():
    plays = state(*DAYS[:6])
    assert [find_status(plays, DAYS[5], day, "3d") for day in DAYS[:4]] == ["ripe"] * 3 + ["unripe"]
    # delivered up to the eighth day, and the last play is of the sixth
    late = [find_status(plays, DAYS[7], day, "3d") for day in DAYS[:6]]
    assert late == ["ripe"] * 3 + ["censored"] * 2 + ["unripe"]


def test_a_day_is_provisional_while_its_own_plays_may_still_come():
    noon = datetime.combine(DAYS[4], time(12), UTC)
    names = name_days(DECLARED, state(*DAYS[:5], complete_through=noon), DAYS[3])
    assert {day: find_limit(name) for day, name in names} == dict.fromkeys(DAYS[:4]) | {DAYS[4]: noon}


def test_names_follow_the_plays_that_decide_and_no_others():
    def name(*days, through):
        return dict(name_days(DECLARED, state(*days), through))

    one, other = name(*DAYS[:9], through=DAYS[8]), name(*DAYS[:8], through=DAYS[7])
    # on another night, that of the days whose 3 or 5 days are over by it
    assert [day for day in DAYS[:8] if one[day] != other[day]] == [DAYS[3], DAYS[5]]
    assert DECLARED.list_partials(FEATURE_GROUPS) == ["user_track_partials"]
    assert timedelta(days=DECLARED.rewards[2].days) == 5 * DAY
