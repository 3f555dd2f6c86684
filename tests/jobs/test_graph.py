"""The steps as a graph: order, what lies downstream, and what cannot be."""

from __future__ import annotations

import random
import time

import pytest

from jobs import FLOW, RECORDS, TABLES
from jobs.graph import RELEASES, GraphError, Step, downstream, list_tables, run_steps, sort_steps
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
    assert names == [each.name for each in sort_steps(FLOW)], "a right order is kept"
    for seed in range(20):
        mixed = random.Random(seed).sample(FLOW, len(FLOW))
        made: set[str] = set()
        for each in sort_steps(mixed):
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
        sort_steps(steps)


def test_tables_of_leaves_releases_out():
    assert list_tables([step("a", makes="x y"), step("b", makes=RELEASES)]) == ("x", "y")


# --- running them


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_run_steps_begins_a_step_after_its_upstream_and_never_more_at_once(at_once):
    running: set[str] = set()
    ended: set[str] = set()
    most = 0

    def run(each):
        nonlocal most
        makers = {made: s.name for s in FLOW for made in s.makes}
        early = {makers[table] for table in (*each.needs, *each.uses)} - ended
        assert not early, f"{each.name} began before {early} ended"
        running.add(each.name)
        most = max(most, len(running))
        time.sleep(random.Random(each.name).random() / 50)
        running.remove(each.name)
        ended.add(each.name)
        return each.name.upper()

    found = list(run_steps(FLOW, run, at_once))
    assert sorted(s.name for s, _ in found) == sorted(s.name for s in FLOW)
    assert all(result == s.name.upper() for s, result in found)
    assert most == at_once, f"{most} steps ran at the same time; the flow is wide enough for {at_once}"


@pytest.mark.parametrize("problem", [RuntimeError("a fault"), SystemExit(2), KeyboardInterrupt()])
def test_run_steps_raises_what_a_step_raises_whatever_it_is(problem):
    def run(each):
        raise problem

    with pytest.raises(type(problem)):
        list(run_steps(FLOW, run, 2))
