"""Changes of a state give the state back, whatever it was."""

from __future__ import annotations

import json
from copy import deepcopy

from hypothesis import example, given
from hypothesis import strategies as st

from segue.saved_state import BASE, apply_changes, find_changes

DAYS = st.sampled_from(["2026-10-01", "2026-10-02", "2026-10-03", "None"])
PARTS = st.dictionaries(DAYS, st.lists(st.integers(0, 3), min_size=2, max_size=4), max_size=4)
# small numbers, so that lists share items, repeat them, and begin or end with the same ones
ITEMS = st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(-1, 1)).map(list), max_size=6)
STATES = st.fixed_dictionaries(
    {"parts": PARTS, "published_at": st.sampled_from(["", "2026-10-01"]), "erased_in": st.integers(0, 2)},
    optional={
        "earlier": st.dictionaries(DAYS, ITEMS, max_size=4),
        "declarations": st.dictionaries(
            DAYS, st.dictionaries(st.sampled_from("xy"), st.just("1")), max_size=2
        ),
        "id_keys": st.just(["k"]),
    },
)
EMPTY = {"parts": {}, "published_at": "", "erased_in": 0}


@given(STATES, STATES)
@example(
    {**EMPTY, "earlier": {"None": [["a", 0], ["b", 1], ["c", 1]]}},
    {**EMPTY, "earlier": {"None": [["a", -1], ["c", 1], ["a", 1]]}},
)
@example({**EMPTY, "earlier": {"None": [["a", 0]]}}, {**EMPTY, "earlier": {}})
@example({**EMPTY, "earlier": {"None": []}}, EMPTY)
def test_changes_give_back_the_state_they_were_made_of(base, whole):
    before = deepcopy((base, whole))
    changes = find_changes(7, base, whole)
    assert (base, whole) == before
    if changes is None:
        assert not {"earlier", "declarations"} & base.keys() <= whole.keys(), "a state that could be changes"
        return
    # as a log has them
    assert apply_changes(base, json.loads(json.dumps(changes))) == whole
    assert changes[BASE] == 7
    # a program that knows whole states alone must not take a few days for all there are
    assert not {"parts", "earlier", "declarations"} & changes.keys()


def test_a_list_that_got_longer_and_was_shortened_costs_its_new_items_alone():
    old = [[f"2026-{n:03}", n] for n in range(100)]
    new = [[old[0][0], -1], *old[40:], ["2027", 200]]
    base, whole = {**EMPTY, "earlier": {"d": old}}, {**EMPTY, "earlier": {"d": new}}
    changes = find_changes(1, base, whole)
    assert changes["changed_earlier"] == {"d": [40, [[old[0][0], -1]], [["2027", 200]]]}
