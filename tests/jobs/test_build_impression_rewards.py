"""Which days of impressions are rewarded again: as horizons of their plays pass, and after what changes these.

Loops stand in for Spark; `test_impression_rewards` has them agree.
"""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from simulation.laid import LaidStep
from simulation.laid_files import read
from simulation.loops import Rows

from jobs import build_impression_rewards
from jobs.build_attributions import name_days as name_attributions
from jobs.build_play_rewards import name_days as name_play_rewards
from jobs.errors import WrongUsage
from jobs.publishing.state import TableState
from jobs.publishing.warehouse import Warehouse
from reference.attributions import attributions
from reference.impression_rewards import impression_rewards
from reference.rewards import status
from reference.rows import assert_same
from reference.shown import LAST_TOUCH, impression, is_seen
from reference.worlds import DAY, MIDNIGHT, session_play
from schemas import CONTRACTS
from schemas.attributions import Attributions
from schemas.impression_rewards import ImpressionRewards
from schemas.impressions import IMPRESSIONS
from schemas.reward_set import PLAY_REWARDS
from schemas.rewards import Reward, Rewards

# of the rest of a session, so that no partials are needed
GOES_ON = Reward("goes_on_2d", "completion > 0.1", "m", "2d")
REWARDS = Rewards((PLAY_REWARDS[0], GOES_ON))
ATTRIBUTED = Attributions((LAST_TOUCH,))
DECLARED = ImpressionRewards(REWARDS, ATTRIBUTED)
DAYS = [(MIDNIGHT + n * DAY).date() for n in range(8)]


class Nights:
    """A root with plays, impressions and what is made of both, and the step that rewards impressions."""

    def __init__(self, root):
        self.root, self.plays, self.impressions, self.rewards, self.made = str(root), [], [], {}, 0

    def deliver(self, shown=(), plays=(), skip=()):
        """A night, but for the steps that make some tables."""
        self.made += 1
        self.plays += plays
        self.impressions += shown
        self.publish("impressions", list(shown), None)
        self.publish("plays", [{**row, "source": "test"} for row in plays], None)
        days = sorted({row["ds"] for row in self.plays})
        self.publish("sessions", self.plays, days)
        if "attributions" not in skip:
            self.publish_attributions(days)
        if "play_rewards" not in skip:
            self.publish_play_rewards(days)

    def publish_attributions(self, days):
        impressions, sessions = map(Warehouse(self.root).state, ("impressions", "sessions"))
        names = dict(name_attributions(ATTRIBUTED, impressions, sessions))
        led_to = [
            row | {"attribution_id": row["play_id"]}
            for row in attributions(self.plays, self.impressions, ATTRIBUTED.rules)
        ]
        self.publish("attributions", led_to, days, names)

    def publish_play_rewards(self, days):
        names = dict(name_play_rewards(REWARDS, Warehouse(self.root).state("sessions"), days[-1]))
        self.rewards = {row["play_id"]: row for row in self.make_rewards(days[-1])}
        self.publish("play_rewards", list(self.rewards.values()), days, names)

    def make_rewards(self, last):
        for play in self.plays:
            own = {name: play[name] for name in REWARDS.contract.names if name in play}
            known = status(play["ds"], 2, last, last)
            yield {
                **own,
                "completed": True,
                "goes_on_2d": True if known == "ripe" else None,
                "status_2d": known,
            }

    def publish(self, table, rows, days, upstream=None):
        job = LaidStep("test", self.root)
        if rows:
            parameters = {"n": self.made}
            batch = job.batch(table, days, appends=days is None, parameters=parameters, upstream=upstream)
            job.publish(batch, rows)

    def build(self):
        """The days that were made."""
        before = self.state()
        assert build_impression_rewards.main(["--root", self.root]) == 0
        after = self.state()
        return [day for day in after.days if after.day_states[day] != before.day_states.get(day)]

    def state(self):
        return Warehouse(self.root).state(DECLARED.name) or TableState(0)

    def expect(self, shown, statuses):
        def find_status(day: date, days: int) -> str:
            return statuses[day][f"{days - 1}d"]

        led_to = attributions(self.plays, self.impressions, ATTRIBUTED.rules)
        return impression_rewards(shown, led_to, self.rewards, DECLARED, find_status, is_seen)

    def check(self):
        last = max(row["ds"] for row in self.plays)
        statuses = {
            row["ds"]: {h: status(row["ds"], 1 + int(h[:-1]), last, last) for h in DECLARED.horizons}
            for row in self.impressions
        }
        expected = self.expect(self.impressions, statuses)
        actual = [
            {k: v for k, v in row.items() if k not in ("_file", "available_at")}
            for row in read(Warehouse(self.root).table(DECLARED.name))
        ]
        assert_same(expected, actual, ("impression_id", "rule_id"), self.impressions, "user_id")
        return actual


