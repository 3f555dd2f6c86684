"""Every expectation of every suite sees the fault that it is there for, and no other one fails with it."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pytest
from pyspark.sql import functions as F

from expectations.attributions import build_attribution_suite
from expectations.event_tables import _build_suite
from expectations.gate import audit_batch
from expectations.profile import Profile
from expectations.quarantine import find_violation_sql
from expectations.requirements import list_requirements
from expectations.suite import Bound
from expectations.suites import TABLES, suite_for
from jobs.owners import find_answerable
from jobs.publishing.declared_columns import schema_of
from reference.seeded_faults import ROWS, list_names, list_number_faults, seed_faults
from schemas import CONTRACTS
from schemas.attributions import ATTRIBUTIONS
from schemas.impressions import IMPRESSIONS

# What comes with Segue, and what a project may add to it: tables of events, and what they led to.
SUITES = {table: suite_for(table) for table in TABLES}
SUITES |= {"impressions": _build_suite(IMPRESSIONS), "attributions": build_attribution_suite()}
SEEDED = CONTRACTS | {"impressions": IMPRESSIONS.contract, "attributions": ATTRIBUTIONS}


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
    return {table: make_frame(spark, table) for table in SUITES}


def make_frame(spark, table):
    contract = SEEDED[table]
    seeds = list(seed_faults(SUITES[table], contract))
    rows = [{"fault": place, **row} for place, seed in enumerate(seeds) for row in seed.rows]
    # nullable, whatever the contract says, or Spark would take for granted that nothing is null
    fields = [field.with_nullable(True) for field in pa.schema(schema_of(contract).to_arrow())]
    # by Arrow, as so few rows are then part of the plan: conditions are evaluated over them without a job
    return seeds, spark.createDataFrame(
        pa.Table.from_pylist(rows, schema=pa.schema([pa.field("fault", pa.int32()), *fields]))
    )


@pytest.fixture(scope="module")
def violations(frames):
    """By table, of each fault in order: rows that break each expectation, by its name."""
    return {table: count_violations(table, len(seeds), df) for table, (seeds, df) in frames.items()}


def count_violations(table, faults, df):
    names = list_names(SUITES[table])
    rows = {name: each for name, each in names.items() if not isinstance(each, Bound)}
    arguments = [each.configuration.kwargs for each in rows.values()]
    flags = [
        find_violation_sql(e) or f"{a['column']} is null"
        for e, a in zip(rows.values(), arguments, strict=True)
    ]
    values = [f"cast({a.get('value', 'null')} as string)" for a in arguments]
    found = df.selectExpr("fault", f"array({', '.join(flags)})", f"array({', '.join(values)})").collect()
    by_fault = {fault: [row[1:] for row in found if row[0] == fault] for fault in range(faults)}
    counts = [
        {
            name: _count(
                each, [broken[n] for broken, _ in by_fault[fault]], [seen[n] for _, seen in by_fault[fault]]
            )
            for n, (name, each) in enumerate(rows.items())
        }
        for fault in range(faults)
    ]
    for fault, broken in find_broken_shares([each for each in names.values() if isinstance(each, Bound)], df):
        counts[fault] |= broken
    return counts


def find_broken_shares(bounds, df):
    if bounds:
        for fault, *shares in df.groupBy("fault").agg(*[F.expr(each.share) for each in bounds]).collect():
            pairs = zip(bounds, shares, strict=True)
            yield (
                fault,
                {(b.column, b.limits): int(not b.check({b.measure: share}).success) for b, share in pairs},
            )


def _count(expectation, broken, values):
    """Rows that break it; 1 where they do so together."""
    if find_violation_sql(expectation):
        return sum(map(bool, broken))
    if "value" in expectation.configuration.kwargs:
        return int(len({*values} - {None}) > 1)
    return int(all(broken))


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
