"""Outcomes as they are declared, and the groups that labels need for them."""

from __future__ import annotations

import pytest

from schemas.declarations import LIFETIME, USER, Feature, FeatureGroup
from schemas.operations import DeclarationError
from schemas.outcomes import FeatureAhead, Outcome, outcome_groups, reach
from schemas.starting_set import STARTING_SET, USER_TRACK_FEATURE_GROUP

GROUP = FeatureGroup(
    table="g_features",
    keys=USER,
    meaning="m",
    features=(
        Feature("plays", "count", "play_id", "plays", ("7d", "30d")),
        Feature("ms", "max", "ms_played", "ms", ("2d",)),
        Feature("ms", "max", "ms_played + 1", "ms", ("9d",), type="bigint"),
        Feature("tracks", "distinct", "track_id", "tracks", ("7d",)),
        Feature("plays", "trend", "play_id", "growth", ("7d",)),
        Feature("plays", "decayed", "played_at", "plays", ("7d",)),
        Feature("plays", "days_since_first", "played_at", "days", (LIFETIME,), where="not skipped"),
        Feature("plays", "days_since_last", "played_at", "days", (LIFETIME,)),
        Feature("age", "days_since_first", "played_at", "days", (LIFETIME,)),
    ),
)


def test_an_outcome_is_written_as_a_column_whose_window_is_its_horizon():
    outcome = Outcome("user_track_features:plays_count", "7d")
    assert str(outcome) == "user_track_features:plays_count_7d"
    assert Outcome.parse(str(outcome)) == outcome
    assert (outcome.table, outcome.name) == ("user_track_features", "plays_count")


@pytest.mark.parametrize(
    "text", ["plays_count_7d", "t:", "t:plays_count", "t:plays_count_lifetime", "t:plays_count_0d"]
)
def test_an_outcome_without_a_table_or_a_horizon_is_refused(text):
    with pytest.raises(DeclarationError, match=r"outcome .*: (write TABLE:COLUMN|its horizon)"):
        Outcome.parse(text)


def test_groups_of_outcomes_have_horizons_as_windows_declared_or_not():
    outcomes = [
        Outcome.parse(f"g_features:{name}") for name in ("plays_count_30d", "plays_count_3d", "ms_max_9d")
    ]
    (group,) = outcome_groups([*outcomes, outcomes[0]], (*STARTING_SET, GROUP))
    assert [f.name(w) for f, w in group.feature_windows] == ["plays_count_30d", "plays_count_3d", "ms_max_9d"]
    assert group.features[1].input == "ms_played + 1", (
        "of two features of a name, the one that has the window"
    )
    assert group.identities["plays_count_30d"] == GROUP.identities["plays_count_30d"]
    assert (group.partials_table, group.keys) == (GROUP.partials_table, GROUP.keys)


def test_a_feature_of_a_lifetime_has_partials_for_any_horizon():
    assert LIFETIME in next(f for f in USER_TRACK_FEATURE_GROUP.features if f.op == "count").windows
    outcome_groups([Outcome("user_track_features:plays_count", "400d")], STARTING_SET)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("h_features:plays_count_7d", "no features are declared of 'h_features'; there are: .*g_features"),
        (
            "g_features:play_count_7d",
            "no features 'play_count' of g_features can look ahead; these can: plays_count",
        ),
        ("g_features:tracks_distinct_91d", "distinct has no window '91d'; the longest is 90d"),
        ("g_features:plays_trend_16d", "has plays_trend for 30 days at most"),
        ("g_features:ms_max_4d", "2 features 'ms_max'"),
        ("g_features:plays_count_31d", "has plays_count for 30 days at most; take a shorter one, or declare"),
    ],
)
def test_groups_of_outcomes_refuse_what_cannot_be_had(text, message):
    with pytest.raises(DeclarationError, match=message):
        outcome_groups([Outcome.parse(text)], (*STARTING_SET, GROUP))


def test_outcomes_know_whether_partials_have_their_parts():
    names = ("plays_decayed_3d", "plays_days_since_first_3d", "plays_days_since_last_3d", "plays_trend_15d")
    (group,) = outcome_groups([Outcome.parse(f"g_features:{name}") for name in names], (GROUP,))
    ahead = [f for f in group.features if isinstance(f, FeatureAhead)]
    # until the next is a smallest instant, which the age of another feature keeps; of other plays there is none
    assert [(f.op, f.of_events) for f in ahead] == [
        ("decayed", True),
        ("days_since_first", True),
        ("days_since_last", False),
        ("trend", False),
    ]
    assert group.features[0].identity("7d") == next(f for f in GROUP.features if f.op == "decayed").identity(
        "7d"
    )


def test_an_outcome_reaches_as_far_as_its_window_and_a_trend_twice_that():
    for ref, expected in (("plays_count_7d", "7d"), ("plays_trend_7d", "14d"), ("active_days_7d", "7d")):
        assert Outcome.parse(f"g_features:{ref}").reach == expected
    (group,) = outcome_groups([Outcome.parse("g_features:plays_trend_7d")], (GROUP,))
    assert reach(group.features[0], "7d") == "14d"


def test_windows_that_end_at_a_label_are_refused_what_looks_beyond_them():
    with pytest.raises(DeclarationError, match="can look back so far; these can: plays_count, ms_max"):
        outcome_groups([Outcome.parse("g_features:plays_trend_7d")], (GROUP,), ahead=False)
