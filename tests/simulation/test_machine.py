"""Twenty runs of the adversary; `make soak` has five hundred."""

from __future__ import annotations

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from simulation.machine import NightsMachine

from reference.worlds import FEW


def test_nights_in_any_order_keep_what_must_hold():
    NightsMachine.kills.clear()
    # the same twenty each time: a run must not fail by what another change did. The soak draws others
    few = settings(FEW, max_examples=20, stateful_step_count=5, derandomize=True)
    run_state_machine_as_test(NightsMachine, settings=few)
    assert NightsMachine.kills, "no step was killed"
