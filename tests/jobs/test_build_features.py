"""Late plays and new declarations make anew what they touch, and nothing else; what changed is on record."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import timedelta

import pytest

from features.windows.tiles import tiles_ending_on
from jobs import build_features
from jobs.errors import WrongUsage
from jobs.job import Job
from jobs.publishing.records import read_results
from reference.frames import frame
from reference.published import NOON, opening, pass_every_batch, publish
from reference.rows import assert_same
from reference.three_features import THREE_FEATURES, declare_three_features
from reference.windows import window_features as expected_features
from schemas.declarations import Feature, FeatureGroup
from schemas.sessions import SESSIONS

LENGTH = 10
DAYS = [(NOON + timedelta(days=n)).date() for n in range(LENGTH)]
LATE = 3  # the day that a late play is of
GAP = 6  # a day without plays

# Which days are made again is the same for all features; `test_flow` has them all.
GROUP = THREE_FEATURES
STEP = ("build-user-features",)


def world(late=False):
    """A few plays a day by two listeners; the late one is of one of them alone."""
    rows = [
        opening(f"p{n}-{m}", NOON + timedelta(days=n, minutes=m), user_id=f"u{m % 2}", ms_played=1000 * n + m)
        for n in range(LENGTH)
        for m in range(4)
        if n != GAP
    ]
    return rows + [opening("late", NOON + timedelta(days=LATE, hours=3), user_id="u1")] * late


@pytest.fixture(scope="module")
def three_features():
    with pytest.MonkeyPatch.context() as patch:
        pass_every_batch(patch)
        declare_three_features(patch)
        yield


@pytest.fixture(scope="module")
def root(spark, three_features, tmp_path_factory):
    """Features of all days; then a play of an old day comes in."""
    root = str(tmp_path_factory.mktemp("features") / "root")

    def job(run):
        return Job("test", root, run, say=lambda text: None)

    days = [day for day in DAYS if day != DAYS[GAP]]
    publish(job("first"), frame(spark, world(), SESSIONS), days)
    assert build_features.main([*STEP, "--root", root, "--run-id", "first"]) == 0
    before = {name: job("look").state(name) for name in ("user_partials", "user_features")}
    late = [row for row in world(late=True) if row["ds"] == DAYS[LATE]]
    publish(job("second"), frame(spark, late, SESSIONS), [DAYS[LATE]])
    assert build_features.main([*STEP, "--root", root, "--run-id", "second"]) == 0
    return root, before, {name: job("look").state(name) for name in before}


def differ(before, after):
    return [day for day in after.days if after.day_states[day] != before.day_states[day]]


def test_a_late_play_opens_its_day_and_the_days_that_tiles_with_it_end_on(root):
    _, before, after = root
    touched = [
        day for day in DAYS if any(tile.first <= DAYS[LATE] <= tile.ds for tile in tiles_ending_on(day))
    ]
    assert 1 < len(touched) < LENGTH - LATE, "all days would be touched anyway: choose another day"
    assert differ(before["user_partials"], after["user_partials"]) == touched
    opened = [day for day in DAYS[LATE:] if day != DAYS[GAP]]
    assert differ(before["user_features"], after["user_features"]) == opened


def test_features_are_those_of_all_plays_whenever_they_came(spark, root):
    rows = Job("test", root[0], "look").read("user_features").drop("available_at").toArrow().to_pylist()
    over = [day for day in DAYS if day != DAYS[GAP]]
    wanted = expected_features(world(late=True), GROUP, over)
    assert_same(wanted, rows, ("user_id", "ds"), world(late=True), "user_id")


def test_which_features_changed_and_in_how_many_rows_is_on_record(root):
    results = read_results(Job("test", root[0], "look").warehouse, "second")
    changed = {r["column"]: r["unexpected_count"] for r in results if r["expectation"].endswith("_to_stay")}
    assert changed["plays_count_1d"] == 1, "only on the day itself, and for u1 alone"
    assert changed["plays_days_since_first_lifetime"] == 0
    assert changed["plays_count_30d"] == LENGTH - LATE - 1, (
        "u1's rows from that day on, but for the day without plays"
    )


def test_the_same_again_adds_nothing(root, capsys):
    assert build_features.main([*STEP, "--root", root[0], "--run-id", "third"]) == 0
    assert capsys.readouterr().out.count("unchanged") == 2


def test_a_new_declaration_is_computed_for_all_days(root, monkeypatch, tmp_path):
    """No partial of before has its part; null on days before its declaration, it would train nobody."""
    shutil.copytree(root[0], tmp_path / "root")
    longest = Feature("longest", "max", "ms_played", "ms", ("7d",))
    more = replace(GROUP, features=(*GROUP.features, longest))
    declare_three_features(monkeypatch, more)
    assert build_features.main([*STEP, "--root", str(tmp_path / "root"), "--run-id", "more"]) == 0
    rows = (
        Job("test", str(tmp_path / "root"), "look")
        .read("user_features")
        .drop("available_at")
        .toArrow()
        .to_pylist()
    )
    over = [day for day in DAYS if day != DAYS[GAP]]
    assert_same(
        expected_features(world(late=True), more, over), rows, ("user_id", "ds"), world(late=True), "user_id"
    )


def test_prose_of_a_declaration_makes_no_day_stale(root, monkeypatch, capsys):
    reworded = tuple(replace(f, meaning="in other words", owner="somebody else") for f in GROUP.features)
    declare_three_features(monkeypatch, replace(GROUP, features=reworded))
    assert build_features.main([*STEP, "--root", root[0], "--run-id", "reworded"]) == 0
    assert capsys.readouterr().out.count("unchanged") == 2


def test_days_with_a_fingerprint_of_before_are_not_made_again(root, monkeypatch, capsys, tmp_path):
    """Tables of before name a day by all that its declarations said, prose included."""
    shutil.copytree(root[0], tmp_path / "root")
    arguments = [*STEP, "--root", str(tmp_path / "root"), "--run-id"]
    with monkeypatch.context() as patch:
        patch.setattr(
            FeatureGroup, "identities", property(lambda group: [repr(feature) for feature in group.features])
        )
        # another window, so that days of that rule come into the log
        first, *rest = GROUP.features
        changed = replace(GROUP, features=(replace(first, windows=(*first.windows, "40d")), *rest))
        declare_three_features(patch, changed)
        assert build_features.main([*arguments, "before"]) == 0
        assert f"{len(DAYS) - 1} days to" in capsys.readouterr().out, "nothing was published by the old rule"
    declare_three_features(monkeypatch, changed)
    assert build_features.main([*arguments, "after"]) == 0
    assert capsys.readouterr().out.count("unchanged") == 2


@pytest.mark.parametrize(("argv", "got"), [([], "nothing"), (["--root", "r"], "--root")])
def test_the_step_comes_first(argv, got):
    with pytest.raises(WrongUsage, match=f"one of build-user-features, build-track-features.*got {got}"):
        build_features.main(argv)
