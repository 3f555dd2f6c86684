"""Which columns are empty goes on from batch to batch; `test_small_worlds` has a source that lacks some."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from jobs.group_events import GroupEvents
from jobs.publishing.state import DayState, TableState
from reference import own_events


@pytest.mark.parametrize(
    ("before", "batch_columns", "replaces_all", "rows", "expected"),
    [
        (None, {"a", "b"}, False, 5, {"a", "b"}),  # the first batch
        ({"a", "b"}, {"b", "c"}, False, 5, {"b"}),
        ({"a", "b"}, set(), False, 0, {"a", "b"}),  # no rows, no news
        ({"a"}, {"b"}, True, 5, {"b"}),  # in the place of all there was
    ],
)
def test_update_empty_columns_keeps_a_column_while_no_batch_has_a_value(
    before, batch_columns, replaces_all, rows, expected
):
    parts = {} if before is None else {None: DayState(3, 1, 1, "x")}
    state = TableState(1, parts, empty_columns=frozenset(before or ()))
    after = state.update_empty_columns(rows, frozenset(batch_columns), replaces_all)
    assert after.empty_columns == expected
    assert TableState.loads(1, after.dumps()) == after


def test_loads_of_an_older_state_gives_no_empty_columns():
    stored_state = TableState(1, empty_columns=frozenset({"a"})).dumps()
    del stored_state["empty_columns"]
    assert TableState.loads(1, stored_state).empty_columns == frozenset()


def test_rows_of_a_group_have_columns_that_its_tables_have_yet_to_get(spark):
    """A column that is declared is added to a table with the next batch of that, which may be days away."""
    _, groups = own_events.declare()
    group = groups["album_features"]
    events, catalogue = (
        SimpleNamespace(rows=lambda sql=sql: spark.sql(sql))
        for sql in ("select 't1' track_id, 'p1' play_id", "select 't1' track_id")
    )
    (row,) = GroupEvents(group, events, catalogue).rows().collect()
    assert {*row.asDict()} >= {*group.events.names, *group.catalogue_columns}
    assert {name for name, value in row.asDict().items() if value is not None} == {"track_id", "play_id"}
