"""The steps as a graph: order, what lies downstream, and what cannot be."""

from __future__ import annotations

import random
import time
from dataclasses import replace

import pytest

from jobs import FLOW, RECORDS, TABLES, _feature_steps
from jobs.graph import RELEASES, GraphError, Step, downstream, list_tables, run_steps, sort_steps
from schemas import CONTRACTS, FEATURE_GROUPS


def make_step(name, needs="", makes="", uses=""):
    return Step(name, f"jobs.{name}", name, tuple(needs.split()), tuple(makes.split()), tuple(uses.split()))


def find_downstream(steps, table):
    """By the definition: a table is downstream if a step that makes it needs the table, or one that is."""
    tables, is_growing = set(), True
    while is_growing:
        new = {m for s in steps for m in s.makes if {table, *tables} & set(s.needs)} - tables - {table}
        tables, is_growing = tables | new, bool(new)
    return tables


def test_flow_makes_every_table_with_a_contract():
    records = {"releases", "quality_results", "feature_profiles", "input_files", "run_costs"}
    assert sorted(TABLES) == sorted(set(CONTRACTS) - records)
    assert set(RECORDS) == {
        "late_plays", "rejected_plays", "rejected_tracks", "track_changes", "embedding_versions"
    }  # fmt: skip


def test_flow_lists_each_step_after_its_upstream():
    tables: set[str] = set()
    for each in FLOW:
        missing = (set(each.needs) | set(each.uses)) - tables
        assert not missing, f"{each.name} comes before what makes {missing}"
        tables |= set(each.makes)
    assert FLOW[-1].makes == (RELEASES,), "a release names what all the others made, so it comes last"


def test_sort_steps_orders_any_permutation_and_keeps_a_right_order():
    names = [each.name for each in FLOW]
    assert names == [each.name for each in sort_steps(FLOW)], "a right order is kept"
    for seed in range(20):
        permutation = random.Random(seed).sample(FLOW, len(FLOW))
        tables: set[str] = set()
        for each in sort_steps(permutation):
            assert {*each.needs, *each.uses} <= tables, f"seed {seed}: {each.name} is too early"
            tables |= set(each.makes)


@pytest.mark.parametrize("table", TABLES)
def test_downstream_is_what_cannot_be_built_without_the_table(table):
    assert downstream(FLOW, table) == find_downstream(FLOW, table)


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
        ([make_step("a", makes="x"), make_step("b", makes="x")], "table x is made by a and by b"),
        ([make_step("a", makes="x"), make_step("a", makes="y")], "two steps are named a: they make x and y"),
        ([make_step("a", needs="y", makes="x")], "no step makes y"),
        (
            [make_step("a", needs="y", makes="x"), make_step("b", needs="x", makes="y")],
            "steps need each other: ",
        ),
    ],
)
def test_sort_steps_refuses_steps_that_cannot_be_ordered(steps, message):
    with pytest.raises(GraphError, match=message):
        sort_steps(steps)


@pytest.mark.parametrize(
    ("table", "daily", "step"),
    [("pair_features", False, "build-pair-partials"), ("semantic_ids", True, "build-semantic-ids")],
)
def test_a_group_whose_step_would_have_the_name_of_another_is_refused(table, daily, step):
    more = _feature_steps([replace(FEATURE_GROUPS[0], table=table, daily=daily)])
    with pytest.raises(GraphError, match=f"two steps are named {step}: .*give the table of your own another"):
        sort_steps((*FLOW, *more))


def test_list_tables_leaves_releases_out():
    assert list_tables([make_step("a", makes="x y"), make_step("b", makes=RELEASES)]) == ("x", "y")


# --- running them


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_run_steps_begins_a_step_after_its_upstream_and_never_more_at_once(at_once):
    running_steps: set[str] = set()
    ended_steps: set[str] = set()
    most = 0

    def run(each):
        nonlocal most
        makers = {table: s.name for s in FLOW for table in s.makes}
        open_upstream = {makers[table] for table in (*each.needs, *each.uses)} - ended_steps
        assert not open_upstream, f"{each.name} began before {open_upstream} ended"
        running_steps.add(each.name)
        most = max(most, len(running_steps))
        time.sleep(random.Random(each.name).random() / 50)
        running_steps.remove(each.name)
        ended_steps.add(each.name)
        return each.name.upper()

    results = list(run_steps(FLOW, run, at_once))
    assert sorted(s.name for s, _ in results) == sorted(s.name for s in FLOW)
    assert all(result == s.name.upper() for s, result in results)
    assert most == at_once, f"{most} steps ran at the same time; the flow is wide enough for {at_once}"


def test_run_steps_begins_with_what_the_longest_chain_waits_for():
    steps = [
        make_step("short", makes="a"), make_step("long", makes="b"), make_step("alone", makes="c"),
        make_step("next", needs="b", makes="d"), make_step("last", uses="d", makes="e"),
        make_step("end", needs="a c e", makes=RELEASES),
    ]  # fmt: skip
    order = [step.name for step, _ in run_steps(steps, lambda each: None, 1)]
    assert order == ["long", "next", "short", "alone", "last", "end"]


@pytest.mark.parametrize("problem", [RuntimeError("a fault"), SystemExit(2), KeyboardInterrupt()])
def test_run_steps_raises_what_a_step_raises_whatever_it_is(problem):
    def run(each):
        raise problem

    with pytest.raises(type(problem)):
        list(run_steps(FLOW, run, 2))
