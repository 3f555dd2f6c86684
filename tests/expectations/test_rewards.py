"""What is expected of rewards: each expectation sees the fault that it is there for."""

from __future__ import annotations

from collections import Counter

import pytest
from great_expectations.expectations.metadata_types import FailureSeverity

from expectations.lineage import NOT_NULL_EXPECTATION as NOT_NULL
from expectations.requirements import list_requirements
from expectations.rewards import build_impression_reward_suite, build_reward_suite
from expectations.wording import expectation_name
from reference.fault_counts import count_violations, make_frame
from reference.seeded_faults import list_names
from schemas.attributions import AttributionRule, Attributions
from schemas.impression_rewards import ImpressionRewards
from schemas.reward_set import PLAY_REWARDS
from schemas.rewards import Rewards

NAMES = ("completed", "replayed_1d", "ms_after")
DECLARED = Rewards(tuple(reward for reward in PLAY_REWARDS if reward.name in NAMES))
OF_IMPRESSIONS = ImpressionRewards(DECLARED, Attributions((AttributionRule("last_touch_1d", "1d"),)))
SUITE = build_reward_suite(DECLARED)
SUITES = {DECLARED: SUITE, OF_IMPRESSIONS: build_impression_reward_suite(OF_IMPRESSIONS)}


@pytest.mark.parametrize("suite", [build_reward_suite(Rewards(PLAY_REWARDS)), *SUITES.values()])
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


@pytest.mark.parametrize("declared", SUITES)
def test_a_seeded_fault_breaks_its_own_expectation_and_no_other(spark, declared):
    suite = SUITES[declared]
    seeds, df = make_frame(spark, suite, declared.contract)
    assert {seed.name for seed in seeds} == set(list_names(suite))
    for seed, counts in zip(seeds, count_violations(suite, len(seeds), df), strict=True):
        broken = {name for name, count in counts.items() if count}
        assert broken == {seed.name, *seed.fault.others}, f"{seed.name}, by {seed.fault.values}"
