"""Windows that end at a label's own instant, against all plays before it in plain Python."""

from __future__ import annotations

from datetime import timedelta
from random import Random

import pyarrow as pa
import pytest

from features.windows.label_time import LabelTimeFeatures, label_time_features
from features.windows.partials import partial_rows
from reference.computed import calendar
from reference.frames import frame
from reference.rows import same
from reference.windows import by_entity, is_near, value
from reference.worlds import DAY, MIDNIGHT, US, history, session_play
from schemas.declarations import LIFETIME, TRACK, USER, Feature, FeatureGroup
from schemas.operations import NOT_AT_LABEL_TIME, OPERATIONS
from schemas.sessions import SESSIONS

WINDOWS = ("1d", "2d", "7d", "45d", LIFETIME)
GROUP = FeatureGroup(
    table="exact_features",
    keys=USER,
    meaning="all that can be had at an instant",
    where="not is_bot",
    features=(
        Feature("plays", "count", "play_id", "plays", WINDOWS),
        Feature("saved", "count", "saved", "plays", ("7d",), where="skipped"),
        Feature("ms", "sum", "ms_played", "ms", WINDOWS),
        Feature("completion", "mean", "completion", "share", ("2d", LIFETIME), default=-1.0),
        Feature("ms", "variance", "ms_played", "ms^2", ("7d",)),
        Feature("ms", "min", "ms_played", "ms", ("1d", "45d")),
        Feature("completion", "max", "completion", "share", ("2d",)),
        Feature("skips", "rate", "skipped", "share", ("7d", LIFETIME)),
        Feature("heard", "ratio", "ms_played", "share", ("45d",), per="track_ms"),
        Feature("tracks", "first", "track_id", "id", ("2d", "45d")),
        Feature("tracks", "last", "track_id", "id", ("1d", LIFETIME)),
        Feature("tracks", "last_k", "track_id", "ids", ("7d",), k=3),
        Feature("tracks", "top_k", "track_id", "ids", ("7d",), k=2),
        Feature("tracks", "entropy", "track_id", "bits", ("7d",)),
        Feature("tracks", "approx_distinct", "track_id", "tracks", ("7d",)),
        Feature("ms", "histogram", "ms_played", "plays", ("7d",), edges=(1, 30_000)),
        Feature("plays", "hours", "played_at", "shares", ("2d",)),
        Feature("plays", "trend", "play_id", "growth", ("1d", "7d")),
        Feature("plays", "decayed", "played_at", "plays", ("1d", "45d")),
        Feature("ms", "percentiles", "ms_played", "ms", ("7d",), at=(0.0, 1.0)),
        Feature("plays", "days_since_first", "played_at", "days", (LIFETIME,)),
        Feature("plays", "days_since_last", "played_at", "days", (LIFETIME,)),
    ),
)
QUARTER = timedelta(minutes=15)
LABELS = pa.schema(
    [
        ("user_id", pa.string()),
        ("at", pa.timestamp("us", "UTC")),
        ("feature.at", pa.int64()),
        ("ds", pa.string()),
    ]
)


def instants(world):
    """At plays, at plays a window ago, at midnights and quarters, each a microsecond before and after."""
    rng = Random(5)
    for play in rng.sample(world, 25):
        back = rng.choice((0, 0, 1, 2, 7, 14, 45)) * DAY
        for off in (-US, timedelta(0), US):
            yield play["user_id"], play["played_at"] + back + off
    for user in ("u", "u1", "nobody"):
        for place in (MIDNIGHT, MIDNIGHT + QUARTER, MIDNIGHT + 7 * DAY + 3 * QUARTER):
            yield from ((user, place + off) for off in (-US, timedelta(0), US))


def compute(spark, world, group, labels):
    sessions, days = frame(spark, world, SESSIONS), tuple(sorted({label["at"].date() for label in labels}))
    label_time = LabelTimeFeatures(group, tuple(f.name(w) for f in group.features for w in f.windows), days)
    group_partials = partial_rows(sessions, group, calendar(world, days), None)
    rows = spark.createDataFrame(pa.Table.from_pylist(labels, LABELS))
    return label_time_features(rows, group_partials, sessions, label_time, "at").toArrow().to_pylist()


