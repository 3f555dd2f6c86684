"""Where the row of an entity is that has none on a day, and what it comes to."""

from __future__ import annotations

from datetime import date, timedelta

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.idle_rows import is_written
from schemas.declarations import LIFETIME, USER, Feature, FeatureGroup
from segue import SegueError
from segue.idle import Idle, count_days, find_reach, list_chain

# Around 16384, which is the number of the last day of the longest tile there is
FIRST = (date(1970, 1, 1), date(2014, 11, 5), date(2026, 11, 2))
WINDOWS = (0, 1, 3, 8)


def declare(window: int) -> FeatureGroup:
    windows = (f"{window}d", LIFETIME) if window else (LIFETIME,)
    plays = Feature("plays", "count", "play_id", "plays", windows)
    return FeatureGroup("user_features", USER, "counts", (plays,), idle_rows=False)


_offsets = st.lists(st.integers(0, 80), min_size=1, max_size=30, unique=True).map(sorted)


@settings(max_examples=150, deadline=None)
@given(first=st.sampled_from(FIRST), offsets=_offsets, window=st.sampled_from(WINDOWS), data=st.data())
def test_first_day_of_the_chain_with_a_row_has_the_last_before_it_is_idle(first, offsets, window, data):
    """Of an entity that plays on some of the table's days, for all of its days."""
    days, group = [first + timedelta(days=n) for n in offsets], declare(window)
    played = sorted(data.draw(st.sets(st.sampled_from(days), min_size=1)))
    written = {
        ds for ds in days if ds >= played[0] and is_written(ds, [p for p in played if p <= ds], group, days)
    }
    for ds in days:
        chain = list_chain(ds, days)
        assert chain[0] == ds and chain == sorted(set(chain), reverse=True) and len(chain) <= 15
        row = next((each for each in chain if each in written), None)
        last = max((each for each in played if each <= ds), default=None)
        assert (row is None) == (last is None)
        if row is not None and row != ds:
            assert row - last >= timedelta(days=window), "windows are not empty on the day of the row"


@settings(max_examples=30, deadline=None)
@given(first=st.sampled_from(FIRST), offsets=_offsets, window=st.sampled_from(WINDOWS))
def test_reach_is_the_row_window_of_the_definition(first, offsets, window):
    days, group = [first + timedelta(days=n) for n in offsets], declare(window)
    for ds, before in zip(days, [None, *days], strict=False):
        length = count_days(ds) - find_reach(ds, before) + window
        for back in {0, window - 1, window, window + 1, length - 1, length} - {-1}:
            played = ds - timedelta(days=back)
            assert is_written(ds, [played], group, days) == (back < length), (ds, back)


def test_a_long_idle_entity_has_few_rows_and_is_found_in_few_days():
    days = [date(2024, 1, 1) + timedelta(days=n) for n in range(1040)]
    written = [ds for ds in days if is_written(ds, days[:1], declare(8), days)]
    assert len(written) <= 8 + 11, "the window, and a day of each length of a tile"
    assert max(len(list_chain(ds, days)) for ds in days) <= 15


def test_values_are_brought_forward():
    """Days to the last bit, as the later day would have had them; nulls stay."""
    micros = [1, 86_399_999_999, 3 * 86_400_000_000 + 7, 40 * 365 * 86_400_000_000 + 12_345]
    values = pa.chunked_array([[each / 86_400_000_000 for each in micros] + [None]])
    expected = [(each + 1040 * 86_400_000_000) / 86_400_000_000 for each in micros] + [None]
    assert Idle.parse("days").bring_forward(values, 1040).to_pylist() == expected
    assert Idle.parse("halved 7d").bring_forward(pa.chunked_array([[8.0, None]]), 21).to_pylist() == [
        1.0,
        None,
    ]
    assert Idle.parse("same").bring_forward(pa.chunked_array([["a", None]]), 9).to_pylist() == ["a", None]


@pytest.mark.parametrize("text", ["", "halved", "days 7d", "doubled 7d"])
def test_a_rule_of_a_later_version_is_refused(text):
    with pytest.raises(SegueError, match="this version knows same, days, instant, and halved"):
        Idle.parse(text)
