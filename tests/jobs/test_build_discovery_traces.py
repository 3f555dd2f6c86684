"""Which days of discoveries are traced again: as days pass, after late and retracted plays, and after erasures.

Loops stand in for Spark; `test_discovery_traces` has them agree.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from random import Random

import pytest
from simulation.laid import LaidStep, remove_spark
from simulation.laid_files import read
from simulation.loops import Rows

from jobs import build_discovery_traces, forget
from jobs.build_discovery_traces import find_observed
from jobs.errors import WrongUsage
from jobs.publishing.state import DayState, TableState
from jobs.publishing.warehouse import Warehouse
from reference.discovery_traces import discovery_traces, is_discovery
from reference.laid_partials import publish_pairs
from reference.rows import assert_same
from reference.worlds import DAY, MIDNIGHT, US, session_play
from schemas import CONTRACTS
from schemas.discovery_traces import DiscoveryTraces
from schemas.reward_set import TRACK_DISCOVERED
from schemas.rewards import Rewards

REWARDS = Rewards((TRACK_DISCOVERED,))
DECLARED = DiscoveryTraces(REWARDS, days=3)
DAYS = [(MIDNIGHT + n * DAY).date() for n in range(10)]
OBSERVED = ("trace", "days_observed", "status")


class Nights:
    """A root with plays, sessions, partials and rewards, and the step that traces discoveries."""

    def __init__(self, root):
        self.root, self.plays, self.made, self.erased = str(root), [], 0, {}

    def deliver(self, plays=(), gone=(), with_partials=True):
        self.plays = [row for row in (*self.plays, *plays) if row not in gone]
        self.made += 1
        days = sorted({row["ds"] for row in (*plays, *gone)})
        rows = [row for row in self.plays if row["ds"] in days]
        self.publish("plays", None, [{**row, "source": "test"} for row in plays])
        self.publish("sessions", days, rows)
        if with_partials:
            self.publish_pairs()
        # of later days too: what was played earlier decides what is a discovery
        later = [row for row in self.plays if row["ds"] >= days[0]]
        self.publish("play_rewards", sorted({*days, *(row["ds"] for row in later)}), self.reward(later))

    def publish_pairs(self):
        publish_pairs(LaidStep("test", self.root), self.plays)

    def publish(self, table, days, rows):
        job = LaidStep("test", self.root)
        if rows or days:
            batch = job.batch(table, days, appends=days is None, parameters={"n": self.made})
            job.publish(batch, rows)

    def reward(self, plays):
        for play in plays:
            own = {name: play[name] for name in REWARDS.contract.names if name in play}
            same = [p for p in self.plays if (p["user_id"], p["track_id"]) == (play["user_id"], "t")]
            yield own | {"discovered": is_discovery(play, same)}

    def build(self):
        """The days that were made."""
        before = self.state()
        assert build_discovery_traces.main(["--root", self.root]) == 0
        after = self.state()
        return [day for day in after.days if after.day_states[day] != before.day_states.get(day)]

    def state(self):
        return Warehouse(self.root).state(DECLARED.name) or TableState(0)

    def check(self):
        last = max(row["ds"] for row in self.plays)
        expected = list(discovery_traces(self.plays, DAYS, last, last, DECLARED.days, ("track",)))
        actual = [
            {name: value for name, value in row.items() if name not in ("_file", "available_at")}
            for row in read(Warehouse(self.root).table(DECLARED.name))
        ]
        assert_same(expected, actual, ("play_id",), self.plays, "user_id")
        return {row["play_id"]: tuple(row[name] for name in OBSERVED) for row in actual}


@pytest.fixture
def nights(tmp_path, monkeypatch):
    root = Nights(tmp_path / "root")

    def trace(rewards, partials, items, observed, erased):
        root.erased = erased
        assert {row["ds"] for row in rewards} <= set(observed)
        active = {(row["user_id"], row["track_id"], row["ds"]) for row in partials["user_track_partials"]}
        return Rows(look_up(row, active, observed[row["ds"]]) for row in rewards if row["discovered"])

    monkeypatch.setitem(CONTRACTS, REWARDS.name, REWARDS.contract)
    monkeypatch.setitem(CONTRACTS, DECLARED.name, DECLARED.contract)
    twins = {"Job": LaidStep, "trace_discoveries": trace, "add_new_columns": lambda rows, contract: rows}
    for name, twin in {**twins, "TRACE_TABLES": (DECLARED,)}.items():
        monkeypatch.setattr(build_discovery_traces, name, twin)
    return root


def look_up(row, active, observed):
    """A trace of what was read, and of nothing else."""
    names = ("user_id", "play_id", "bucket", "ds")
    bits = [
        1 << (n - 1)
        for n in range(1, observed.days + 1)
        if (row["user_id"], row["track_id"], row["ds"] + timedelta(days=n)) in active
    ]
    return {name: row[name] for name in names} | {
        "item_type": "track",
        "item_id": row["track_id"],
        "discovered_at": row["played_at"],
        "trace": sum(bits),
        "days_observed": observed.days,
        "status": observed.status,
    }


def play(n, day, **others):
    return session_play(play_id=f"{n}", played_at=MIDNIGHT + day * DAY + n * US, track_id="t", **others)


def test_a_night_makes_the_days_that_are_open_and_no_others(nights):
    for night, day in enumerate(DAYS[:5]):
        nights.deliver([play(night, night, user_id=f"u{night % 2}"), play(50 + night, night, user_id="v")])
        assert nights.build() == [each for n in (3, 2, 1, 0) if (each := day - n * DAY) >= DAYS[0]]
    assert nights.build() == []
    traces = nights.check()
    assert traces["50"] == (0b111, 3, "ripe") and traces["0"] == (0b010, 3, "ripe")
    assert traces.keys() == {"0", "1", "50"}, "who played it again has discovered nothing"


def test_steps_make_fewer_days_of_a_night(nights, monkeypatch):
    monkeypatch.setattr(
        build_discovery_traces, "TRACE_TABLES", (DiscoveryTraces(REWARDS, days=3, steps=(1,)),)
    )
    for night, day in enumerate(DAYS[:4]):
        nights.deliver([play(night, night)])
        assert nights.build() == [each for n in (3, 1, 0) if (each := day - n * DAY) >= DAYS[0]]
    assert [DECLARED.count_observed(n) for n in (-1, 0, 2, 9)] == [0, 0, 2, 3]
    assert [DiscoveryTraces(REWARDS, steps=(7, 1)).count_observed(n) for n in (0, 6, 7, 58, 59)] == [
        0,
        1,
        7,
        7,
        59,
    ]


def test_nights_of_late_and_retracted_plays_end_as_one_run(nights):
    rng, number = Random(3), 0
    for night in range(4):
        days = [night, *(rng.randint(0, night) for _ in range(rng.randint(0, 2)))]
        nights.deliver([play(number + n, day, user_id=rng.choice("uvw")) for n, day in enumerate(days)])
        number += len(days)
        nights.build()
        nights.check()
    assert nights.build() == []
    nights.deliver(gone=[row for row in nights.plays if row["ds"] == DAYS[2]][:1])
    assert DAYS[2] in nights.build()
    nights.check()


def test_a_late_play_makes_the_days_again_that_reach_it(nights):
    nights.deliver([play(n, n, user_id=f"u{n}") for n in range(9)])
    nights.build()
    nights.deliver([play(50, 6, user_id="u4")])
    # its own day, and the three before it that have a bit of it
    assert nights.build() == DAYS[3:7]
    assert nights.check()["4"] == (0b10, 3, "ripe")


def test_days_whose_partials_are_of_other_sessions_wait_for_them(nights):
    nights.deliver([play(n, n, user_id=f"u{n}") for n in range(9)])
    nights.build()
    nights.deliver([play(50, 6, user_id="u4")], with_partials=False)
    assert nights.build() == [], "days were traced in partials that lack the late play, and would stay so"
    nights.publish_pairs()
    assert nights.build() == DAYS[3:7], "days that have waited are not made once partials are there"
    assert nights.check()["4"] == (0b10, 3, "ripe")


def test_an_erasure_takes_traces_too_and_of_before_it_nothing_is_known(nights, monkeypatch):
    nights.deliver([play(n, n, user_id=user) for n, user in enumerate(("u1", "u2", "u1", "u1"))])
    nights.build()
    remove_spark(monkeypatch)
    tables = ("plays", "sessions", "user_track_partials", REWARDS.name, DECLARED.name)
    monkeypatch.setattr(forget, "TABLES", tables)
    assert forget.main(["--root", nights.root, "--user", "u2"]) == 0
    nights.plays = [row for row in nights.plays if row["user_id"] != "u2"]
    assert nights.check().keys() == {"0"}
    nights.deliver([play(9, 2, user_id="u2")])
    nights.build()
    assert nights.erased.keys() == {hashlib.sha256(b"u2").hexdigest()}


def test_of_days_without_plays_nothing_is_observed():
    sessions = TableState(1, {day: DayState(1, day.day, day.day, "test") for day in DAYS[:6]})
    observed = [
        find_observed(DECLARED, sessions, DAYS[8], day) for day in (DAYS[0], DAYS[3], DAYS[4], DAYS[5])
    ]
    assert observed == [(3, "ripe"), (2, "censored"), (1, "censored"), (0, "censored")]


def test_without_a_declaration_there_is_no_step(tmp_path):
    with pytest.raises(WrongUsage, match="declare DiscoveryTraces"):
        build_discovery_traces.main(["--root", str(tmp_path)])
