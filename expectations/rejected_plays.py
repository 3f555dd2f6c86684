"""What is expected of rejected plays; none at all is the best batch."""

from __future__ import annotations

from expectations.contracts import ONE_ROW_PER_KEY, expect_contract, expect_rows
from expectations.suite import Suite
from schemas.plays import REJECTED_PLAYS

SUITE = Suite(
    table=REJECTED_PLAYS.name,
    expectations=(
        # a blank row of a file is an input row too
        *expect_contract(REJECTED_PLAYS, allow_empty=("raw",)),
        expect_rows("reasons", "size(reasons) >= 1", "at least one reason"),
    ),
    bounds=(ONE_ROW_PER_KEY,),
)
