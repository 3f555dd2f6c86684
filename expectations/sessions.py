"""What is expected of sessions."""

from __future__ import annotations

from expectations.aggregates import ExpectColumnValuesToBeWithin, ExpectShareToBeBetween
from expectations.contracts import ONE_ROW_PER_KEY, SOME_ROWS, WARNING, contract_expectations, rule
from expectations.plays import LISTENING
from expectations.suite import Suite
from schemas.sessions import SESSIONS

SUITE = Suite(
    table=SESSIONS.name,
    expectations=(
        *contract_expectations(SESSIONS, may_be_unknown=("saved",)),
        *LISTENING,
        ExpectColumnValuesToBeWithin(column="position", min_value=1),
        rule("session_started_at", "session_started_at <= played_at", "not after the play"),
        rule(
            "session_started_at",
            "position > 1 or session_started_at = played_at",
            "for a first play, the instant of it",
        ),
        # services see a quarter to a half of plays skipped; none, or all, is a broken signal
        ExpectShareToBeBetween(
            column="skipped",
            share="avg(cast(skipped as double))",
            min_value=0.01,
            max_value=0.95,
            severity=WARNING,
            description="from 1 % to 95 % of plays skipped",
        ),
        ExpectShareToBeBetween(
            column="is_bot",
            share="avg(cast(is_bot as double))",
            max_value=0.2,
            severity=WARNING,
            description="at most 20 % of plays by bots",
        ),
    ),
    bounds=(SOME_ROWS, ONE_ROW_PER_KEY),
)
