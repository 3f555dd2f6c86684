"""What is expected of rewards; `test_seeded_faults` has the faults that each expectation is there for."""

from __future__ import annotations

from collections import Counter

import pytest
from great_expectations.expectations.metadata_types import FailureSeverity

from expectations.discovery_traces import build_trace_suite
from expectations.lineage import NOT_NULL_EXPECTATION as NOT_NULL
from expectations.requirements import list_requirements
from expectations.rewards import build_impression_reward_suite, build_reward_suite
from expectations.wording import expectation_name
from schemas.attributions import AttributionRule, Attributions
from schemas.discovery_traces import DiscoveryTraces
from schemas.impression_rewards import ImpressionRewards
from schemas.reward_set import PLAY_REWARDS, TRACK_DISCOVERED
from schemas.rewards import Rewards

NAMES = ("completed", "replayed_1d", "ms_after")
DECLARED = Rewards(tuple(reward for reward in PLAY_REWARDS if reward.name in NAMES))
OF_IMPRESSIONS = ImpressionRewards(DECLARED, Attributions((AttributionRule("last_touch_1d", "1d"),)))
SUITE = build_reward_suite(DECLARED)


@pytest.mark.parametrize(
    "suite",
    [
        build_reward_suite(Rewards(PLAY_REWARDS)),
        SUITE,
        build_impression_reward_suite(OF_IMPRESSIONS),
        build_trace_suite(DiscoveryTraces(Rewards((TRACK_DISCOVERED,)))),
    ],
)
def test_each_expectation_has_a_key_and_a_reason_of_its_own(suite):
    configurations = [each.configuration for each in suite.expectations]
    keys = Counter((expectation_name(c.type, c.kwargs), c.kwargs["column"]) for c in configurations)
    assert max(keys.values()) == 1
    assert all(len(required.reason) > 20 for required in list_requirements(suite))


def test_a_night_on_which_no_horizon_passed_is_no_warning():
    of_nulls = [e.configuration for e in SUITE.expectations if e.configuration.type == NOT_NULL]
    severities = {c.kwargs["column"]: c.severity for c in of_nulls}
    assert {severities[name] for name in NAMES} == {FailureSeverity.INFO}
    assert severities["status_1d"] == FailureSeverity.CRITICAL
