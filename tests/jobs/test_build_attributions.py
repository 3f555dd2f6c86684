"""Which days attributions are made of again: after late plays and impressions, other rules, and moved watermarks.

Loops stand in for Spark; `test_attributions` has them agree.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from random import Random

import pytest
from simulation.laid import LaidStep, remove_spark
from simulation.laid_files import read
from simulation.loops import Rows
from simulation.root import Killed, kill_at_commit

from jobs import build_attributions, retract, retraction_targets
from jobs.build_attributions import name_days
from jobs.errors import WrongUsage
from jobs.graph import Step, sort_steps
from jobs.publishing.state import DayState, TableState, find_limit
from jobs.publishing.warehouse import Warehouse
from reference.attributions import attributions
from reference.published import pass_every_batch
from reference.rows import assert_same
from reference.shown import (
    CATALOGUE_COLUMNS,
    CONTENTS,
    LAST_TOUCH,
    RULES,
    impression,
    is_seen,
    shown_and_played,
)
from reference.worlds import DAY, MIDNIGHT, session_play
from schemas import CONTRACTS
from schemas.attributions import AttributionRule, Attributions
from schemas.impressions import IMPRESSIONS
from schemas.tracks import TRACKS

DECLARED = Attributions(RULES)
STEPS = (
    Step("ingest-impressions", "", "", makes=("impressions",)),
    Step("build-attributions", "", "", needs=("impressions",), makes=("attributions",)),
)
DAYS = [(MIDNIGHT + n * DAY).date() for n in range(5)]


class Nights:
    """A root with sessions and impressions, and the step that joins them."""

    def __init__(self, root):
        self.root, self.plays, self.impressions = str(root), [], []

    def deliver(self, impressions=(), plays=()):
        job = LaidStep("test", self.root)
        if impressions:
            self.impressions += impressions
            batch = job.batch("impressions", appends=True, parameters={"rows": len(self.impressions)})
            job.publish(batch, impressions)
        if plays:
            self.plays += plays
            days = sorted({row["ds"] for row in plays})
            rows = [row for row in self.plays if row["ds"] in days]
            job.publish(job.batch("sessions", days, parameters={"rows": len(self.plays)}), rows)

    def build(self, *arguments):
        """The days that were made."""
        before = self.state()
        assert build_attributions.main(["--root", self.root, *arguments]) == 0
        after = self.state()
        return [day for day in after.days if after.day_states[day] != before.day_states.get(day)]

    def state(self):
        return Warehouse(self.root).state("attributions") or TableState(0)

    def check(self):
        actual = [
            {k: v for k, v in row.items() if k not in ("_file", "attribution_id", "available_at")}
            for row in read(Warehouse(self.root).table("attributions"))
        ]
        expected = attributions(self.plays, self.impressions, RULES, is_seen)
        assert_same(expected, actual, ("rule_id", "play_id"), self.plays, "user_id")
        return len(expected)


@pytest.fixture
def nights(tmp_path, monkeypatch):
    def attribute(plays, impressions, rules):
        rows = attributions(plays, impressions, rules, is_seen)
        return Rows(row | {"attribution_id": f"{row['rule_id']} {row['play_id']}"} for row in rows)

    for events in (IMPRESSIONS, DECLARED):
        monkeypatch.setitem(CONTRACTS, events.name, events.contract)
    twins = {"Job": LaidStep, "attribute_plays": attribute, "add_new_columns": lambda rows, contract: rows}
    for name, twin in {**twins, "ATTRIBUTION_TABLES": (DECLARED,)}.items():
        monkeypatch.setattr(build_attributions, name, twin)
    return Nights(tmp_path / "root")


@pytest.mark.parametrize("seed", range(2))
def test_nights_of_late_rows_end_as_one_run(nights, seed):
    rng = Random(seed)
    impressions, plays = shown_and_played(seed, 60)
    while impressions or plays:
        counts = rng.randint(1, 160), rng.randint(1, 100)
        shown, played = (
            [rows.pop() for _ in range(min(n, len(rows)))]
            for n, rows in zip(counts, (impressions, plays), strict=True)
        )
        nights.deliver(shown, played)
        nights.build()
        nights.check()
    assert nights.build() == [] and nights.check() > 20


def test_a_late_row_makes_its_day_again_and_those_that_it_can_lead_to(nights):
    shown = [impression(impression_id=f"{n}", shown_at=MIDNIGHT + n * DAY) for n in (1, 2, 3)]
    plays = [session_play(play_id=f"{n}", played_at=MIDNIGHT + n * DAY) for n in range(5)]
    nights.deliver(shown, plays)
    # on the first day nothing had been shown yet
    assert nights.build() == DAYS[1:]
    assert nights.check() == 3
    late = MIDNIGHT + 2 * DAY + timedelta(hours=1)
    nights.deliver([impression(impression_id="late", shown_at=late)])
    assert nights.build() == DAYS[2:4]
    nights.deliver(plays=[session_play(play_id="late", played_at=late)])
    assert nights.build() == [DAYS[2]]
    nights.check()
    nights.deliver([impression(impression_id="first", shown_at=MIDNIGHT)])
    assert nights.build() == DAYS[:2]
    assert nights.check() == 5


def test_days_on_which_nothing_is_led_to_are_made_once(nights):
    nights.deliver(
        [impression(item_id="nobody's")],
        [session_play(play_id=f"{n}", played_at=MIDNIGHT + n * DAY) for n in range(3)],
    )
    assert nights.build() == DAYS[:3]
    assert nights.build() == []
    assert [nights.state().day_states[day].rows for day in DAYS[:3]] == [0, 0, 0]
    # a day that is named is made whatever is there
    assert nights.build("--day", str(DAYS[1])) == []


def test_days_keep_the_catalogue_of_the_night_in_which_they_were_made(nights, monkeypatch):
    declared = Attributions((CONTENTS,))

    def join(plays, tracks, columns):
        albums = {row["track_id"]: row for row in tracks}
        return [play | {name: albums[play["track_id"]][name] for name in columns} for play in plays]

    def attribute(plays, impressions, rules):
        rows = attributions(plays, impressions, rules)
        return Rows(row | {"attribution_id": row["play_id"]} for row in rows)

    monkeypatch.setitem(CONTRACTS, "tracks", TRACKS.extend(CATALOGUE_COLUMNS))
    twins = {"add_catalogue_columns": join, "attribute_plays": attribute, "ATTRIBUTION_TABLES": (declared,)}
    for name, twin in twins.items():
        monkeypatch.setattr(build_attributions, name, twin)

    def deliver_catalogue(album):
        job = LaidStep("test", nights.root)
        track = {"track_id": "t1", "album_id": album, "playlists": ["p1"], "source": "test"}
        job.publish(job.batch("tracks", parameters={"album": album}), Rows([track]))

    def find_items():
        rows = read(Warehouse(nights.root).table("attributions"))
        return {row["ds"]: (row["item_type"], row["item_id"]) for row in rows}

    deliver_catalogue("a1")
    shown = [("album", "a1"), ("album", "a2"), ("playlist", "p1")]
    nights.deliver(
        [
            impression(impression_id=f"{n}", item_type=kind, item_id=item, shown_at=MIDNIGHT + n * DAY)
            for n, (kind, item) in enumerate(shown)
        ],
        [session_play(play_id=f"{n}", track_id="t1", played_at=MIDNIGHT + n * DAY) for n in range(3)],
    )
    assert nights.build() == DAYS[:3]
    assert find_items() == {DAYS[0]: shown[0], DAYS[2]: shown[2]}
    deliver_catalogue("a2")
    assert nights.build() == [] and find_items() == {DAYS[0]: shown[0], DAYS[2]: shown[2]}
    # a day that is named has the newest
    nights.build("--day", str(DAYS[1]))
    assert find_items() == {DAYS[0]: shown[0], DAYS[1]: shown[1], DAYS[2]: shown[2]}


def test_impressions_that_are_taken_out_lead_to_nothing_any_more(nights, monkeypatch, capsys):
    """By id, source and day, all of which must hold; the day of a play at either end, and then all that is left."""
    pass_every_batch(monkeypatch)
    remove_spark(monkeypatch)
    monkeypatch.setattr(retraction_targets, "EVENT_TABLES", (IMPRESSIONS,))
    monkeypatch.setattr(retract, "FLOW", sort_steps(STEPS))
    shown = [
        impression(impression_id=f"{n}", shown_at=MIDNIGHT + n * DAY, source=("app", "web")[n % 2])
        for n in range(4)
    ]
    nights.deliver(shown, [session_play(play_id=f"{n}", played_at=MIDNIGHT + n * DAY) for n in range(4)])
    assert nights.build() == DAYS[:4] and nights.check() == 4

    def leave(left, *arguments):
        code = retract.main(["--root", nights.root, "--table", "impressions", *arguments])
        nights.impressions = [each for each in shown if each["impression_id"] in left]
        kept = read(Warehouse(nights.root).table("impressions"))
        assert {row["impression_id"] for row in kept} == set(left)
        return code

    assert leave("0123", "--of-source", "app", "--id", "1") == 1
    assert "1 of 1 ids are not in impressions, or not of the given days and source" in capsys.readouterr().out
    assert leave("023", "--of-source", "web", "--day", str(DAYS[1])) == 0
    # the window of a day reaches into the next
    assert nights.build() == DAYS[1:3]
    nights.check()
    assert leave("2", "--id", "0", "3") == 0
    nights.build()
    assert nights.check() == 1
    assert leave("", "--day", str(DAYS[2])) == 0
    assert nights.state().days == [], "days remain that nothing makes again"


def test_without_any_impression_nothing_is_led_to_on_later_days_either(nights, monkeypatch):
    """The window of the last day reaches into the next one, and no step runs without impressions."""
    pass_every_batch(monkeypatch)
    remove_spark(monkeypatch)
    monkeypatch.setattr(retraction_targets, "EVENT_TABLES", (IMPRESSIONS,))
    monkeypatch.setattr(retract, "FLOW", sort_steps(STEPS))
    evening, night = MIDNIGHT + timedelta(hours=20), MIDNIGHT + timedelta(hours=2)
    shown = [impression(impression_id=f"{n}", shown_at=evening + n * DAY) for n in range(2)]
    nights.deliver(shown, [session_play(play_id=f"{n}", played_at=night + n * DAY) for n in range(4)])
    assert nights.build() == DAYS[:4] and nights.check() == 2
    assert retract.main(["--root", nights.root, "--table", "impressions", "--id", "0", "1"]) == 0
    assert nights.state().days == [], "what impressions led to stays when there are none"
    assert read(Warehouse(nights.root).table("attributions")) == []


def test_what_a_killed_retraction_left_of_the_first_impressions_is_gone_with_the_next_build(
    nights, monkeypatch
):
    pass_every_batch(monkeypatch)
    remove_spark(monkeypatch)
    monkeypatch.setattr(retraction_targets, "EVENT_TABLES", (IMPRESSIONS,))
    shown = [impression(impression_id=f"{n}", shown_at=MIDNIGHT + n * DAY) for n in range(3)]
    nights.deliver(shown, [session_play(play_id=f"{n}", played_at=MIDNIGHT + n * DAY) for n in range(3)])
    assert nights.build() == DAYS[:3]
    with pytest.raises(Killed), kill_at_commit(lambda table: table == "impressions", after=True):
        retract.main(["--root", nights.root, "--table", "impressions", "--id", "0"])
    nights.impressions = shown[1:]
    nights.build()
    assert nights.state().days == DAYS[1:3] and nights.check() == 2


def test_retract_takes_no_rows_of_a_table_that_nothing_is_ingested_into(tmp_path):
    with pytest.raises(WrongUsage, match="--table 'sessions' is unknown; known: plays"):
        retract.main(["--root", str(tmp_path), "--table", "sessions", "--day", "2026-01-01"])


def test_without_rules_there_is_no_step(tmp_path):
    with pytest.raises(WrongUsage, match="declare Attributions"):
        build_attributions.main(["--root", str(tmp_path)])


def state(*days, complete_through=None):
    parts = {day: DayState(1, day.day, day.day, "test") for day in days}
    return TableState(1, parts, complete_through=complete_through)


def test_name_days_follows_the_rules_and_both_tables():
    names = dict(name_days(DECLARED, state(*DAYS[1:]), state(*DAYS)))
    assert list(names) == DAYS[1:] and len(set(names.values())) == 4
    # what a rule means decides, what is said of it does not
    same = replace(LAST_TOUCH, window="24h", meaning="as everybody does it")
    assert dict(name_days(Attributions((same, RULES[1])), state(*DAYS[1:]), state(*DAYS))) == names
    for rule in (
        replace(LAST_TOUCH, window="23h"),
        replace(LAST_TOUCH, where="seen"),
        AttributionRule("other", "1d"),
    ):
        others = dict(name_days(Attributions((rule, RULES[1])), state(*DAYS[1:]), state(*DAYS)))
        assert not set(others.values()) & set(names.values())
    # a window of a day and more reaches one day further
    longer = Attributions((replace(LAST_TOUCH, window="25h"),))
    without = dict(name_days(longer, state(DAYS[0], *DAYS[2:]), state(*DAYS)))
    with_all = dict(name_days(longer, state(*DAYS), state(*DAYS)))
    assert [day for day in DAYS if without[day] != with_all[day]] == DAYS[1:4]


def test_a_day_is_provisional_while_impressions_may_still_come():
    noon = datetime.combine(DAYS[2], time(12), UTC)
    # the third day is not there at all yet, and still may come
    shown = state(*DAYS[:2], complete_through=noon)
    limits = {day: find_limit(name) for day, name in name_days(DECLARED, shown, state(*DAYS))}
    assert limits == dict.fromkeys(DAYS[:2]) | dict.fromkeys(DAYS[2:], noon)
