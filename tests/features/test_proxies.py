"""Proxies: each measure against its definition or scipy, what is left out, and planted signals by their known order."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from features.proxies import measures
from features.proxies.evidence import (
    TOGETHER,
    ProxyError,
    Signal,
    collect_evidence,
    find_days,
    read_numbers,
    read_trace,
)
from features.proxies.proxies import NO_SEGMENT, measure_proxies
from features.proxies.ridge import assign_folds, predict_out_of_fold
from reference import proxies as reference
from segue.impressions import status_name

# few distinct values, so that most rows tie
VALUES = st.integers(-2, 3).map(float)
ROWS = st.lists(st.tuples(VALUES, VALUES, st.integers(0, 3)), min_size=1, max_size=14)
CASES = settings(max_examples=50, deadline=None)


def code(values):
    return np.unique(values, return_inverse=True)[1]


def read_columns(rows):
    left, right, weights = (np.array(column, float) for column in zip(*rows, strict=True))
    return left, right, weights, weights.astype(int)


# --- measures


@CASES
@given(ROWS)
def test_spearman_of_weights_is_that_of_repeated_rows(rows):
    left, right, weights, times = read_columns(rows)
    value = measures.compute_spearman(code(left), code(right), weights)
    repeated = left.repeat(times), right.repeat(times)
    if any(len(set(column.tolist())) < 2 for column in repeated):
        assert math.isnan(value)
    else:
        assert value == pytest.approx(spearmanr(*repeated).statistic, abs=1e-12)


@CASES
@given(ROWS)
def test_auc_of_weights_counts_pairs_of_repeated_rows(rows):
    left, right, weights, times = read_columns(rows)
    value = measures.compute_auc(code(left), right > 0, weights)
    expected = reference.auc(left.repeat(times).tolist(), (right > 0).repeat(times).tolist())
    assert reference.agree(value, expected)


@CASES
@given(ROWS)
def test_r2_and_slope_of_weights_are_those_of_repeated_rows(rows):
    left, right, weights, times = read_columns(rows)
    predicted, target = left.repeat(times).tolist(), right.repeat(times).tolist()
    expected = (
        (reference.r2(predicted, target), reference.slope(predicted, target)) if target else (None, None)
    )
    assert reference.agree(measures.compute_r2(left, right, weights), expected[0])
    assert reference.agree(measures.compute_slope(left, right, weights), expected[1])


@CASES
@given(ROWS)
def test_bins_keep_equal_predictions_together_and_lose_no_row(rows):
    predicted, target, _, _ = read_columns(rows)
    bins = measures.list_bins(predicted, target)
    expected = reference.bins(predicted.tolist(), target.tolist())
    assert [each.rows for each in bins] == [rows for rows, _, _ in expected]
    assert np.allclose([(b.predicted, b.actual) for b in bins], [each[1:] for each in expected])
    gaps = sum(rows * abs(came - said) for rows, said, came in expected) / len(predicted)
    assert measures.compute_calibration_error(bins) == pytest.approx(gaps)


def test_measures_of_values_that_differ_by_rounding_alone_are_not_defined():
    values = np.array([0.1 + 0.2, 0.3, 0.3])
    other, ones = np.array([1.0, 2.0, 4.0]), np.ones(3)
    assert math.isnan(measures.compute_r2(other, values, ones))
    assert math.isnan(measures.compute_slope(values, other, ones))


@CASES
@given(
    st.lists(st.tuples(VALUES, VALUES, VALUES, st.integers(0, 2)), min_size=3, max_size=12).filter(
        lambda rows: len({row[-1] for row in rows}) > 1
    )
)
def test_ridge_predicts_each_fold_from_the_others(rows):
    columns = np.array([row[:2] for row in rows])
    target, folds = np.array([row[2] for row in rows]), np.array([row[3] for row in rows])
    expected = reference.predict_out_of_fold(columns.tolist(), target.tolist(), folds.tolist())
    assert predict_out_of_fold(columns, target, folds) == pytest.approx(expected, abs=1e-9)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60), st.integers(2, 5))
def test_no_listener_is_in_two_folds_and_folds_have_as_many(listeners, folds):
    assigned = assign_folds(np.array(listeners), folds)
    pairs = set(zip(listeners, assigned.tolist(), strict=True))
    assert len(pairs) == len(set(listeners)), "a listener is in two folds"
    sizes = [sum(fold == n for _, fold in pairs) for n in range(folds)]
    assert max(sizes) - min(sizes) <= 1


def test_intervals_are_of_listeners_and_not_of_rows():
    """The mean of 60 listeners with 50 equal rows each has the deviation of 60 values, not of 3,000."""
    rng = np.random.default_rng(3)
    own = rng.normal(size=60)
    listeners, values = np.arange(60).repeat(50), own.repeat(50)
    mean = {"mean": lambda weights: float(np.average(values, weights=weights))}
    low, high = measures.estimate_intervals(mean, listeners, 2_000, 7)["mean"]
    assert high - low == pytest.approx(2 * 1.96 * own.std() / 60**0.5, rel=0.08)
    assert low < own.mean() < high


def test_interval_of_one_listener_is_not_defined():
    interval = measures.estimate_intervals({"one": lambda weights: 1.0}, np.zeros(5, int), 20, 0)["one"]
    assert all(map(math.isnan, interval))


# --- what is known when


def test_signals_are_known_when_their_names_say():
    assert [
        Signal.parse(text) for text in ("completed", "replayed_1d", "x__plays_count_next_30d", "late_7d:2")
    ] == [
        Signal("completed", 0),
        Signal("replayed_1d", 1),
        Signal("x__plays_count_next_30d", 30),
        Signal("late_7d", 2),
    ]
    with pytest.raises(ProxyError, match="'soon' are no days"):
        Signal.parse("saved:soon")


@pytest.mark.parametrize("name", ["t__plays_count_next_30d", "t__plays_trend_next_7d", "t__s_trend_next_1d"])
def test_outcomes_are_known_as_late_as_their_statuses_say(name):
    assert status_name(name) == f"t__status_next_{find_days(name)}d"


def test_a_trend_ahead_is_known_after_twice_its_days():
    table = make_rows().append_column("t__plays_trend_next_7d", pa.array([1.0] * 400))
    table = table.rename_columns({"stays_30d": "t__plays_count_next_10d"})
    columns = ["t__plays_count_next_10d", "t__plays_trend_next_7d"]
    with pytest.raises(ProxyError, match="t__plays_trend_next_7d is known no earlier than the target"):
        measure_proxies(table, columns[0], [columns[1]])
    assert [each.days for each in measure_proxies(table, columns[1], [columns[0]]).proxies] == [10]


def test_a_target_is_known_when_its_name_does_not_say_it_but_the_caller_does():
    table = make_rows().append_column("later", pa.array([1.0] * 400))
    with pytest.raises(ProxyError, match="stays_30d is known no earlier than the target later"):
        measure_proxies(table, "later", ["saved", "stays_30d"], horizon=30)
    assert measure_proxies(table, "later", ["saved"], horizon=30, replicates=0).rows == len(table)


@pytest.mark.parametrize("days", [[1, 30], [31]])
def test_signals_on_a_day_when_the_target_is_known_are_refused(days):
    table = make_rows().append_column("again_1d", pa.array([1.0] * 400))
    with pytest.raises(ProxyError, match=f"on day {days[-1]} is known no earlier than the target, on day 30"):
        measure_proxies(table, "stays_30d", ["saved", "again_1d"], days_observed=days)


def test_trace_is_known_for_as_many_days_as_it_has_values():
    lists = pa.array([[1, 0, 1], [1, None, 1], None, [0], []], pa.list_(pa.int8()))
    table = pa.table({"trace": lists})
    nan = math.nan
    expected = [[1, 0], [1, nan], [nan, nan], [0, nan], [nan, nan]]
    assert np.array_equal(read_trace(table, "trace", 2), expected, equal_nan=True)
    evidence = {each.days: each for each in collect_evidence(table, [Signal("trace", 0)], (1, 3))}
    assert evidence[1].is_known.tolist() == [True, True, False, True, False]
    assert evidence[3].is_known.tolist() == [True, False, False, False, False]
    assert np.isnan(read_trace(table, "trace", 10**12)).all()


def test_all_signals_are_measured_with_what_is_known_by_each_day():
    table = pa.table({"saved": [True], "again_1d": [2], "trace": [[1, 0, 1]]})
    signals = [Signal("saved", 0), Signal("again_1d", 1), Signal("trace", 0)]
    joint = {
        each.days: each.columns.tolist()
        for each in collect_evidence(table, signals, (0, 1, 3))
        if each.signal == TOGETHER
    }
    # on day 0 there is one signal alone
    assert joint == {1: [[1, 2, 1]], 3: [[1, 2, 1, 0, 1]]}


def make_traces():
    """Rows of three listeners with 14 days each, the target being known after seven."""
    lists = [[(n + day) % 2 for day in range(14)] for n in range(12)]
    return pa.table(
        {"user_id": list("abc") * 4, "saved": [0, 1] * 6, "trace": lists, "back_7d": list(range(12))}
    )


def test_trace_is_measured_on_days_before_the_target_is_known():
    found = measure_proxies(make_traces(), "back_7d", ["saved", "trace"], replicates=0)
    days = {(each.signal, each.days) for each in found.proxies}
    assert days == {("saved", 0)} | {(name, n) for name in ("trace", TOGETHER) for n in (1, 2, 3)}
    found = measure_proxies(make_traces(), "back_7d", ["trace"], days_observed=[6], replicates=0)
    assert [each.days for each in found.proxies] == [6]


@pytest.mark.parametrize(
    ("target", "days", "late"), [("back_7d", [3, 7], 7), ("back_7d", [8], 8), ("saved_1d", [], 1)]
)
def test_trace_on_a_day_when_the_target_is_known_is_refused(target, days, late):
    table = make_traces().rename_columns({"saved": "saved_1d"})
    with pytest.raises(ProxyError, match=f"trace on day {late} is known no earlier than the target"):
        measure_proxies(table, target, ["trace"], days_observed=days, replicates=0)


# --- all of it


KNOWN = st.none() | VALUES


@CASES
@given(
    st.lists(st.tuples(st.none() | st.integers(0, 3), KNOWN, KNOWN, KNOWN), min_size=4, max_size=16).filter(
        lambda rows: any(None not in (row[0], row[1]) for row in rows)
    )
)
def test_measurement_equals_loops_over_the_rows_in_which_both_are_known(rows):
    table = pa.table(
        dict(zip(("user_id", "late_9d", "a", "b"), map(list, zip(*rows, strict=True)), strict=True))
    )
    table = table.cast(
        pa.schema([("user_id", pa.int64()), *((n, pa.float64()) for n in ("late_9d", "a", "b"))])
    )
    found = measure_proxies(table, "late_9d", ["a", "b"], above=0.5, replicates=0)
    columns = {"a": [2], "b": [3], TOGETHER: [2, 3]}
    assert {each.signal for each in found.proxies} == columns.keys()
    for proxy in found.proxies:
        own = [row for row in rows if None not in (row[0], row[1], *(row[n] for n in columns[proxy.signal]))]
        assert (proxy.rows, proxy.listeners) == (len(own), len({row[0] for row in own}))
        signals = [[row[n] for n in columns[proxy.signal]] for row in own]
        target = [row[1] for row in own]
        if proxy.signal != TOGETHER:
            scores = [row[0] for row in signals]
            assert reference.agree(proxy.auc.value, reference.auc(scores, [y > 0.5 for y in target]))
        listeners = [row[0] for row in own]
        if len(set(listeners)) > 1 and any(len(set(column)) > 1 for column in zip(*signals, strict=True)):
            folds = assign_folds(np.array(listeners), min(5, len(set(listeners)))).tolist()
            predicted = reference.predict_out_of_fold(signals, target, folds)
            assert reference.agree(proxy.r2.value, reference.r2(predicted, target), 1e-6)
        else:
            assert math.isnan(proxy.r2.value)


# --- what is left out


def make_rows(listeners=40, each=10, seed=1):
    rng = np.random.default_rng(seed)
    count = listeners * each
    signal = rng.random(count) < 0.5
    return pa.table(
        {
            "user_id": np.arange(count) % listeners,
            "saved": signal,
            "stays_30d": signal * 2.0 + rng.normal(size=count),
            "surface": np.array(["home", "search"])[np.arange(count) // listeners % 2],
        }
    )


def mask(table, name, hidden):
    column = pa.array(table[name].to_pylist(), mask=np.asarray(hidden))
    return table.set_column(table.column_names.index(name), name, column)


def test_unknown_rows_are_counted_and_change_no_measure():
    table = make_rows()
    n = np.arange(len(table))
    hidden = mask(mask(mask(table, "stays_30d", n % 7 == 0), "saved", n % 5 == 0), "user_id", n % 11 == 0)
    found = measure_proxies(hidden, "stays_30d", ["saved"], above=1.0, replicates=20)
    kept = (n % 7 > 0) & (n % 5 > 0) & (n % 11 > 0)
    clean = measure_proxies(table.filter(pa.array(kept)), "stays_30d", ["saved"], above=1.0, replicates=20)
    assert found.proxies[0].rows == kept.sum()
    assert found.proxies[0].spearman == clean.proxies[0].spearman
    assert found.proxies[0].r2 == clean.proxies[0].r2
    assert found.unknown == {"unknown": (n % 7 == 0).sum()}
    assert found.nameless == ((n % 7 > 0) & (n % 11 == 0)).sum()
    assert found.proxies[0].unknown == ((n % 7 > 0) & (n % 11 > 0) & (n % 5 == 0)).sum()
    assert found.rows + found.unknown["unknown"] + found.nameless == len(table)


def test_rows_without_the_target_are_counted_by_their_status():
    table = pa.table(
        {
            "user_id": ["a", "b", "c", "d", "e", "f"],
            "saved": [True, False, True, True, False, True],
            "sticky_59d": [3, 1, None, None, None, None],
            "status_60d": ["ripe", "ripe", "ripe", "unripe", "unripe", "censored"],
        }
    )
    found = measure_proxies(table, "sticky_59d", ["saved"], status="status_60d")
    assert (found.rows, found.unknown) == (2, {"ripe": 1, "unripe": 2, "censored": 1})


def test_zeros_for_unripe_rows_would_have_changed_the_measures():
    table = make_rows()
    n = np.arange(len(table))
    zeros = np.where(n % 3 == 0, 0.0, table["stays_30d"].to_numpy())
    wrong = table.set_column(2, "stays_30d", pa.array(zeros))
    left_out = measure_proxies(mask(table, "stays_30d", n % 3 == 0), "stays_30d", ["saved"], replicates=0)
    counted = measure_proxies(wrong, "stays_30d", ["saved"], replicates=0)
    assert counted.proxies[0].r2.value < left_out.proxies[0].r2.value - 0.1


def test_numbers_that_are_none_count_as_unknown():
    table = pa.table({"user_id": ["a", "b", "c"], "saved": [0, 1, 1], "late_9d": [1.0, math.nan, math.inf]})
    found = measure_proxies(table, "late_9d", ["saved"])
    assert (found.rows, found.unknown) == (1, {"unknown": 2})


def test_whole_numbers_of_more_digits_than_a_float_has_are_rounded():
    large = pa.table({"n": [2**58 + 1, None], "listed": [[2**58 + 1, -(2**62) - 1], None]})
    np.testing.assert_array_equal(read_numbers(large, "n"), [2.0**58, np.nan])
    np.testing.assert_array_equal(read_trace(large, "listed", 2), [[2.0**58, -(2.0**62)], [np.nan, np.nan]])


def test_segments_are_measured_by_the_ridge_of_all_rows():
    """Where a signal says the contrary, the ridge of all rows is worse than the mean: its slope is below 0."""
    table = make_rows(each=20)
    contrary = np.where(
        np.array(table["surface"].to_pylist()) == "search",
        -table["stays_30d"].to_numpy() / 2,
        table["stays_30d"].to_numpy(),
    )
    table = table.set_column(2, "stays_30d", pa.array(contrary))
    found = measure_proxies(table, "stays_30d", ["saved"], segment="surface", replicates=50)
    slopes = {each.segment: each.slope.value for each in found.proxies}
    assert slopes[None] == pytest.approx(1, abs=0.2)
    assert slopes["home"] > 1.5
    assert slopes["search"] < 0
    assert sum(each.rows for each in found.proxies if each.segment) == len(table)


def test_rows_without_a_segment_are_one_and_the_smallest_segments_are_counted():
    table = make_rows()
    names = pa.array([None if n < 50 else f"s{n % 20}" for n in range(len(table))])
    table = table.set_column(3, "surface", names)
    found = measure_proxies(table, "stays_30d", ["saved"], segment="surface", replicates=0)
    rows = {each.segment: each.rows for each in found.proxies}
    assert len(rows) == 1 + 12
    assert rows[NO_SEGMENT] == 50
    assert found.small_segments == 21 - 12


@pytest.mark.parametrize(
    ("target", "above", "threshold"),
    [
        ([1.0, 2.0, 3.0, 9.0], None, 2.5),
        ([1.0, 2.0, 5.0, 5.0, 5.0], None, 2.0),
        ([1.0, 2.0, 3.0, 9.0], 4.0, 4.0),
        ([False, True, True, True], None, 0.0),
        ([3.0, 3.0], None, -math.inf),
    ],
)
def test_threshold_leaves_rows_on_both_sides(target, above, threshold):
    table = pa.table({"user_id": range(len(target)), "saved": [True] * len(target), "late_9d": target})
    assert measure_proxies(table, "late_9d", ["saved"], above=above, replicates=0).threshold == threshold


def test_slope_of_a_segment_in_which_a_signal_never_differs_is_not_defined():
    table = make_rows().append_column("same", pa.array([False] * 200 + [True] * 200))
    table = table.append_column("kind", pa.array(["a"] * 200 + ["b"] * 200))
    found = measure_proxies(table, "stays_30d", ["same"], segment="kind", replicates=10)
    assert [math.isnan(each.slope.value) for each in found.proxies] == [False, True, True]
    assert [math.isnan(each.r2.value) for each in found.proxies] == [False] * 3


def test_signal_that_never_differs_tells_nothing():
    table = make_rows().append_column("same", pa.array([1] * 400))
    proxy = measure_proxies(table, "stays_30d", ["same"], replicates=10).proxies[0]
    assert proxy.auc.value == 0.5
    assert all(math.isnan(each.value) for each in (proxy.spearman, proxy.r2, proxy.slope))
    assert proxy.bins == []


def test_one_listener_has_no_prediction_and_no_interval():
    table = make_rows(listeners=1, each=30)
    proxy = measure_proxies(table, "stays_30d", ["saved"]).proxies[0]
    assert math.isnan(proxy.r2.value)
    assert math.isnan(proxy.spearman.low)
    assert 0 < proxy.spearman.value < 1


def test_order_of_rows_changes_no_measure():
    table = make_rows()
    shuffled = table.take(pa.array(np.random.default_rng(5).permutation(len(table))))
    measured = [measure_proxies(rows, "stays_30d", ["saved"], replicates=20) for rows in (table, shuffled)]
    for name in ("spearman", "auc", "r2", "slope"):
        left, right = (getattr(each.proxies[0], name) for each in measured)
        assert (left.value, left.low, left.high) == pytest.approx((right.value, right.low, right.high)), name


@pytest.mark.parametrize(
    ("target", "of", "message"),
    [
        ("stays_30d", ["liked"], "no column liked; the rows have user_id, saved"),
        ("stays_30d", [], "signals are none; expected one column or more"),
        ("stays_30d", ["saved", "saved:1"], "expected one column or more, each once"),
        ("stays_30d", ["stays_30d"], "stays_30d is known no earlier than the target stays_30d"),
        ("stays_30d", ["saved:30"], "saved is known no earlier"),
        ("saved", ["saved"], "saved is known no earlier"),
        ("surface", ["saved"], "column surface is of type string; expected numbers"),
        ("stays_30d", ["lists"], "column lists is of type string; expected numbers"),
        ("never_9d", ["saved"], "target never_9d is known in none of 400 rows"),
    ],
)
def test_columns_of_which_no_proxy_can_be_measured_are_refused(target, of, message):
    table = make_rows().append_column("never_9d", pa.nulls(400, pa.int64()))
    table = table.append_column("lists", pa.array([["a"]] * 400))
    with pytest.raises(ProxyError, match=message):
        measure_proxies(table, target, of)
