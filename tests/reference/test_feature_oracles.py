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
from reference.worlds import MIDNIGHT, US, session_play
from schemas import FEATURE_GROUPS
from schemas.declarations import LIFETIME, TRACK, USER, USER_ARTIST, Feature, FeatureGroup
from schemas.operations import OPERATIONS

NOON = MIDNIGHT + timedelta(hours=12)
T = MIDNIGHT + timedelta(days=1)
DS = MIDNIGHT.date()


def compute_value(plays, op, what="played_at", window="1d", **options):
    return windows.value(plays, Feature("x", op, what, "x", (window,), **options), window, T)


@pytest.mark.parametrize(
    ("played_at", "is_inside"),
    [
        (T - timedelta(days=7) - US, False),
        (T - timedelta(days=7), True),
        (T - US, True),
        (T, False),
    ],
)
def test_value_includes_the_left_edge_of_a_window_and_not_the_right(played_at, is_inside):
    assert compute_value([session_play(played_at=played_at)], "count", window="7d") == int(is_inside)


def test_definitions_have_every_operation():
    assert definitions.OPERATIONS.keys() == OPERATIONS.keys()


def test_value_of_operations_over_values_leaves_nulls_out():
    plays = [session_play(ms_played=ms) for ms in (1, 2, None, 2)]
    ops = ("count", "sum", "mean", "distinct", "approx_distinct", "min", "max", "variance", "entropy")
    assert [compute_value(plays, op, "ms_played") for op in ops] == [
        *(3, 5, 5 / 3, 2, 2, 1, 2, pytest.approx(2 / 9)),
        pytest.approx(log2(3) - 2 / 3),
    ]
    assert (
        compute_value([session_play(skipped=s) for s in (True, None, False, True)], "rate", "skipped")
        == 2 / 3
    )


def test_variance_of_large_integers_is_exact():
    plays = [session_play(ms_played=2**40 + n) for n in (0, 0, 1, 1)]
    assert compute_value(plays, "variance", "ms_played") == 0.25


def test_sum_of_doubles_has_12_decimals_and_of_integers_is_exact():
    assert (
        compute_value([session_play(completion=share) for share in (1 / 3, 1 / 3)], "sum", "completion")
        == 0.666666666666
    )
    assert compute_value([session_play(completion=share) for share in (0.1, 0.2)], "sum", "completion") == 0.3
    assert compute_value([session_play(ms_played=ms) for ms in (2**53, 1)], "sum", "ms_played") == 2**53 + 1


def test_ratio_takes_plays_where_both_inputs_are_known():
    plays = [
        session_play(ms_played=above, track_ms=below)
        for above, below in ((1, 2), (None, 5), (7, None), (2, 4))
    ]
    assert compute_value(plays, "ratio", "ms_played", per="track_ms") == 3 / 6
    assert compute_value(plays[1:3], "ratio", "ms_played", per="track_ms") is None
    assert compute_value([session_play(track_ms=0)], "ratio", "ms_played", per="track_ms") is None


def test_first_and_last_go_by_instant_and_then_by_play_id():
    plays = [
        session_play(play_id=id_, artist_id=a, played_at=NOON)
        for id_, a in (("b", "y"), ("a", "x"), ("c", None))
    ]
    plays += [session_play(play_id="d", artist_id="early", played_at=NOON - US)]
    first_and_last = [compute_value(plays, op, "artist_id") for op in ("first", "last")]
    assert (first_and_last, compute_value(plays, "last_k", "artist_id", k=2)) == (["early", "y"], ["y", "x"])
    assert compute_value(plays, "last_k", "artist_id", k=9) == ["y", "x", "early"]


def test_top_k_orders_by_plays_and_equals_by_their_bytes():
    plays = [session_play(track_id=track) for track in ("b", "b", "ü", "Z", "a")]
    assert compute_value(plays, "top_k", "track_id", k=9) == ["b", "Z", "a", "ü"]
    numbers = [session_play(position=n) for n in (10, 9, 9, 10, 2)]
    assert compute_value(numbers, "top_k", "position", k=2) == ["10", "9"]
    with pytest.raises(TypeError, match=r"0\.9"):
        compute_value(plays, "top_k", "completion", k=1)


def test_percentiles_are_values_that_plays_have():
    plays = [session_play(ms_played=ms) for ms in (30, 10, None, 20)]
    assert compute_value(plays, "percentiles", "ms_played", at=(0, 0.3, 0.4, 0.99, 1)) == [
        10.0,
        10.0,
        20.0,
        30.0,
        30.0,
    ]


