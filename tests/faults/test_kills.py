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
def test_publish_killed_at_a_step_leaves_all_or_nothing(root, job, templates, fault, already):
    for offer in OFFERS[:already]:
        job().offer(offer)
    chain = Chain(root, "--templates", templates)
    chain.reported = already
    chain.kill_at(fault)
    assert chain.landed == (fault in LANDED)
    outcomes = [job().offer(OFFERS[already]).kind for _ in range(2)]
    assert outcomes == ["unchanged" if chain.landed else "published", "unchanged"]
    assert check(root, OFFERS) == job().warehouse.state(TABLE).version


def test_publish_after_a_kill_between_create_and_constraints_adds_them(root, job, templates):
    Chain(root, "--templates", templates).kill_at("after create")
    assert check(root, OFFERS) == 0, "the table was not just made"
    assert [job().offer(OFFERS[0]).kind for _ in range(2)] == ["published", "unchanged"]
    settings = job().warehouse.table(TABLE).metadata().configuration
    missing = [name for name in SESSIONS.constraints if f"delta.constraints.{name}" not in settings]
    assert not missing, f"the table has no constraint {missing}"
    check(root, OFFERS)


def test_publish_killed_at_random_moments_of_a_replay_is_completed_by_reruns(root, templates):
    chain, rng = Chain(root, "--templates", templates), random.Random(7)
    seconds = chain.run_undisturbed(4)
    kills = sum(chain.kill_after(rng.uniform(0, seconds), 4, "group") for _ in range(12))
    assert kills >= 6, f"only {kills} of 12 runs were killed, the others were done"
    chain.run_undisturbed(4)
    assert not chain.landed


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_publish_by_spark_killed_in_write_and_audit_is_completed_by_reruns(spark, root):
    """One root, killed again and again; each run has to end what the one before left, so that each session is one
    fault and one recovery."""

    def publish(offer):
        own_job = Job("fault", str(root), say=lambda text: None)
        return own_job.publish(offer.batch(own_job), frame(spark, offer.rows(), SESSIONS))

    publish(OFFERS[0])
    chain, rng = Chain(root), random.Random(4)
    chain.reported = 1
    assert "half written" in chain.kill_at("in the write")
    assert "half audited" in chain.kill_at("in the audit", "--victim", "python")
    # more offers than that time is enough for
    assert chain.kill_after(rng.uniform(0, 4), 100, "group"), "the run was not killed but done"
    chain.run_here(publish, 2)
    assert chain.reported >= 3 and not chain.landed
