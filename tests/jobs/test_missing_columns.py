"""Which columns are empty goes on from batch to batch; `test_small_worlds` has a source that lacks some."""

from __future__ import annotations

import pytest

from jobs.publishing.state import DayState, TableState


@pytest.mark.parametrize(
    ("before", "found", "whole", "rows", "expected"),
    [
        (None, {"a", "b"}, False, 5, {"a", "b"}),  # the first batch
        ({"a", "b"}, {"b", "c"}, False, 5, {"b"}),
        ({"a", "b"}, set(), False, 0, {"a", "b"}),  # no rows, no news
        ({"a"}, {"b"}, True, 5, {"b"}),  # in the place of all there was
    ],
)
def test_a_column_stays_empty_while_no_batch_has_a_value(before, found, whole, rows, expected):
    parts = {} if before is None else {None: DayState(3, 1, 1, "x")}
    state = TableState(1, parts, empty_columns=frozenset(before or ()))
    after = state.update_empty_columns(rows, frozenset(found), whole)
    assert after.empty_columns == expected
    assert TableState.loads(1, after.dumps()) == after


def test_a_state_of_before_says_nothing_of_empty_columns():
    saved = TableState(1, empty_columns=frozenset({"a"})).dumps()
    del saved["empty_columns"]
    assert TableState.loads(1, saved).empty_columns == frozenset()