def test_histogram_bins_include_their_left_edge():
    plays = [session_play(ms_played=ms) for ms in (0, 9, 10, 19, 20, 21, None)]
    assert compute_value(plays, "histogram", "ms_played", edges=(10, 20)) == [2, 2, 2]
    assert compute_value(plays, "histogram", "ms_played", edges=(0,)) == [0, 6]


def test_entropy_is_in_bits():
    plays = [session_play(track_id=track) for track in ("a", "a", "b", "c")]
    assert compute_value(plays, "entropy", "track_id") == 1.5
    assert compute_value(plays[:2], "entropy", "track_id") == 0.0


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
def test_streak_ends_on_the_last_day(days_ago, window, streak):
    assert (
        compute_value(
            [session_play(played_at=NOON - n * timedelta(days=1)) for n in days_ago], "streak", window=window
        )
        == streak
    )


def test_value_of_every_operation_over_no_plays():
    zero = ("count", "sum", "distinct", "approx_distinct", "entropy", "trend", "decayed", "streak")
    assert [compute_value([], op, "ms_played" if op == "sum" else "played_at") for op in zero] == [0] * len(
        zero
    )
    null = ("mean", "min", "max", "variance")
    assert [compute_value([], op, "ms_played") for op in null] == [None] * len(null)
    assert [compute_value([], op, "track_id") for op in ("first", "last")] == [None, None]
    since = ("days_since_first", "days_since_last")
    assert [compute_value([], op, window=LIFETIME) for op in since] == [None, None]
    assert (
        compute_value([], "rate", "skipped"),
        compute_value([], "percentiles", "ms_played", at=(0.5,)),
    ) == (
        None,
        None,
    )
    assert (compute_value([], "last_k", "track_id", k=1), compute_value([], "top_k", "track_id", k=1)) == (
        [],
        [],
    )
    assert compute_value([], "histogram", "ms_played", edges=(1, 2)) == [0, 0, 0]
    assert compute_value([], "hours") == [0.0] * 24


def test_value_gives_the_default_in_place_of_null():
    assert compute_value([], "mean", "ms_played", default=-1.0) == -1.0
    assert compute_value([session_play(ms_played=None)], "max", "ms_played", default=0) == 0
    assert compute_value([session_play(track_ms=0)], "ratio", "ms_played", per="track_ms", default=0.5) == 0.5
    assert compute_value([], "percentiles", "ms_played", at=(0, 1), default=(0.0, 0.0)) == [0.0, 0.0]
    assert compute_value([session_play(ms_played=0)], "mean", "ms_played", default=-1.0) == 0.0


def test_value_leaves_out_plays_whose_filter_is_null():
    plays = [
        session_play(skipped=skipped, ms_played=ms) for skipped, ms in ((True, 1), (None, 2), (False, 4))
    ]
    assert compute_value(plays, "sum", "ms_played", where="skipped") == 1
    assert compute_value(plays, "count", "ms_played - 30000", where="ms_played > 30000") == 0


def test_value_of_operations_over_time():
    plays = [
        session_play(played_at=T - timedelta(hours=h)) for h in (1, 24, 25, 36)
    ]  # hours 23 and 0, 23, 12
    assert compute_value(plays, "trend") == pytest.approx(0.0)  # 3/3: two in the window, two before
    assert compute_value(plays[:2], "trend") == pytest.approx(1.584962500721156)  # log2(3/1)
    assert compute_value(plays, "hours") == [0.5] + [0.0] * 22 + [0.5]
    assert compute_value(plays[1::2], "decayed") == pytest.approx(0.5 + 2**-1.5)
    assert compute_value(plays, "decayed", window="2d") > compute_value(plays, "decayed")
    assert compute_value(plays, "days_since_first", window=LIFETIME) == 1.5
    assert compute_value(plays, "days_since_last", window=LIFETIME) == pytest.approx(1 / 24)


COUNT = Feature("plays", "count", "play_id", "x", ("1d",))


def test_window_features_have_rows_from_the_first_counted_play_on():
    group = FeatureGroup("g", TRACK, "x", (COUNT,), "not is_bot")
    plays = [
        session_play(track_id="old", played_at=T - timedelta(days=9)),
        session_play(track_id="new", played_at=T),
    ]
    plays += [
        session_play(track_id="only bots", is_bot=True),
        session_play(track_id="both"),
        session_play(track_id="both", is_bot=True),
    ]
    rows = windows.window_features(plays, group, [DS, DS + timedelta(days=1)])
    counts = {(row["track_id"], row["ds"].day): row["plays_count_1d"] for row in rows}
    assert counts == {("old", 29): 0, ("both", 29): 1, ("old", 1): 0, ("both", 1): 0, ("new", 1): 1}
    assert {row["feature_at"] for row in rows} == {T, T + timedelta(days=1)}