@pytest.fixture
def nights(tmp_path, monkeypatch):
    root = Nights(tmp_path / "root")

    def reward(impressions, led_to, rewards, declared, statuses):
        ripe = {day for day, of_day in statuses.items() if of_day["0d"] == "ripe"}
        within = {day + n * timedelta(days=1) for day in ripe for n in (0, 1)}
        assert {row["ds"] for row in rewards} == within & {row["ds"] for row in root.plays}
        assert {row["ds"] for row in led_to} <= within
        return Rows(root.expect([row for row in root.impressions if row["ds"] in statuses], statuses))

    for events in (IMPRESSIONS, ATTRIBUTED, REWARDS, DECLARED):
        monkeypatch.setitem(CONTRACTS, events.name, events.contract)
    twins = {"Job": LaidStep, "reward_impressions": reward, "add_new_columns": lambda rows, contract: rows}
    for name, twin in {**twins, "IMPRESSION_REWARD_TABLES": (DECLARED,)}.items():
        monkeypatch.setattr(build_impression_rewards, name, twin)
    return root


def shown_on(n):
    return impression(impression_id=f"i{n}", shown_at=MIDNIGHT + n * DAY + DAY / 4)


def play_on(n, name=""):
    return session_play(play_id=f"p{n}{name}", played_at=MIDNIGHT + n * DAY + DAY / 2)


def test_impressions_are_rewarded_once_no_play_can_come_and_again_as_horizons_pass(nights):
    for night, day in enumerate(DAYS[:5]):
        nights.deliver([shown_on(night)], [play_on(night)])
        # a day on which plays can still come, one when none can, and those on which two days of plays of it are over
        assert nights.build() == [each for n in (3, 2, 1, 0) if (each := day - n * DAY) >= DAYS[0]]
    rows = {row["impression_id"]: row for row in nights.check()}
    assert rows["i1"]["status_2d"] == "ripe" and rows["i1"]["plays"] == 1
    assert rows["i3"]["status_0d"] == "ripe" and rows["i3"]["goes_on_2d"] is None
    assert rows["i4"]["status_0d"] == "unripe" and rows["i4"]["plays"] is None
    assert nights.build() == []


def test_late_plays_and_impressions_make_their_days_again(nights):
    nights.deliver([shown_on(n) for n in range(6)], [play_on(n) for n in range(6)])
    nights.build()
    nights.deliver(plays=[play_on(2, "late")])
    # what was shown on the day, and on the day before it
    assert nights.build() == DAYS[1:3]
    nights.check()
    nights.deliver([impression(impression_id="late", shown_at=MIDNIGHT + 3 * DAY + DAY / 3)])
    assert DAYS[3] in nights.build()
    rows = {row["impression_id"]: row["plays"] for row in nights.check()}
    assert rows["i3"] == 0 and rows["late"] == 1


@pytest.mark.parametrize("table", ["attributions", "play_rewards"])
def test_days_wait_while_what_is_known_of_their_plays_is_behind(nights, table):
    """Impressions would have led to nothing, and rewards not apply, for whoever trains on what is ripe."""
    for n in range(2):
        nights.deliver([shown_on(n)], [play_on(n)])
        nights.build()
    late = impression(impression_id="late", shown_at=MIDNIGHT + 1.8 * DAY)
    nights.deliver(
        [shown_on(2), late], [session_play(play_id="night", played_at=MIDNIGHT + 2.1 * DAY)], [table]
    )
    # of the newest day nothing is known, whatever there is
    assert nights.build() == [DAYS[2]], f"days were made of {table} that lack the newest plays"
    getattr(nights, f"publish_{table}")(DAYS[:3])
    assert nights.build() == DAYS[:2], f"days that have waited are not made once {table} are there"
    rows = {row["impression_id"]: row for row in nights.check()}
    assert (rows["late"]["plays"], rows["late"]["completed"]) == (1, True)
    assert nights.build() == []


def test_a_late_impression_waits_until_attributions_know_it(nights):
    for n in range(3):
        nights.deliver([shown_on(n)], [play_on(n)])
    nights.build()
    nights.deliver([impression(impression_id="late", shown_at=MIDNIGHT + DAY / 3)], skip=["attributions"])
    assert nights.build() == [], "a day was made of attributions that lack an impression of it"
    nights.deliver([shown_on(3)], [play_on(3)], skip=["attributions"])
    assert nights.build() == [DAYS[3]]
    nights.publish_attributions(DAYS[:4])
    assert nights.build() == DAYS[:3]
    nights.check()


def test_without_a_declaration_there_is_no_step(tmp_path):
    with pytest.raises(WrongUsage, match="declare ImpressionRewards"):
        build_impression_rewards.main(["--root", str(tmp_path)])
