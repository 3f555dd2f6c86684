"""Outcomes, which begin at a label's own instant, against loops over all plays; and whether they are known."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta
from random import Random

import pyarrow as pa
import pytest

from features.joins.ripeness import STATUSES, Observation, status_name
from features.windows import definitions
from features.windows.label_time import LabelTimeFeatures, label_time_features
from features.windows.partials import partial_rows
from features.windows.tiles import Tile
from reference import outcomes as reference
from reference.computed import calendar
from reference.frames import frame
from reference.rows import same
from reference.windows import by_entity, is_near, value
from reference.worlds import DAY, MIDNIGHT, US, history, session_play
from schemas.declarations import USER, Feature, FeatureGroup
from schemas.operations import LIFETIME, OPERATIONS
from schemas.outcomes import NOT_AHEAD
from schemas.sessions import SESSIONS

HORIZONS = ("1d", "2d", "7d", "45d")
GROUP = FeatureGroup(
    table="next_features",
    keys=USER,
    meaning="what came after a label",
    where="not is_bot",
    # parts are merged as they are for windows that end: what differs is at both ends, so a few show it
    features=(
        Feature("plays", "count", "play_id", "plays", HORIZONS),
        Feature("completion", "mean", "completion", "share", ("2d",), default=-1.0),
        Feature("tracks", "last_k", "track_id", "ids", ("7d",), k=3),
    ),
)
COLUMNS = tuple(feature.name(window) for feature, window in GROUP.feature_windows)
LABELS = pa.schema(
    [
        ("user_id", pa.string()),
        ("at", pa.timestamp("us", "UTC")),
        ("play_id", pa.string()),
        ("n", pa.int64()),
    ]
)


def draw_instant(rng):
    """Around midnights and quarters of an hour more often than chance would have it."""
    place = rng.choice((0, 1, 899, 900, 43_200, 86_399, rng.randrange(86_400))) * timedelta(seconds=1)
    return MIDNIGHT + rng.randrange(50) * DAY + place + rng.choice((-US, timedelta(0), US))


def count_coverage(ahead, i, t, instant):
    """In how many of the pieces that the i-th window of a label at `t` is merged from a play is."""
    tiles = [Tile(ds, span) for day, ds, span, bits in ahead.plan if day == t.date() and bits >> i & 1]
    in_tiles = sum(tile.first <= instant.date() <= tile.ds for tile in tiles)
    cuts = [(t + n * DAY, before) for n, bits, before in ahead.edges if bits >> i & 1]
    return in_tiles + sum(
        cut.date() == instant.date() and (instant < cut if before else instant >= cut) for cut, before in cuts
    )


@pytest.mark.parametrize("ahead", [True, False])
def test_pieces_of_a_window_hold_each_of_its_instants_once_and_no_other(ahead):
    rng, inside = Random(11), 0
    group = replace(
        GROUP, features=(Feature("plays", "count", "play_id", "plays", ("1d", "2d", "7d", "33d")),)
    )
    names = tuple(f.name(w) for f, w in group.feature_windows)
    for _ in range(500):
        t = draw_instant(rng)
        request = LabelTimeFeatures(group, names, (t.date(),), ahead)
        for i, window in enumerate(request.windows):
            w = reference.days(window)
            begin, end = (t, t + w) if ahead else (t - w, t)
            around = [edge + off for edge in (begin, end) for off in (-US, timedelta(0), US)]
            for instant in (*around, draw_instant(rng)):
                expected = begin <= instant < end
                assert count_coverage(request, i, t, instant) == expected, (window, t, instant)
                inside += expected
    assert inside > 5000


def draw_case(rng):
    """Plays of one listener around a label and its horizon, ties at both ends; the label may be one of them."""
    t, horizon = draw_instant(rng), rng.choice(HORIZONS)
    h = reference.days(horizon)
    places = (timedelta(0), timedelta(0), h, -h, h / 2, -h / 2, rng.randrange(90) * DAY - 45 * DAY)
    plays = [
        session_play(
            play_id=f"p{n}",
            played_at=t + rng.choice(places) + rng.choice((-US, timedelta(0), timedelta(0), US)),
            ms_played=rng.choice((None, 0, 1, 30_000, 200_000)),
            skipped=rng.choice((True, False, None)),
            track_id=rng.choice("abc"),
        )
        for n in range(rng.randrange(8))
    ]
    own = rng.choice([None, "p9", *[play["play_id"] for play in plays]])
    return plays, t, horizon, own


def define_outcome(plays, feature, horizon, t, own):
    inputs = definitions.inputs(feature)
    rows = [
        definitions.Play(p["played_at"], p["play_id"], {sql: p.get(sql, True) for sql in inputs})
        for p in plays
    ]
    return definitions.outcome(rows, feature, horizon, t, own)


SIMPLE = (
    Feature("plays", "count", "play_id", "plays"),
    Feature("ms", "sum", "ms_played", "ms"),
    Feature("tracks", "first", "track_id", "id"),
    Feature("skips", "rate", "skipped", "share"),
)


def test_outcomes_by_definition_are_of_the_plays_after_the_label_but_its_own():
    rng, own_plays, values = Random(3), 0, 0
    for _ in range(3000):
        plays, t, horizon, own = draw_case(rng)
        for feature in SIMPLE:
            expected = reference.outcome(plays, feature, horizon, t, own)
            actual = define_outcome(plays, feature, horizon, t, own)
            assert same(expected, actual), (feature.name(horizon), t, own, plays)
            values += expected not in (None, 0)
        own_plays += any(play["play_id"] == own and play["played_at"] == t for play in plays)
    assert own_plays > 200 and values > 2000, "hardly a label is a play, or nearly all is nothing"


def test_no_play_after_the_horizon_changes_an_outcome_and_none_within_it_a_feature():
    rng = Random(5)
    for _ in range(2000):
        plays, t, horizon, own = draw_case(rng)
        end = t + reference.days(horizon)
        changed = {"ms_played": 77, "track_id": "z", "skipped": True}
        beyond = [play | changed if play["played_at"] >= end else play for play in plays]
        within = [play | changed if t <= play["played_at"] < end else play for play in plays]
        for feature in SIMPLE:
            outcomes = [define_outcome(each, feature, horizon, t, own) for each in (plays, beyond)]
            features = [value(each, feature, horizon, t) for each in (plays, within, beyond)]
            assert outcomes[0] == outcomes[1] and features[0] == features[1] == features[2]


def make_twins(world, users, t):
    """Listeners with the same plays but those a week after `t` and later, which are others and more."""
    for user in users:
        for play in [play for play in world if play["user_id"] == user]:
            late = play["played_at"] >= t + 7 * DAY
            others = {"ms_played": 1, "skipped": True, "track_id": "other"} if late else {}
            twin = play | others | {"user_id": f"twin of {user}", "play_id": f"twin {play['play_id']}"}
            yield twin
            if late:
                yield twin | {"play_id": f"more {play['play_id']}"}


def make_labels(world, twins, t):
    """At plays, before and after them by a microsecond and by horizons, as the play itself, as another and as none."""
    rng = Random(5)
    for play in rng.sample(world, 120):
        for off in (-US, timedelta(0), timedelta(0), US):
            back = rng.choice((0, 0, 0, 1, 2, 7, 45)) * DAY
            own = rng.choice((play["play_id"], None, rng.choice(world)["play_id"]))
            yield {"user_id": play["user_id"], "at": play["played_at"] - back + off, "play_id": own}
    for user in ("u", "u1", "nobody"):
        for place in (MIDNIGHT, MIDNIGHT + timedelta(minutes=15), MIDNIGHT + 6 * DAY):
            yield from ({"user_id": user, "at": place + off} for off in (-US, timedelta(0), US))
    yield {"user_id": None, "at": t}
    yield from ({"user_id": user, "at": t, "twin": True} for user in twins)


def test_outcomes_of_the_engine_are_of_plays_from_the_instant_on(spark):
    world, _ = history(17)
    t, twins = MIDNIGHT + 10 * DAY, ("u", "u1")
    # each play's neighbour in time is at its very instant
    ties = [play | {"play_id": f"tie {play['play_id']}", "ms_played": 5} for play in world[:60]]
    world = [*world, *ties, *make_twins([*world, *ties], twins, t)]
    labels = [
        label | {"n": n} for n, label in enumerate(make_labels(world, [*twins, "twin of u", "twin of u1"], t))
    ]
    labels.append(labels[0])
    rows = compute(spark, world, labels)
    assert sorted(row["n"] for row in rows) == sorted(label["n"] for label in labels)
    plays_by_user, values = by_entity(world, GROUP), 0
    for row in rows:
        plays = plays_by_user.get((row["user_id"],), [])
        for feature, horizon in GROUP.feature_windows:
            expected = reference.outcome(plays, feature, horizon, row["at"], row["play_id"])
            expected = None if row["user_id"] is None else expected  # of nobody, nothing is known
            actual = row[f"next_features__{feature.name(f'next_{horizon}')}"]
            assert same(expected, actual) or is_near(expected, actual, 4e-12), (
                f"{feature.name(horizon)} of {row}: expected {expected!r}, got {actual!r}; "
                f"plays {sorted(str((p['played_at'], p['play_id'])) for p in plays)}"
            )
            values += expected != feature.empty_value
    assert values > 1000, "nearly all is nothing, so this shows little"
    check_twins([row for row in rows if row["at"] == t and row["user_id"] is not None], twins)


def compute(spark, world, labels):
    sessions, days = frame(spark, world, SESSIONS), tuple(sorted({label["at"].date() for label in labels}))
    ahead = LabelTimeFeatures(GROUP, COLUMNS, days, ahead=True)
    group_partials = partial_rows(sessions, GROUP, calendar(world, [days[-1] + 45 * DAY]), None)
    rows = spark.createDataFrame(pa.Table.from_pylist(labels, LABELS))
    return label_time_features(rows, group_partials, sessions, ahead, "at").toArrow().to_pylist()


def check_twins(rows, twins):
    by_user = {row["user_id"]: row for row in rows}
    names = [name for name in rows[0] if name.endswith(("_1d", "_2d", "_7d"))]
    for user in twins:
        one, twin = (by_user[each] for each in (user, f"twin of {user}"))
        assert all(same(one[name], twin[name]) for name in names), (
            "plays beyond the horizon changed an outcome"
        )
        assert one["next_features__plays_count_next_45d"] != twin["next_features__plays_count_next_45d"]


def test_what_looks_beyond_the_window_is_no_outcome():
    """Of an operation that can, the totals are over the window itself, and it has windows of a length."""
    able = {
        name
        for name, operation in OPERATIONS.items()
        if name not in NOT_AHEAD and operation.total_windows("7d") == ("7d",) and operation.longest
    }
    assert able == OPERATIONS.keys() - set(NOT_AHEAD)
    group = replace(
        GROUP,
        features=(
            Feature("plays", "trend", "play_id", "growth", ("7d",)),
            Feature("plays", "count", "play_id", "plays", (LIFETIME,)),
        ),
    )
    for column in ("plays_trend_7d", "plays_count_lifetime"):
        with pytest.raises(ValueError, match="cannot be had"):
            LabelTimeFeatures(group, (column,), (), ahead=True)


def test_statuses_are_of_the_horizon_the_data_and_the_erasure(spark):
    rng = Random(23)
    begin, end = MIDNIGHT + 5 * DAY, MIDNIGHT + 40 * DAY
    erased_at = {f"e{n}": MIDNIGHT + 20 * DAY + n * US for n in range(2)}
    for through in (end - DAY / 3, end + 10 * DAY):
        labels = [
            {"user_id": rng.choice(("u", "e0", "e1", None)), "at": instant}
            for edge in (begin, end, through, MIDNIGHT + 20 * DAY)
            for h in (0, 1, 7)
            for off in (-US, timedelta(0), US)
            for instant in (edge - h * DAY + off, draw_instant(rng))
        ]
        erased = {hashlib.sha256(user.encode()).hexdigest(): at for user, at in erased_at.items()}
        observation = Observation("t", ("1d", "7d"), begin, end, through, erased)
        table = pa.Table.from_pylist([each | {"n": n} for n, each in enumerate(labels)], LABELS)
        rows = observation.add_statuses(spark.createDataFrame(table), "at").toArrow().to_pylist()
        assert len(rows) == len(labels)
        found = set()
        for row in rows:
            for h in ("1d", "7d"):
                expected = reference.status(
                    row["at"], h, begin, end, through, erased_at.get(row["user_id"] or "")
                )
                assert row[status_name("t", h)] == expected, (row, h, through)
                found.add(expected)
        assert found == set(STATUSES)
