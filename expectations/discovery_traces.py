"""What is expected of discovery traces."""

from __future__ import annotations

from expectations.contracts import build_suite, expect_rows, expect_within
from expectations.plays import IS_OF_ITS_DAY
from expectations.rewards import IS_STATUS
from expectations.suite import Suite
from schemas.discovery_traces import DiscoveryTraces
from schemas.rewards import STATUS_CHECK


def build_trace_suite(declared: DiscoveryTraces) -> Suite:
    """When it is needed: most roots have no traces."""
    return build_suite(
        declared.contract,
        expect_rows(
            "ds", "ds = to_date(discovered_at)", "the day of discovered_at, in UTC", reason=IS_OF_ITS_DAY
        ),
        expect_rows("status", f"status {STATUS_CHECK}", "ripe, unripe or censored", reason=IS_STATUS),
        expect_rows(
            "trace",
            "trace >= 0 and trace < shiftleft(1L, days_observed)",
            "no bit beyond days_observed",
            reason="a bit of a day that is not over is of plays so far, and the zeros beside it are no answers",
        ),
        expect_rows(
            "trace",
            "trace is not null or status = 'censored'",
            "known where status is ripe or unripe",
            reason="models take a null for a discovery that was never played again",
        ),
        expect_rows(
            "days_observed",
            f"status <> 'ripe' or days_observed = {declared.days}",
            "all days where status is ripe",
            reason="a ripe trace is read as a whole one: days that are missing count as days without plays",
        ),
        expect_within(
            "days_observed", "the trace has no bits for more days, and none for less", 0, declared.days
        ),
        # where all listeners of a day were erased
        optional=("trace",),
        # on some days nobody discovers anything
        row_bound=None,
    )