def test_window_features_leave_out_a_play_with_a_null_key():
    group = FeatureGroup("g", USER_ARTIST, "x", (COUNT,))
    plays = [
        session_play(user_id=user, artist_id=artist)
        for user, artist in (("u", "1a"), ("u1", "a"), ("u1", None))
    ]
    rows = windows.window_features(plays, group, [DS])
    assert [(r["user_id"], r["artist_id"], r["bucket"]) for r in rows] == [
        ("u", "1a", bucket("u")),
        ("u1", "a", bucket("u1")),
    ]


def test_partials_end_where_their_span_divides_the_number_of_the_day():
    plays = [session_play(played_at=MIDNIGHT - timedelta(days=3)), session_play(played_at=NOON)]
    features = (
        Feature("plays", "count", "play_id", "x", (LIFETIME,)),
        Feature("plays", "streak", "played_at", "x", ("62d",)),
        Feature("places", "min", "position", "x", ("2d", "3d")),  # no window needs it over four days
    )
    group = FeatureGroup("g", USER, "x", features)
    rows = partials(plays, group, [DS + n * timedelta(days=1) for n in range(-3, 3)])
    actual = [(f"{row['ds']:%m%d}", row["span"], *(row[part.name] for part in group.parts)) for row in rows]
    # 19784 days begin with January 1st 1970 and end with March 1st 2024: eight go into that, sixteen do not
    assert actual == [
        *(("0226", 1, 1, 1, 1), ("0226", 2, 1, 1, 1), ("0226", 4, 1, 1, None)),
        ("0229", 1, 1, 1, 1),
        *(("0301", 2, 1, 2, 1), ("0301", 4, 1, 2, None), ("0301", 8, 2, 2 + 16, None)),
    ]


def test_partials_equal_parts_worked_out_by_hand():
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
        session_play(
            play_id="b", ms_played=2, completion=0.5, skipped=True, track_id="t", played_at=NOON, saved=None
        ),
        session_play(play_id="a", ms_played=None, completion=1 / 3, track_id="s", played_at=NOON, saved=None),
        session_play(play_id="c", ms_played=3, completion=None, track_id="t", played_at=MIDNIGHT, saved=None),
    ]
    (row,) = comparable(
        partials(plays, FeatureGroup("g", USER, "x", features), [DS]), FeatureGroup("g", USER, "x", features)
    )
    records = {
        id_: {"at": at, "play_id": id_, "value": v}
        for id_, at, v in (("a", NOON, "s"), ("b", NOON, "t"), ("c", MIDNIGHT, "t"))
    }
    assert list(row.values()) == [
        *("u1", bucket("u1"), DS, 1),
        *(Decimal(13), 5, 2),
        *(Decimal("0.361111111111"), Decimal("0.833333333333"), 2),
        *(1, 1),
        [records["b"], records["a"]],
        [records["c"]],
        [{"item": "s", "count": 1}, {"item": "t", "count": 2}],
        pytest.approx(Decimal(2 * 2**-0.5 + 0.5), abs=Decimal("1e-15")),
        *(None, None),
    ]


def test_expression_knows_those_of_the_declared_groups():
    group_expressions = {g.where for g in FEATURE_GROUPS}
    group_expressions |= {
        of for g in FEATURE_GROUPS for f in g.features for of in (f.input, f.where, f.per) if of
    }
    assert group_expressions <= windows.EXPRESSIONS.keys()
    with pytest.raises(windows.UnknownExpressionError, match=r"'position = 2'.*known: play_id, user_id"):
        windows.expression("position = 2")


def test_snap_to_expected_changes_near_values_and_nothing_else():
    expected = [{"k": 1, "x": 0.0, "d": Decimal(1), "list": [0.5, 0.25], "n": 3, "none": None}]
    actual = [
        {"k": 1, "x": 1e-12, "d": Decimal("1.000000000001"), "list": [0.5, 0.25 - 1e-13], "n": 4, "none": 0.0}
    ]
    assert windows.snap_to_expected(expected, actual, ("k",)) == [expected[0] | {"n": 4, "none": 0.0}]
    far = [{"k": 1, "x": 1e-11, "list": [0.5]}, {"k": 2, "x": 0.0}]
    assert windows.snap_to_expected(expected, far, ("k",)) == far
