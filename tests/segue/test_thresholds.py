"""Groups of thresholds are of text: of other values none could be said to be in one."""

from __future__ import annotations

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
