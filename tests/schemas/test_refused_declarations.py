"""How a declaration that cannot be computed is refused: when it is made, and by what is wrong with it."""

from __future__ import annotations

import pytest

from reference.declared import feature, feature_with_input, group
from schemas.declarations import (
    LIFETIME,
    TRACK,
    USER,
    USER_TRACK,
    window_days,
)
from schemas.operations import DeclarationError


def assert_refused(message, make, *args, **options):
    with pytest.raises(DeclarationError, match=message):
        make(*args, **options)


@pytest.mark.parametrize(
    ("op", "options", "message"),
    [
        ("median", {}, r"feature x: operation 'median' is unknown; known: count, sum,"),
        ("count", {"what": "Plays"}, "its name 'Plays' is no column's"),
        ("count", {"what": "2nd"}, "its name '2nd' is no column's"),
        ("count", {"input": "trak_id"}, r"input names trak_id, which sessions does not have \(play_id,"),
        ("count", {"where": "skiped and saved"}, "where names skiped, which"),
        ("ratio", {"input": "ms_played", "per": "length"}, "per names length, which"),
        ("count", {"input": "track_id ||"}, r"input 'track_id \|\|' is no SQL expression: "),
        ("count", {"where": "track_id = 'x"}, 'where "track_id = \'x" is no SQL expression: '),
        ("count", {"where": "(skipped"}, r"where '\(skipped' is no SQL expression: "),
        (
            "count",
            {"input": "filter(array(ms_plaid), x -> x > 0)", "type": "string"},
            "input names ms_plaid, which",
        ),
        ("sum", {"input": "track_id"}, "sum takes int or bigint or double, the type of 'track_id' is string"),
        ("sum", {"input": "ms_played * 2"}, "the type of 'ms_played \\* 2' is unknown"),
        ("rate", {"input": "ms_played"}, "rate takes boolean, the type of 'ms_played' is bigint"),
        ("decayed", {"input": "ms_played"}, "decayed takes timestamp"),
        ("hours", {"input": "ds"}, "hours takes timestamp, the type of 'ds' is date"),
        ("last", {"input": "upper(track_id)"}, "last gives what it takes; say the type"),
        ("ratio", {"input": "ms_played", "per": ""}, "ratio needs per="),
        ("top_k", {"k": 0}, "top_k needs k="),
        ("last_k", {"k": 0}, "last_k needs k="),
        ("percentiles", {"input": "ms_played", "at": ()}, "percentiles needs at="),
        ("histogram", {"input": "ms_played", "edges": ()}, "histogram needs edges="),
        ("histogram", {"input": "ms_played", "edges": (2, 1)}, r"edges \(2, 1\) are not in order"),
        ("histogram", {"input": "ms_played", "edges": (1, 1)}, r"edges \(1, 1\) are not in order, each once"),
        ("percentiles", {"input": "ms_played", "at": (0.5, 1.5)}, r"at \(0.5, 1.5\) is not within 0 and 1"),
        ("count", {"default": 1}, "count of no plays is 0 by definition"),
        ("top_k", {"default": ("x",)}, r"top_k of no plays is \[\] by definition"),
        ("top_k", {"k": -1}, "k is -1, expected a whole number from 1 on"),
        ("last_k", {"k": 2.5}, "k is 2.5, expected a whole number from 1 on"),
        ("top_k", {"k": True}, "k is True, expected a whole number from 1 on"),
        ("count", {"per": "track_ms"}, "count has no per=…; leave it out"),
        ("first", {"k": 3}, "first has no k=…; leave it out"),
        ("histogram", {"input": "ms_played", "at": (0.5,)}, "histogram has no at=…; leave it out"),
        (
            "mean",
            {"input": "ms_played", "default": "none"},
            "default is 'none', expected double, as all values",
        ),
        (
            "max",
            {"input": "ms_played", "default": 0.5},
            "default is 0.5, expected bigint, as all values of max",
        ),
        ("max", {"input": "ms_played", "default": True}, "default is True, expected bigint"),
        ("last", {"default": 0}, "default is 0, expected string"),
        ("last", {"input": "skipped", "default": 1}, "default is 1, expected boolean"),
        (
            "percentiles",
            {"input": "ms_played", "at": (0.1, 0.9), "default": (0.0,)},
            r"default is \(0.0,\), expected a tuple of 2, one for each of at=\(0.1, 0.9\)",
        ),
        ("percentiles", {"input": "ms_played", "default": 0.0}, "default is 0.0, expected a tuple of 1"),
        ("percentiles", {"input": "ms_played", "default": ("a",)}, r"expected array<double>, as all values"),
        ("distinct", {"windows": ("91d",)}, "distinct has no window '91d'; the longest is 90d"),
        ("distinct", {"windows": (LIFETIME,)}, "distinct has no window 'lifetime'"),
        ("streak", {"input": "played_at", "windows": ("63d",)}, "the longest is 62d"),
        ("streak", {"input": "played_at", "windows": (LIFETIME,)}, "streak has no window 'lifetime'"),
        ("trend", {"windows": ("1826d",)}, "the longest is 1825d"),
        ("trend", {"windows": (LIFETIME,)}, "trend has no window 'lifetime'"),
        ("decayed", {"input": "played_at", "windows": (LIFETIME,)}, "decayed has no window 'lifetime'"),
        (
            "days_since_last",
            {"input": "played_at", "windows": ("7d",)},
            "has no window '7d'; only 'lifetime'",
        ),
        ("count", {"windows": ("3651d",)}, "count has no window '3651d'"),
        ("count", {"windows": ("7d", "1w")}, "window '1w' is none; write days as '7d', or 'lifetime'"),
        ("count", {"windows": ("0d",)}, "window '0d' is none"),
        ("count", {"windows": ("-7d",)}, "window '-7d' is none"),
        ("count", {"windows": ("d",)}, "window 'd' is none"),
        ("count", {"windows": ("²d",)}, "window '²d' is none"),
        ("count", {"windows": "7d"}, "window '7' is none"),
    ],
)
def test_feature_refuses_what_cannot_be_computed(op, options, message):
    # some of it shows once the group says what rows the feature is over
    assert_refused(message, lambda: group(feature(op, **options)))


