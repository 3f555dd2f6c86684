"""SIGKILL at every step and at random moments: nothing half done is seen, and a rerun ends the work."""

from __future__ import annotations

import random

import pytest

from faults.invariants import check
from faults.offers import OFFERS, TABLE
from faults.runs import Chain
from jobs.job import Job
from reference.frames import frame
from schemas.sessions import SESSIONS

LANDED = {"after swap", "after commit"}
STEPS = ("after reserve", "after stage", "after record", "before swap", *sorted(LANDED))


@pytest.mark.parametrize("already", [0, 1])
@pytest.mark.parametrize("fault", STEPS)
def test_a_kill_at_a_step_leaves_all_or_nothing(root, job, templates, fault, already):
    for offer in OFFERS[:already]:
        job().offer(offer)
    chain = Chain(root, "--templates", templates)
    chain.reported = already
    chain.killed_at(fault)
    assert chain.landed == (fault in LANDED)
    again = [job().offer(OFFERS[already]).kind for _ in range(2)]
    assert again == ["unchanged" if chain.landed else "published", "unchanged"]
    assert check(root, OFFERS) == job().warehouse.state(TABLE).version


def test_a_kill_between_the_making_of_a_table_and_its_constraints(root, job, templates):
    Chain(root, "--templates", templates).killed_at("after create")
    assert check(root, OFFERS) == 0, "the table was not just made"
    assert [job().offer(OFFERS[0]).kind for _ in range(2)] == ["published", "unchanged"]
    settings = job().warehouse.table(TABLE).metadata().configuration
    missing = [name for name in SESSIONS.constraints if f"delta.constraints.{name}" not in settings]
    assert not missing, f"the table has no constraint {missing}"
    check(root, OFFERS)


def test_kills_at_random_moments_of_a_replay(root, templates):
    chain, drawn = Chain(root, "--templates", templates), random.Random(7)
    took = chain.undisturbed(4)
    kills = sum(chain.killed_after(drawn.uniform(0, took), 4, "group") for _ in range(12))
    assert kills >= 6, f"only {kills} of 12 runs were killed, the others were done"
    chain.undisturbed(4)
    assert not chain.landed


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_kills_of_a_driver_with_spark(spark, root):
    """One root, killed again and again; each run has to end what the one before left, so that each session is one
    fault and one recovery."""
    mine = Job("fault", str(root), say=lambda text: None)
    mine.publish(OFFERS[0].batch(mine), frame(spark, OFFERS[0].rows(), SESSIONS))
    chain, drawn = Chain(root), random.Random(4)
    chain.reported = 1
    assert "half written" in chain.killed_at("in the write")
    assert "half audited" in chain.killed_at("in the audit", "--victim", "python")
    # more offers than that time is enough for
    assert chain.killed_after(drawn.uniform(0, 4), 100, "group"), "the run was not killed but done"
    chain.undisturbed(2)
    assert chain.reported >= 3 and not chain.landed