@pytest.mark.product_settings
def test_label_time_features_are_of_plays_up_to_the_instant_itself(spark):
    world, _ = history(17)
    labels = [
        {"user_id": user, "at": at, "feature.at": n, "ds": "mine"}
        for n, (user, at) in enumerate(instants(world))
    ]
    labels += [labels[0], labels[1] | {"user_id": None, "feature.at": -1}]
    rows = compute(spark, world, GROUP, labels)
    assert sorted(row["feature.at"] for row in rows) == sorted(label["feature.at"] for label in labels)
    plays_by_user, value_count = by_entity(world, GROUP), 0
    for row in rows:
        plays = plays_by_user.get((row["user_id"],), [])
        for feature in GROUP.features:
            for window in feature.windows:
                expected = value(plays, feature, window, row["at"])
                expected = feature.empty_value if expected is None else expected
                expected = None if row["user_id"] is None else expected  # of nobody, nothing is known
                actual = row[f"{GROUP.table}__{feature.name(window)}"]
                assert same(expected, actual) or is_near(expected, actual, 4e-12), (
                    f"{feature.name(window)} of {row['user_id']!r} at {row['at']}: expected {expected!r}, "
                    f"got {actual!r}; plays {sorted(str(p['played_at']) for p in plays)}"
                )
                value_count += expected != feature.empty_value
    assert value_count > 1000, "nearly all is nothing, so this shows little"


def test_label_time_features_count_a_crowd_at_one_track_to_the_microsecond(spark):
    """Thousands of plays within an hour: whole quarters are folded once, the cut one play by play."""
    group = FeatureGroup(
        "crowd_features", TRACK, "m", (Feature("p", "count", "play_id", "plays", ("1d", LIFETIME)),)
    )
    begin = MIDNIGHT + timedelta(hours=5)
    world = [
        session_play(play_id=str(n), track_id="hit", played_at=begin + n * timedelta(seconds=1))
        for n in range(4000)
    ]
    labels = pa.table(
        {
            "track_id": ["hit"] * 4,
            "at": pa.array(
                [begin + timedelta(seconds=s) for s in (0, 1, 1234, 9999)], pa.timestamp("us", "UTC")
            ),
        }
    )
    sessions = frame(spark, world, SESSIONS)
    label_time = LabelTimeFeatures(group, ("p_count_1d", "p_count_lifetime"), (begin.date(),))
    group_partials = partial_rows(sessions, group, calendar(world, [begin.date()]), None)
    table = (
        label_time_features(spark.createDataFrame(labels), group_partials, sessions, label_time, "at")
        .toArrow()
        .sort_by("at")
    )
    assert table["crowd_features__p_count_1d"].to_pylist() == [0, 1, 1234, 4000]


def test_label_time_features_of_few_labels_fold_no_play_of_another_key(spark):
    group = FeatureGroup(
        "rate_features", TRACK, "m", (Feature("x", "sum", "60000 / ms_played", "m", ("1d",), type="double"),)
    )
    world = [
        session_play(play_id=f"{track} {n}", track_id=track, ms_played=ms, played_at=MIDNIGHT - n * QUARTER)
        for track, ms in (("hit", 30_000), ("cannot be folded", 0))
        for n in (1, 2)
    ]
    ends = [MIDNIGHT - QUARTER, MIDNIGHT - QUARTER + US]
    labels = pa.table({"track_id": ["hit"] * 2, "at": pa.array(ends, pa.timestamp("us", "UTC"))})
    sessions, day = frame(spark, world, SESSIONS), ends[0].date()
    of_hit = partial_rows(sessions.where("track_id = 'hit'"), group, calendar(world, [day]), None)
    label_time = LabelTimeFeatures(group, ("x_sum_1d",), (day,))
    rows = label_time_features(
        spark.createDataFrame(labels), of_hit, sessions, label_time, "at", few_labels=True
    )
    assert rows.toArrow().sort_by("at")["rate_features__x_sum_1d"].to_pylist() == [2.0, 4.0]


def test_label_time_features_refuse_what_has_no_value_at_an_instant():
    assert set(NOT_AT_LABEL_TIME) == OPERATIONS.keys() - {feature.op for feature in GROUP.features}
    group = FeatureGroup("g", USER, "m", (Feature("x", "distinct", "track_id", "m", ("7d",)),))
    for column in ("x_distinct_7d", "x_count_7d"):
        with pytest.raises(ValueError, match=f"g:{column} cannot be had"):
            LabelTimeFeatures(group, (column,), ())