@pytest.mark.parametrize(
    ("op", "options"),
    [
        ("mean", {"default": 0}),
        ("max", {"default": -1}),
        ("last", {"input": "skipped", "default": False}),
        ("last", {"input": "played_at", "default": "1970-01-01 00:00:00"}),
        ("percentiles", {"at": (0.1, 0.9), "default": [0, 0.5]}),
    ],
)
def test_defaults_of_the_type_of_the_column_are_taken(op, options):
    assert group(feature_with_input(op, **options)).contract()


def test_feature_reports_all_errors_at_once():
    assert_refused("no column's.*window '1w'", feature, "count", what="X", windows=("1w",))
    assert_refused(
        "input names nope.*where names no.*sum takes",
        lambda: group(feature("sum", input="nope", where="no > 1", windows=("1d",))),
    )


def test_group_refuses_two_columns_of_one_name():
    features = (feature("count"), feature("count", input="artist_id", windows=("1d", "7d")))
    assert_refused("table g_features: x_count_7d declared twice", group, *features)
    assert_refused("x_count_7d declared twice", group, feature("count", windows=("7d", "7d")))


def test_group_refuses_an_entity_that_is_no_column():
    assert_refused(
        "table g_features: album_id is no column of sessions or tracks",
        group,
        feature("count"),
        keys=("user_id", "album_id"),
    )


@pytest.mark.parametrize("op", ["first", "last", "last_k"])
def test_group_refuses_plays_of_one_listener_where_none_can_be_erased(op):
    assert_refused(
        f"x_{op} would keep what one listener did", group, feature(op, input="artist_id"), keys=TRACK
    )
    assert group(feature(op, input="artist_id"), keys=USER_TRACK).parts


@pytest.mark.parametrize("op", ["top_k", "entropy"])
@pytest.mark.parametrize("input_", ["user_id", "session_id", "play_id"])
def test_group_refuses_lists_of_listeners_where_none_can_be_erased(op, input_):
    assert_refused(f"x_{op} would keep what one listener did", group, feature(op, input=input_), keys=TRACK)
    assert group(feature(op, input=input_), keys=USER).parts


@pytest.mark.parametrize("input_", ["concat(user_id, '')", "if(skipped, user_id, null)", "lower(play_id)"])
def test_group_refuses_an_expression_over_a_listener(input_):
    assert_refused(
        "would keep what one listener did", group, feature("top_k", input=input_, type="string"), keys=TRACK
    )


def test_group_refuses_to_leave_out_rows_that_nobody_could_bring_forward():
    days = feature_with_input("days_since_last", default=999.0)
    assert_refused("x_days_since_last has a default, which idle_rows=False", group, days, idle_rows=False)
    assert_refused(
        "idle_rows=False is of a daily table", group, feature("count"), idle_rows=False, daily=False
    )
    assert group(days) and group(feature_with_input("mean", default=0.5), idle_rows=False)


def test_group_refuses_a_filter_over_an_unknown_column():
    assert_refused("is_bott", group, feature("count"), where="not is_bott")


def test_window_days_parses_whole_days():
    assert [window_days(window) for window in ("1d", "7d", "365d")] == [1, 7, 365]
