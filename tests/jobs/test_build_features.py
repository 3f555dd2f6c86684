"""Late plays and new declarations make anew what they touch, and nothing else; what changed is on record."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from features.windows.tiles import tiles_ending_on
from jobs import build_features, changed_rows
from jobs.errors import WrongUsage
from jobs.job import Job
from jobs.publishing.records import read_results
from reference.frames import frame
from reference.published import NOON, opening, pass_every_batch, publish
from reference.rows import assert_same, bucket
from reference.three_features import THREE_FEATURES, declare_three_features
from reference.windows import window_features as expected_features
from schemas.common import BUCKETS
from schemas.sessions import SESSIONS

LENGTH = 10
DAYS = [(NOON + timedelta(days=n)).date() for n in range(LENGTH)]
LATE = 3  # the day that a late play is of
GAP = 6  # a day without plays

# Which days are made again is the same for all features; `test_flow` has them all.
GROUP = THREE_FEATURES
STEP = ("build-user-features",)


def make_plays(late=False):
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
    publish(job("first"), frame(spark, make_plays(), SESSIONS), days)
    assert build_features.main([*STEP, "--root", root, "--run-id", "first"]) == 0
    before = {name: job("look").state(name) for name in ("user_partials", "user_features")}
    late = [row for row in make_plays(late=True) if row["ds"] == DAYS[LATE]]
    publish(job("second"), frame(spark, late, SESSIONS), [DAYS[LATE]])
    assert build_features.main([*STEP, "--root", root, "--run-id", "second"]) == 0
    return root, before, {name: job("look").state(name) for name in before}


def list_changed_days(before, after):
    return [day for day in after.days if after.day_states[day] != before.day_states[day]]


def test_build_features_after_a_late_play_updates_only_the_days_that_depend_on_it(root):
    _, before, after = root
    tile_days = [
        day for day in DAYS if any(tile.first <= DAYS[LATE] <= tile.ds for tile in tiles_ending_on(day))
    ]
    assert 1 < len(tile_days) < LENGTH - LATE, "all days would be touched anyway: choose another day"
    assert list_changed_days(before["user_partials"], after["user_partials"]) == tile_days
    feature_days = [day for day in DAYS[LATE:] if day != DAYS[GAP]]
    assert list_changed_days(before["user_features"], after["user_features"]) == feature_days


def test_build_features_after_a_late_play_agrees_with_plain_python(spark, root):
    rows = Job("test", root[0], "look").read("user_features").drop("available_at").toArrow().to_pylist()
    days = [day for day in DAYS if day != DAYS[GAP]]
    expected = expected_features(make_plays(late=True), GROUP, days)
    assert_same(expected, rows, ("user_id", "ds"), make_plays(late=True), "user_id")


def test_build_features_records_the_number_of_changed_rows_by_feature(root):
    results = read_results(Job("test", root[0], "look").warehouse, "second")
    row_counts = {
        r["column"]: r["unexpected_count"] for r in results if r["expectation"].endswith("_to_stay")
    }
    assert row_counts["plays_count_1d"] == 1, "only on the day itself, and for u1 alone"
    assert row_counts["plays_days_since_first_lifetime"] == 0
    assert row_counts["plays_count_30d"] == LENGTH - LATE - 1, (
        "u1's rows from that day on, but for the day without plays"
    )


def test_changed_rows_are_counted_in_some_buckets_where_there_are_many(root, monkeypatch):
    buckets = bucket("u1")  # the last of these is the one before u1's
    monkeypatch.setattr(changed_rows, "choose_buckets", lambda rows: buckets)
    job = Job("test", root[0], "sampled", say=lambda text: None)
    batch = job.batch(GROUP.table, DAYS, deterministic=False)
    changed_rows.record_changed_rows(job, GROUP, batch, root[1][GROUP.table], None)
    (result,) = (r for r in read_results(job.warehouse, "sampled") if r["column"] == "plays_count_1d")
    assert result["unexpected_count"] == 0, "only u1 has a late play"
    assert result["observed"] == f"0 rows changed, of those in {buckets} of {BUCKETS} buckets"


def test_buckets_to_compare_have_at_most_as_many_rows_or_are_one():
    most = changed_rows.MOST_ROWS
    assert [changed_rows.choose_buckets(n * most) for n in (0, 1, 2, 1000)] == [
        BUCKETS,
        BUCKETS,
        BUCKETS // 2,
        1,
    ]
    assert changed_rows.choose_buckets(most + 1) == BUCKETS - 1


def test_build_features_again_adds_nothing(root, capsys):
    assert build_features.main([*STEP, "--root", root[0], "--run-id", "third"]) == 0
    assert capsys.readouterr().out.count("unchanged") == 2


def test_build_features_leaves_days_as_they_are_after_prose_of_a_declaration_changed(
    root, monkeypatch, capsys
):
    reworded = tuple(replace(f, meaning="in other words", owner="somebody else") for f in GROUP.features)
    declare_three_features(monkeypatch, replace(GROUP, features=reworded))
    assert build_features.main([*STEP, "--root", root[0], "--run-id", "reworded"]) == 0
    assert capsys.readouterr().out.count("unchanged") == 2


@pytest.mark.parametrize(("argv", "argument"), [([], "nothing"), (["--root", "r"], "--root")])
def test_build_features_requires_the_step_as_first_argument(argv, argument):
    with pytest.raises(WrongUsage, match=f"one of build-user-features, build-track-features.*got {argument}"):
        build_features.main(argv)
