"""Every expectation of every suite sees the fault that it is there for, and no other one fails with it."""

from __future__ import annotations

from collections import Counter

import pytest

from expectations.attributions import build_attribution_suite
from expectations.discovery_traces import build_trace_suite
from expectations.event_tables import _build_suite
from expectations.gate import audit_batch
from expectations.profile import Profile
from expectations.quarantine import find_violation_sql
from expectations.requirements import list_requirements
from expectations.reward_thresholds import build_threshold_suite
from expectations.rewards import build_impression_reward_suite, build_reward_suite
from expectations.suite import Bound
from expectations.suites import TABLES, suite_for
from jobs.owners import find_answerable
from reference.fault_counts import count_violations, make_frame
from reference.seeded_faults import ROWS, list_names, list_number_faults
from schemas import CONTRACTS
from schemas.attributions import ATTRIBUTIONS, AttributionRule, Attributions
from schemas.discovery_traces import DiscoveryTraces
from schemas.impression_rewards import ImpressionRewards
from schemas.impressions import IMPRESSIONS
from schemas.reward_set import PLAY_REWARDS, TRACK_DISCOVERED
from schemas.reward_thresholds import REWARD_THRESHOLDS
from schemas.rewards import Rewards

NAMES = ("completed", "replayed_1d", "ms_after")
REWARDS = Rewards(tuple(reward for reward in PLAY_REWARDS if reward.name in NAMES))
OF_IMPRESSIONS = ImpressionRewards(REWARDS, Attributions((AttributionRule("last_touch_1d", "1d"),)))
TRACES = DiscoveryTraces(Rewards((TRACK_DISCOVERED,)))
# What comes with Segue, and what a project may add to it: tables of events, what they led to, and what that was worth.
SUITES = {table: suite_for(table) for table in TABLES}
SUITES |= {"impressions": _build_suite(IMPRESSIONS), "attributions": build_attribution_suite()}
SUITES |= {
    REWARDS.name: build_reward_suite(REWARDS),
    OF_IMPRESSIONS.name: build_impression_reward_suite(OF_IMPRESSIONS),
    TRACES.name: build_trace_suite(TRACES),
    "reward_thresholds": build_threshold_suite(),
}
SEEDED = CONTRACTS | {"impressions": IMPRESSIONS.contract, "attributions": ATTRIBUTIONS}
SEEDED |= {declared.name: declared.contract for declared in (REWARDS, OF_IMPRESSIONS, TRACES)}
SEEDED |= {"reward_thresholds": REWARD_THRESHOLDS}


@pytest.mark.parametrize("table", SUITES)
def test_every_expectation_has_severity_reason_and_owner(table):
    for required in list_requirements(SUITES[table]):
        assert required.severity in ("critical", "warning", "info")
        assert len(required.reason) > 20, f"{required} does not say why it matters"
        assert find_answerable(table, required.owner)


@pytest.mark.parametrize("table", SUITES)
def test_bounds_fail_beyond_their_limits_with_no_other_but_narrower_ones_of_the_same_number(table):
    suite = SUITES[table]
    for bound, numbers, broken in list_number_faults(suite):
        results = {each.name: each.check(numbers) for each in suite.bounds if not each.share}
        assert {name for name, result in results.items() if not result.success} == broken, bound.name
        assert bound.name in broken and results[bound.name].severity == bound.severity
        others = broken - {bound.name}
        assert others <= {f"{bound.name}.warning"}, f"{others} are to be warned of before {bound.name}"


@pytest.fixture(scope="module")
def frames(spark):
    """Of each table all its faults, four rows each, and the fault's place as a column."""
    return {table: make_frame(spark, suite, SEEDED[table]) for table, suite in SUITES.items()}


@pytest.fixture(scope="module")
def violations(frames):
    """By table, of each fault in order: rows that break each expectation, by its name."""
    return {table: count_violations(SUITES[table], len(seeds), df) for table, (seeds, df) in frames.items()}


@pytest.mark.parametrize("table", SUITES)
def test_a_seeded_fault_breaks_its_own_expectation_and_no_other(violations, frames, table):
    seeds, _ = frames[table]
    assert {seed.name for seed in seeds} == set(list_names(SUITES[table]))
    for seed, counts in zip(seeds, violations[table], strict=True):
        broken = {name for name, count in counts.items() if count}
        assert broken == {seed.name, *seed.fault.others}, f"{seed.name}, by {seed.fault.values}"


def test_great_expectations_counts_the_rows_that_the_conditions_of_quarantine_find(violations, frames):
    """Over all faults of a table that has every kind: what is kept of a refused batch is what it was refused for."""
    table = "sessions"
    seeds, df = frames[table]
    expected = Counter()
    for counts in violations[table]:
        expected.update(counts)
    suite = SUITES[table]
    verdict = audit_batch(df.drop("fault"), suite, Profile(len(seeds) * ROWS, 0, {}), {})
    of_rows = verdict.results[-len(list_names(suite)) :]
    counted = {
        name: (result.unexpected_count, expected[name])
        for (name, each), result in zip(list_names(suite).items(), of_rows, strict=True)
        if not isinstance(each, Bound) and find_violation_sql(each)
    }
    kinds = {type(each) for each in suite.expectations if find_violation_sql(each)}
    assert len(kinds) == 5 and len(counted) > 20
    assert {name: pair for name, pair in counted.items() if pair[0] != pair[1]} == {}
