"""Outcomes, which begin at a label's own instant, against loops over all plays; and whether they are known."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta
from random import Random

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.joins.ripeness import STATUSES, Observation, status_name
from features.windows import definitions
from features.windows.label_time import LabelTimeFeatures, label_time_features
from features.windows.partials import partial_rows
from features.windows.tiles import Tile
from reference import outcomes as reference
from reference.computed import calendar
from reference.frames import frame
from reference.outcome_cases import (
    COLUMNS,
    DECLARED,
    GROUP,
    LABELS,
    REVERSALS,
    SIMPLE,
    define_outcome,
    draw_case,
    draw_instant,
)
from reference.rows import same
from reference.windows import by_entity, is_near, value
from reference.worlds import DAY, MIDNIGHT, US, history, session_play
from schemas.declarations import Feature
from schemas.operations import AHEAD, LIFETIME, OPERATIONS
from schemas.outcomes import look_ahead
from schemas.sessions import SESSIONS


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
    plays = Feature("plays", "count", "play_id", "plays", ("1d", "2d", "7d", "33d"))
    group = replace(DECLARED, features=(look_ahead(plays, DECLARED, plays.windows) if ahead else plays,))
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


def test_outcomes_by_definition_are_of_the_plays_after_the_label_but_its_own():
    rng, own_plays, values = Random(3), 0, 0
    for _ in range(3000):
        plays, t, horizon, own = draw_case(rng)
        for feature in (*SIMPLE, *REVERSALS):
            expected = reference.outcome(plays, feature, horizon, t, own)
            actual = define_outcome(plays, feature, horizon, t, own)
            assert same(expected, actual) or is_near(expected, actual, 4e-12), (
                feature.name(horizon),
                t,
                own,
                plays,
            )
            values += expected not in (None, 0)
        own_plays += any(play["play_id"] == own and play["played_at"] == t for play in plays)
    assert own_plays > 200 and values > 2000, "hardly a label is a play, or nearly all is nothing"


INSTANTS = st.sampled_from([timedelta(0), US, -US, DAY - US, DAY, DAY + US, 2 * DAY - US, 2 * DAY, 4 * DAY])
PLAYS = st.lists(
    st.tuples(INSTANTS, st.sampled_from(("a", "b", None)), st.sampled_from((None, 0, 40_000))), max_size=6
)


@given(PLAYS, st.sampled_from(("1d", "2d")), st.integers(-1, 5))
def test_outcomes_by_definition_of_ties_nulls_and_edges(plays, horizon, own):
    t = MIDNIGHT + timedelta(hours=14, minutes=3)
    rows = [
        session_play(play_id=f"p{n}", played_at=t + after, track_id=track, ms_played=ms)
        for n, (after, track, ms) in enumerate(plays)
    ]
    for feature in (*SIMPLE, *REVERSALS):
        expected = reference.outcome(rows, feature, horizon, t, f"p{own}")
        actual = define_outcome(rows, feature, horizon, t, f"p{own}")
        assert same(expected, actual) or is_near(expected, actual, 4e-12), (feature.op, expected, actual)


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


def reverse_plays(plays, t, midnight):
    """The plays from `t` on as plays before a midnight; what is at `t` is a microsecond before."""
    after = [play for play in plays if play["played_at"] >= t]
    return [play | {"played_at": midnight - (play["played_at"] - t) - US} for play in after]


def test_a_reversal_in_time_is_the_feature_of_plays_reversed_in_time():
    """At midnight, where days are 24 hours to features as well; and near, as a microsecond was taken."""
    rng, values = Random(9), 0
    for _ in range(1000):
        plays, t, horizon, _ = draw_case(rng)
        end = t + reference.days(horizon)
        for feature in REVERSALS:
            # to a feature that looks back for ever, what an outcome looks at
            endless = feature.op == "decayed" or feature.op.startswith("days_")
            of_outcome = [play for play in plays if play["played_at"] < end] if endless else plays
            window = LIFETIME if feature.windows == (LIFETIME,) else horizon
            expected = value(reverse_plays(of_outcome, t, MIDNIGHT), feature, window, MIDNIGHT)
            actual = define_outcome(plays, feature, horizon, t, None)
            # eight plays weigh less than 8e-11 more or less for a microsecond
            assert same(expected, actual) or is_near(expected, actual, 1e-10), (
                feature.op,
                horizon,
                t,
                expected,
                actual,
                plays,
            )
            values += expected not in (None, 0)
    assert values > 1500, "nearly all is nothing"


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
    for feature, horizon in GROUP.feature_windows:
        name = f"next_features__{feature.name(f'next_{horizon}')}"
        assert len({str(row[name]) for row in rows}) > 2, f"{name} is of one value, so it shows little"
    check_twins([row for row in rows if row["at"] == t and row["user_id"] is not None], twins)


def compute(spark, world, labels):
    sessions, days = frame(spark, world, SESSIONS), tuple(sorted({label["at"].date() for label in labels}))
    ahead = LabelTimeFeatures(GROUP, COLUMNS, days, ahead=True)
    group_partials = partial_rows(sessions, DECLARED, calendar(world, [days[-1] + 45 * DAY]), None)
    rows = spark.createDataFrame(pa.Table.from_pylist(labels, LABELS))
    return label_time_features(rows, group_partials, sessions, ahead, "at").toArrow().to_pylist()


def check_twins(rows, twins):
    by_user = {row["user_id"]: row for row in rows}
    ends = ("_1d", "_2d", "_7d")
    names = [name for name in rows[0] if name.endswith(ends)]
    for user in twins:
        one, twin = (by_user[each] for each in (user, f"twin of {user}"))
        assert all(same(one[name], twin[name]) for name in names), (
            "plays beyond the horizon changed an outcome"
        )
        assert one["next_features__plays_count_next_45d"] != twin["next_features__plays_count_next_45d"]


def test_every_operation_looks_ahead_and_is_known_when_its_window_is_over():
    """Of most, the window is the horizon; of a trend, twice that."""
    for name, operation in OPERATIONS.items():
        windows = AHEAD.get(name, operation).total_windows("7d")
        assert windows == (("7d", "14d") if name == "trend" else ("7d",)), name
    assert definitions.AHEAD.keys() == {"trend", *AHEAD} == reference.AHEAD.keys()
    for column in ("plays_trend_1d", "plays_count_lifetime"):
        with pytest.raises(ValueError, match="cannot be had"):
            # as it was declared, it ends at the label
            LabelTimeFeatures(DECLARED, (column,), (), ahead=True)


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
