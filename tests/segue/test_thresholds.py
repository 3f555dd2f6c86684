"""Groups of thresholds are of text and rewards are numbers: of other values none could be said to be over one."""

from __future__ import annotations

import math
from datetime import date

import pyarrow as pa
import pytest

from segue import UsageError, compare_with_threshold

GROUPS = {"{}": 1.0, '{"year":"2020"}': 100.0, '{"year":null}': 5.0}
THRESHOLDS = pa.table(
    {
        "threshold": ["t"] * 3,
        "ds": [date(2026, 1, 1)] * 3,
        "by": [["year"]] * 3,
        "reward": ["r"] * 3,
        "group_values": list(GROUPS),
        "value": list(GROUPS.values()),
    }
)


def test_rows_are_held_to_the_threshold_of_their_group():
    years = pa.array(["2020", "2021", None])
    for column in (years, years.dictionary_encode(), years.cast(pa.string_view())):
        rows = pa.table({"year": column, "r": [50, 50, 50]})
        assert compare_with_threshold(rows, THRESHOLDS, "t").to_pylist() == [False, True, True]
    assert compare_with_threshold(pa.table({"year": pa.nulls(1), "r": [3]}), THRESHOLDS, "t").to_pylist() == [
        False
    ]


@pytest.mark.parametrize("years", [[2020, None], [2020.0, None], [True, None]])
def test_groups_that_are_no_text_are_refused(years):
    with pytest.raises(UsageError, match=r"threshold t: groups are of text; year is (int64|double|bool)"):
        compare_with_threshold(pa.table({"year": years, "r": [50, 50]}), THRESHOLDS, "t")


def compare(rewards, type_=None, thresholds=THRESHOLDS):
    rows = pa.table({"year": ["2021"] * len(rewards), "r": pa.array(rewards, type_)})
    return compare_with_threshold(rows, thresholds, "t").to_pylist()


def test_a_reward_of_nan_is_not_known():
    assert compare([math.nan, math.inf, -1.0, None]) == [None, True, False, None]
    of_nan = THRESHOLDS.set_column(5, "value", pa.array([math.nan] * 3))
    assert compare([50.0], thresholds=of_nan) == [None], "a threshold of NaN is none"


def test_rewards_are_numbers_of_any_size_and_no_texts():
    assert compare([2**60 + 1, 0]) == compare([2**64 - 1, 0], pa.uint64()) == [True, False]
    for values in (["5"], [True], [[5]], [date(2026, 1, 1)]):
        with pytest.raises(UsageError, match=r"threshold t: r is a number; got (string|bool|list|date32)"):
            compare(values)
