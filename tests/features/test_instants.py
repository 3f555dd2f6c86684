"""The trees of labels' instants, and what is carried along them, against loops over all labels; without Spark."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.joins import instants
from features.joins.instants import BEGINNING, LabelInstants

# joined as text, ("a1", 2) is ("a", 12)
KEYS = [("a", 12), ("a1", 2), ("a", 2), ("", 2), ("é", -1)]
SCHEMA = pa.schema({"k0": pa.string(), "k1": pa.int64(), "time": pa.int64()})
_time = st.one_of(st.integers(-6, 40), st.sampled_from((BEGINNING + 1, 2**63 - 1)))
_labels = st.lists(st.tuples(st.sampled_from(KEYS), _time), max_size=60)
# as many values as places at most, null where a place has none
_values = st.lists(st.one_of(st.none(), st.sampled_from((BEGINNING, -5, 0, 3, 2**63 - 1))), max_size=60)


def lay(labels):
    return LabelInstants.of(pa.Table.from_pylist([_row(*label) for label in labels], SCHEMA))


def _row(key, time):
    return {"k0": key[0], "k1": key[1], "time": time}


def order(labels):
    return sorted(set(labels), key=lambda label: (label[0][0].encode(), label[0][1], label[1]))


def find_nodes(levels, key, time):
    """What a row of a key ends at, by looking at every node of every level."""
    nodes = [_node(row, time) for row in levels[0] if (row["k0"], row["k1"]) == key]
    for level in levels[1:]:
        nodes = [_node(row, time) for row in level if row["parent"] in nodes]
    return [node for node in nodes if node is not None]


def _node(row, time):
    return row["node"] if row["since"] < time <= row["until"] else None


@pytest.mark.parametrize("fan_out", [2, 3, 64])
@settings(deadline=None)
@given(labels=_labels)
def test_levels_lead_a_row_to_the_first_label_of_its_key_at_its_instant_or_later(fan_out, labels):
    places = order(labels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(instants, "FAN_OUT", fan_out)
        laid = lay(labels)
        levels = [level.to_pylist() for level in laid.list_levels()]
    assert laid.rows.to_pylist() == [_row(*place) for place in places]
    around = {at + off for _, at in labels for off in (-1, 0, 1)} | {0}
    for key in [*KEYS, ("never", 0)]:
        for time in around - {BEGINNING, 2**63}:
            later = [n for n, (other, at) in enumerate(places) if other == key and at >= time]
            assert find_nodes(levels, key, time) == later[:1], f"{key} at {time}"


def test_a_row_looks_at_no_more_children_of_a_node_than_the_fan_out():
    hot = [(KEYS[0], n) for n in range(instants.FAN_OUT**2 + 1)]
    levels = [level.to_pylist() for level in lay([*hot, (KEYS[1], 5)]).list_levels()]
    assert len(levels) == 3
    for level in levels:
        parents = [row.get("parent", (row.get("k0"), row.get("k1"))) for row in level]
        assert max(map(parents.count, set(parents))) <= instants.FAN_OUT


@settings(deadline=None)
@given(labels=_labels, values=_values)
def test_carry_newest_gives_the_greatest_value_up_to_a_place_of_the_same_key(labels, values):
    places = order(labels)
    own = {n: value for n, value in enumerate(values[: len(places)]) if value is not None}
    expected = []
    for n, (key, time) in enumerate(places):
        earlier = [value for place, value in own.items() if place <= n and places[place][0] == key]
        if earlier:
            expected.append(_row(key, time) | {"feature_at": max(earlier), "place": n})
    # in any order, as Spark gives them
    found = list(own.items())[::-1]
    columns = (np.array([pair[n] for pair in found], np.int64) for n in (0, 1))
    assert lay(labels).carry_newest(*columns).to_pylist() == expected
