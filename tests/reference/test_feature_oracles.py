"""The oracles of features and of what they are made of, against values worked out by hand."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from math import log2

import pytest

from features.windows import definitions
from reference import windows
from reference.partials import comparable, partials
from reference.rows import bucket
from reference.worlds import MIDNIGHT, US, heard
from schemas import FEATURE_GROUPS
from schemas.declarations import LIFETIME, TRACK, USER, USER_ARTIST, Feature, FeatureGroup
from schemas.operations import OPERATIONS

NOON = MIDNIGHT + timedelta(hours=12)
T = MIDNIGHT + timedelta(days=1)
DS = MIDNIGHT.date()


def computed(plays, op, what="played_at", window="1d", **options):
    return windows.value(plays, Feature("x", op, what, "x", (window,), **options), window, T)


@pytest.mark.parametrize(
    ("played_at", "inside"),
    [
        (T - timedelta(days=7) - US, False),
        (T - timedelta(days=7), True),
        (T - US, True),
        (T, False),
    ],
)
def test_a_window_takes_its_left_edge_and_not_its_right(played_at, inside):
    assert computed([heard(played_at=played_at)], "count", window="7d") == int(inside)


def test_every_operation_has_its_oracle():
    assert definitions.OPERATIONS.keys() == OPERATIONS.keys()


def test_operations_over_values_leave_nulls_out():
    plays = [heard(ms_played=ms) for ms in (1, 2, None, 2)]
    ops = ("count", "sum", "mean", "distinct", "approx_distinct", "min", "max", "variance", "entropy")
    assert [computed(plays, op, "ms_played") for op in ops] == [
        *(3, 5, 5 / 3, 2, 2, 1, 2, pytest.approx(2 / 9)),
        pytest.approx(log2(3) - 2 / 3),
    ]
    assert computed([heard(skipped=s) for s in (True, None, False, True)], "rate", "skipped") == 2 / 3


def test_variance_of_large_integers_is_exact():
    plays = [heard(ms_played=2**40 + n) for n in (0, 0, 1, 1)]
    assert computed(plays, "variance", "ms_played") == 0.25


def test_doubles_add_up_to_12_decimals_and_integers_exactly():
    assert (
        computed([heard(completion=share) for share in (1 / 3, 1 / 3)], "sum", "completion") == 0.666666666666
    )
    assert computed([heard(completion=share) for share in (0.1, 0.2)], "sum", "completion") == 0.3
    assert computed([heard(ms_played=ms) for ms in (2**53, 1)], "sum", "ms_played") == 2**53 + 1


def test_a_ratio_takes_plays_where_both_are_known():
    plays = [
        heard(ms_played=above, track_ms=below) for above, below in ((1, 2), (None, 5), (7, None), (2, 4))
    ]
    assert computed(plays, "ratio", "ms_played", per="track_ms") == 3 / 6
    assert computed(plays[1:3], "ratio", "ms_played", per="track_ms") is None
    assert computed([heard(track_ms=0)], "ratio", "ms_played", per="track_ms") is None


def test_first_and_last_go_by_instant_and_then_by_play():
    plays = [
        heard(play_id=id_, artist_id=a, played_at=NOON) for id_, a in (("b", "y"), ("a", "x"), ("c", None))
    ]
    plays += [heard(play_id="d", artist_id="early", played_at=NOON - US)]
    found = [computed(plays, op, "artist_id") for op in ("first", "last")]
    assert (found, computed(plays, "last_k", "artist_id", k=2)) == (["early", "y"], ["y", "x"])
    assert computed(plays, "last_k", "artist_id", k=9) == ["y", "x", "early"]


def test_the_top_are_the_most_played_and_equals_in_order_of_their_bytes():
    plays = [heard(track_id=track) for track in ("b", "b", "ü", "Z", "a")]
    assert computed(plays, "top_k", "track_id", k=9) == ["b", "Z", "a", "ü"]
    numbers = [heard(position=n) for n in (10, 9, 9, 10, 2)]
    assert computed(numbers, "top_k", "position", k=2) == ["10", "9"]
    with pytest.raises(TypeError, match=r"0\.9"):
        computed(plays, "top_k", "completion", k=1)


def test_percentiles_are_values():
    plays = [heard(ms_played=ms) for ms in (30, 10, None, 20)]
    assert computed(plays, "percentiles", "ms_played", at=(0, 0.3, 0.4, 0.99, 1)) == [
        10.0,
        10.0,
        20.0,
        30.0,
        30.0,
    ]


def test_a_histograms_bins_take_their_left_edge():
    plays = [heard(ms_played=ms) for ms in (0, 9, 10, 19, 20, 21, None)]
    assert computed(plays, "histogram", "ms_played", edges=(10, 20)) == [2, 2, 2]
    assert computed(plays, "histogram", "ms_played", edges=(0,)) == [0, 6]


def test_entropy_is_in_bits():
    plays = [heard(track_id=track) for track in ("a", "a", "b", "c")]
    assert computed(plays, "entropy", "track_id") == 1.5
    assert computed(plays[:2], "entropy", "track_id") == 0.0


@pytest.mark.parametrize(
    ("days_ago", "window", "streak"),
    [
        ((0, 1, 1, 2, 4), "7d", 3),
        ((1, 2), "7d", 0),
        ((0, 1, 2), "2d", 2),
        ((0,), "1d", 1),
        (range(70), "62d", 62),
    ],
)
def test_a_streak_ends_on_the_last_day(days_ago, window, streak):
    assert (
        computed([heard(played_at=NOON - n * timedelta(days=1)) for n in days_ago], "streak", window=window)
        == streak
    )


def test_operations_over_no_plays():
    zero = ("count", "sum", "distinct", "approx_distinct", "entropy", "trend", "decayed", "streak")
    assert [computed([], op, "ms_played" if op == "sum" else "played_at") for op in zero] == [0] * len(zero)
    null = ("mean", "min", "max", "variance")
    assert [computed([], op, "ms_played") for op in null] == [None] * len(null)
    assert [computed([], op, "track_id") for op in ("first", "last")] == [None, None]
    since = ("days_since_first", "days_since_last")
    assert [computed([], op, window=LIFETIME) for op in since] == [None, None]
    assert (computed([], "rate", "skipped"), computed([], "percentiles", "ms_played", at=(0.5,))) == (
        None,
        None,
    )
    assert (computed([], "last_k", "track_id", k=1), computed([], "top_k", "track_id", k=1)) == ([], [])
    assert computed([], "histogram", "ms_played", edges=(1, 2)) == [0, 0, 0]
    assert computed([], "hours") == [0.0] * 24


def test_a_default_takes_the_place_of_null():
    assert computed([], "mean", "ms_played", default=-1.0) == -1.0
    assert computed([heard(ms_played=None)], "max", "ms_played", default=0) == 0
    assert computed([heard(track_ms=0)], "ratio", "ms_played", per="track_ms", default=0.5) == 0.5
    assert computed([], "percentiles", "ms_played", at=(0, 1), default=(0.0, 0.0)) == [0.0, 0.0]
    assert computed([heard(ms_played=0)], "mean", "ms_played", default=-1.0) == 0.0


def test_a_filter_that_is_null_lets_no_play_through():
    plays = [heard(skipped=skipped, ms_played=ms) for skipped, ms in ((True, 1), (None, 2), (False, 4))]
    assert computed(plays, "sum", "ms_played", where="skipped") == 1
    assert computed(plays, "count", "ms_played - 30000", where="ms_played > 30000") == 0


def test_operations_over_time():
    plays = [heard(played_at=T - timedelta(hours=h)) for h in (1, 24, 25, 36)]  # hours 23 and 0, 23, 12
    assert computed(plays, "trend") == pytest.approx(0.0)  # 3/3: two in the window, two before
    assert computed(plays[:2], "trend") == pytest.approx(1.584962500721156)  # log2(3/1)
    assert computed(plays, "hours") == [0.5] + [0.0] * 22 + [0.5]
    assert computed(plays[1::2], "decayed") == pytest.approx(0.5 + 2**-1.5)
    assert computed(plays, "decayed", window="2d") > computed(plays, "decayed")
    assert computed(plays, "days_since_first", window=LIFETIME) == 1.5
    assert computed(plays, "days_since_last", window=LIFETIME) == pytest.approx(1 / 24)


COUNT = Feature("plays", "count", "play_id", "x", ("1d",))


def test_entities_have_rows_from_their_first_counted_play_on():
    group = FeatureGroup("g", TRACK, "x", (COUNT,), "not is_bot")
    plays = [heard(track_id="old", played_at=T - timedelta(days=9)), heard(track_id="new", played_at=T)]
    plays += [
        heard(track_id="only bots", is_bot=True),
        heard(track_id="both"),
        heard(track_id="both", is_bot=True),
    ]
    rows = windows.window_features(plays, group, [DS, DS + timedelta(days=1)])
    counts = {(row["track_id"], row["ds"].day): row["plays_count_1d"] for row in rows}
    assert counts == {("old", 29): 0, ("both", 29): 1, ("old", 1): 0, ("both", 1): 0, ("new", 1): 1}
    assert {row["feature_at"] for row in rows} == {T, T + timedelta(days=1)}


def test_a_play_with_a_key_missing_is_nobodys():
    group = FeatureGroup("g", USER_ARTIST, "x", (COUNT,))
    plays = [
        heard(user_id=user, artist_id=artist) for user, artist in (("u", "1a"), ("u1", "a"), ("u1", None))
    ]
    rows = windows.window_features(plays, group, [DS])
    assert [(r["user_id"], r["artist_id"], r["bucket"]) for r in rows] == [
        ("u", "1a", bucket("u")),
        ("u1", "a", bucket("u1")),
    ]


def test_partials_end_where_their_span_divides_the_number_of_the_day():
    plays = [heard(played_at=MIDNIGHT - timedelta(days=3)), heard(played_at=NOON)]
    features = (
        Feature("plays", "count", "play_id", "x", (LIFETIME,)),
        Feature("plays", "streak", "played_at", "x", ("62d",)),
        Feature("places", "min", "position", "x", ("2d", "3d")),  # no window needs it over four days
    )
    group = FeatureGroup("g", USER, "x", features)
    rows = partials(plays, group, [DS + n * timedelta(days=1) for n in range(-3, 3)])
    found = [(f"{row['ds']:%m%d}", row["span"], *(row[part.name] for part in group.parts)) for row in rows]
    # 19784 days begin with January 1st 1970 and end with March 1st 2024: eight go into that, sixteen do not
    assert found == [
        *(("0226", 1, 1, 1, 1), ("0226", 2, 1, 1, 1), ("0226", 4, 1, 1, None)),
        ("0229", 1, 1, 1, 1),
        *(("0301", 2, 1, 2, 1), ("0301", 4, 1, 2, None), ("0301", 8, 2, 2 + 16, None)),
    ]


def test_parts_worked_out_by_hand():
    features = (
        Feature("ms", "variance", "ms_played", "x"),
        Feature("share", "variance", "completion", "x"),
        Feature("skips", "rate", "skipped", "x", where="completion >= 0.5"),
        Feature("tracks", "last_k", "track_id", "x", k=2),
        Feature("tracks", "first", "track_id", "x"),
        Feature("tracks", "entropy", "track_id", "x"),
        Feature("plays", "decayed", "played_at", "x", ("1d",)),
        Feature("tracks", "approx_distinct", "track_id", "x"),
        Feature("saves", "rate", "saved", "x"),
    )
    plays = [
        heard(
            play_id="b", ms_played=2, completion=0.5, skipped=True, track_id="t", played_at=NOON, saved=None
        ),
        heard(play_id="a", ms_played=None, completion=1 / 3, track_id="s", played_at=NOON, saved=None),
        heard(play_id="c", ms_played=3, completion=None, track_id="t", played_at=MIDNIGHT, saved=None),
    ]
    (row,) = comparable(
        partials(plays, FeatureGroup("g", USER, "x", features), [DS]), FeatureGroup("g", USER, "x", features)
    )
    listed = {
        id_: {"at": at, "play_id": id_, "value": v}
        for id_, at, v in (("a", NOON, "s"), ("b", NOON, "t"), ("c", MIDNIGHT, "t"))
    }
    assert list(row.values()) == [
        *("u1", bucket("u1"), DS, 1),
        *(Decimal(13), 5, 2),
        *(Decimal("0.361111111111"), Decimal("0.833333333333"), 2),
        *(1, 1),
        [listed["b"], listed["a"]],
        [listed["c"]],
        [{"item": "s", "count": 1}, {"item": "t", "count": 2}],
        pytest.approx(Decimal(2 * 2**-0.5 + 0.5), abs=Decimal("1e-15")),
        *(None, None),
    ]


def test_expressions_include_those_of_the_declared_groups():
    declared = {g.where for g in FEATURE_GROUPS}
    declared |= {of for g in FEATURE_GROUPS for f in g.features for of in (f.input, f.where, f.per) if of}
    assert declared <= windows.EXPRESSIONS.keys()
    with pytest.raises(windows.UnknownExpressionError, match=r"'position = 2'.*known: play_id, user_id"):
        windows.expression("position = 2")


def test_what_is_near_is_settled_and_nothing_else():
    wanted = [{"k": 1, "x": 0.0, "d": Decimal(1), "list": [0.5, 0.25], "n": 3, "none": None}]
    got = [
        {"k": 1, "x": 1e-12, "d": Decimal("1.000000000001"), "list": [0.5, 0.25 - 1e-13], "n": 4, "none": 0.0}
    ]
    assert windows.settled(wanted, got, ("k",)) == [wanted[0] | {"n": 4, "none": 0.0}]
    far = [{"k": 1, "x": 1e-11, "list": [0.5]}, {"k": 2, "x": 0.0}]
    assert windows.settled(wanted, far, ("k",)) == far
