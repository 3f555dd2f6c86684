"""The steps as a graph: order, what lies downstream, and what cannot be."""

from __future__ import annotations

import random

import pytest

from jobs import FLOW, RECORDS, TABLES
from jobs.graph import RELEASES, GraphError, Step, downstream, ordered, tables_of
from schemas import CONTRACTS


def step(name, needs="", makes="", uses=""):
    return Step(name, f"jobs.{name}", name, tuple(needs.split()), tuple(makes.split()), tuple(uses.split()))


def reached(steps, table):
    """By the definition: a table is downstream if a step that makes it needs the table, or one that is."""
    found, grew = set(), True
    while grew:
        new = {m for s in steps for m in s.makes if {table, *found} & set(s.needs)} - found - {table}
        found, grew = found | new, bool(new)
    return found


def test_every_table_with_a_contract_is_made_by_one_step_of_the_flow():
    assert sorted(TABLES) == sorted(set(CONTRACTS) - {"releases", "quality_results"})
    assert set(RECORDS) == {"rejected_plays", "embedding_versions"}


def test_each_step_comes_after_those_that_make_what_it_needs_or_uses():
    made: set[str] = set()
    for each in FLOW:
        late = (set(each.needs) | set(each.uses)) - made
        assert not late, f"{each.name} comes before what makes {late}"
        made |= set(each.makes)
    assert FLOW[-1].makes == (RELEASES,), "a release names what all the others made, so it comes last"


def test_ordered_does_not_depend_on_how_steps_are_listed_but_for_ties():
    names = [each.name for each in FLOW]
    assert names == [each.name for each in ordered(FLOW)], "a right order is kept"
    for seed in range(20):
        mixed = random.Random(seed).sample(FLOW, len(FLOW))
        made: set[str] = set()
        for each in ordered(mixed):
            assert {*each.needs, *each.uses} <= made, f"seed {seed}: {each.name} is too early"
            made |= set(each.makes)


@pytest.mark.parametrize("table", TABLES)
def test_downstream_is_what_cannot_be_made_without_the_table(table):
    assert downstream(FLOW, table) == reached(FLOW, table)


def test_downstream_of_vectors_holds_no_features_and_of_features_no_vectors():
    embeddings = downstream(FLOW, "track_embeddings")
    assert {"user_embeddings", "candidates", "similar_tracks"} <= embeddings
    assert not {name for name in embeddings if name.endswith(("_features", "_partials"))}
    assert not downstream(FLOW, "user_features"), (
        "nothing is made of user features, so nothing waits for them"
    )


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([step("a", makes="x"), step("b", makes="x")], "table x is made by a and by b"),
        ([step("a", needs="y", makes="x")], "no step makes y"),
        ([step("a", needs="y", makes="x"), step("b", needs="x", makes="y")], "steps need each other: "),
    ],
)
def test_steps_that_cannot_be_ordered_are_refused(steps, message):
    with pytest.raises(GraphError, match=message):
        ordered(steps)


def test_tables_of_leaves_releases_out():
    assert tables_of([step("a", makes="x y"), step("b", makes=RELEASES)]) == ("x", "y")
