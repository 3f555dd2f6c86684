"""Windows of several groups in one pass, against all plays in plain Python."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta

from features.windows.label_passes import DayCount, Windows, add_values
from features.windows.label_time import LabelTimeFeatures
from reference import outcomes
from reference.frames import frame
from reference.partials import partials
from reference.rows import same
from reference.windows import by_entity, is_near, value
from reference.worlds import DAY, history
from schemas.declarations import USER, Feature, FeatureGroup
from schemas.outcomes import look_ahead
from schemas.sessions import SESSIONS

# Of each way to merge parts some; two groups have parts of one name.
BACK = FeatureGroup(
    table="back_features",
    keys=USER,
    meaning="before a play",
    where="not is_bot",
    features=(
        Feature("plays", "count", "play_id", "plays", ("1d", "7d")),
        Feature("completion", "mean", "completion", "share", ("7d",), default=-1.0),
        Feature("tracks", "last_k", "track_id", "ids", ("7d",), k=3),
        Feature("plays", "trend", "play_id", "growth", ("1d",)),
    ),
)
_PAIR = FeatureGroup(
    table="pair_features",
    keys=("user_id", "artist_id"),
    meaning="after a play",
    features=(
        Feature("plays", "count", "play_id", "plays", ("1d", "7d")),
        Feature("saved", "count", "saved", "plays", ("7d",), where="skipped"),
        Feature("ms", "max", "ms_played", "ms", ("2d",)),
    ),
)
PAIR = replace(_PAIR, features=tuple(look_ahead(f, _PAIR, f.windows) for f in _PAIR.features))
DAYS = 8


def test_windows_of_several_groups_are_each_of_its_own_plays_and_label_days(spark):
    world, feature_days = history(17)
    ties = [play | {"play_id": f"tie {play['play_id']}", "ms_played": 5} for play in world[:60]]
    world = [*world, *ties]
    days = sorted({ds for ds, n in Counter(play["ds"] for play in world).most_common(6)} | {*feature_days})
    labels = [play for play in world if play["ds"] in days]
    # of some days one group has no value
    label_days = {BACK.table: tuple(days), PAIR.table: tuple(days[1:])}
    computed = compute(spark, world, labels, label_days)
    assert sorted(row["play_id"] for row in computed) == sorted(label["play_id"] for label in labels)
    plays, values = {group.table: by_entity(world, group) for group in (BACK, PAIR)}, Counter()
    for row in computed:
        for name, expected in define(plays, row, label_days):
            assert same(expected, row[name]) or is_near(expected, row[name], 4e-12), (
                f"{name} of {row}: expected {expected!r}, got {row[name]!r}"
            )
            values[name, str(expected)] += 1
    for name in {name for name, _ in values}:
        assert len([count for (each, _), count in values.items() if each == name]) > 2, f"{name} shows little"


def compute(spark, world, labels, label_days):
    plays, windows = frame(spark, world, SESSIONS), []
    for group, ahead in ((BACK, False), (PAIR, True)):
        names = tuple(f.name(w) for f, w in group.feature_windows)
        request = LabelTimeFeatures(group, names, label_days[group.table], ahead)
        tiles = partials(world, group, request.partial_days)
        windows.append(Windows(request, frame(spark, tiles, group.partials_contract()), plays))
        assert windows[-1].fits
    pair_days = label_days[PAIR.table]
    after = sorted({ds + n * DAY for ds in pair_days for n in range(DAYS + 2)})
    active = frame(spark, partials(world, PAIR, after), PAIR.partials_contract())
    rows = frame(spark, labels, SESSIONS)
    counts = [DayCount("active", PAIR, DAYS, pair_days, active)]
    return add_values(rows, rows, "play_id", "played_at", windows, counts).toArrow().to_pylist()


def define(plays_by_group, label, label_days):
    """Of a label, each column and its value."""
    at, own = label["played_at"], label["play_id"]
    for group in (BACK, PAIR):
        keys = tuple(label[key] for key in group.keys)
        known = None not in keys and label["ds"] in label_days[group.table]
        plays = plays_by_group[group.table].get(keys, [])
        for feature, window in group.feature_windows:
            if group is PAIR:
                name, expected = (
                    feature.name(f"next_{window}"),
                    outcomes.outcome(plays, feature, window, at, own),
                )
            else:
                name, expected = feature.name(window), value(plays, feature, window, at)
                expected = feature.empty_value if expected is None else expected
            yield f"{group.table}__{name}", expected if known else None
    active = {play["ds"] for play in plays if timedelta(0) < play["ds"] - label["ds"] < DAYS * DAY}
    yield "active", len(active) if known else None
