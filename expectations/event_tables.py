"""What is expected of the events that a project declares: their contract, and what is true of events at all."""

from __future__ import annotations

from expectations.attributions import build_attribution_suite
from expectations.contracts import build_suite, expect_rows
from expectations.discovery_traces import build_trace_suite
from expectations.impressions import IMPRESSION_BOUNDS
from expectations.plays import (
    INGEST_BOUNDS,
    IS_AHEAD,
    IS_NO_TIME,
    IS_OF_ITS_DAY,
    SOME_EVENTS,
    build_rejects_suite,
)
from expectations.reward_thresholds import build_threshold_suite
from expectations.rewards import build_impression_reward_suite, build_reward_suite
from expectations.suite import Suite
from schemas import (
    ATTRIBUTION_TABLES,
    EVENT_TABLES,
    IMPRESSION_REWARD_TABLES,
    REWARD_TABLES,
    THRESHOLD_TABLES,
    TRACE_TABLES,
    EventTable,
)
from schemas.impressions import IMPRESSIONS, has_slates
from schemas.plays import EARLIEST_PLAY


def build_event_suite(table: str) -> Suite | None:
    """Of a table of events that is declared, its rejects, or of what follows from rewards; None for any other."""
    if table in [each.name for each in ATTRIBUTION_TABLES]:
        return build_attribution_suite()
    for rewards in REWARD_TABLES:
        if table == rewards.name:
            return build_reward_suite(rewards)
    for of_impressions in IMPRESSION_REWARD_TABLES:
        if table == of_impressions.name:
            return build_impression_reward_suite(of_impressions)
    for traces in TRACE_TABLES:
        if table == traces.name:
            return build_trace_suite(traces)
    if table in [each.name for each in THRESHOLD_TABLES]:
        return build_threshold_suite()
    for declared in EVENT_TABLES:
        if table == declared.name:
            return _build_suite(declared)
        if table == declared.rejects.name:
            return build_rejects_suite(declared.rejects)
    return None


def _build_suite(table: EventTable) -> Suite:
    at = table.event_time
    # rows that break these were rejected, each with its reason: here they are the code's promise
    kept = "the project declares this range; a row outside it should have been rejected with its reason"
    ranges = [
        expect_rows(c.name, f"`{c.name}` {c.check}", c.check, reason=kept) for c in table.columns if c.check
    ]
    # most logs lack some of what impressions can say, and a night may have nothing that was randomised
    optional = [c.name for c in IMPRESSIONS.columns if c.nullable] if has_slates(table) else []
    return build_suite(
        table.contract,
        expect_rows(at, f"`{at}` >= timestamp'{EARLIEST_PLAY} 00:00:00'", "from 1999 on", reason=IS_NO_TIME),
        expect_rows(
            at, f"`{at}` < current_timestamp() + interval 1 day", "not in the future", reason=IS_AHEAD
        ),
        expect_rows("ds", f"ds = to_date(`{at}`)", f"the day of {at}, in UTC", reason=IS_OF_ITS_DAY),
        *ranges,
        optional=optional,
        row_bound=SOME_EVENTS,
        bounds=(*INGEST_BOUNDS, *(IMPRESSION_BOUNDS if has_slates(table) else ())),
    )
