"""What is expected of the list of trainings."""

from __future__ import annotations

from expectations.contracts import ONE_ROW_PER_KEY, SOME_ROWS, expect_contract, expect_rows
from expectations.suite import Suite
from schemas.embedding_versions import EMBEDDING_VERSIONS

SUITE = Suite(
    table=EMBEDDING_VERSIONS.name,
    expectations=(
        *expect_contract(EMBEDDING_VERSIONS, optional=("parent", "trials", "search")),
        expect_rows(
            "status", "(status = 'rejected') = (size(reasons) > 0)", "rejected with reasons, else accepted"
        ),
        expect_rows("start", "start in ('cold', 'warm')", "cold or warm"),
        expect_rows(
            "space_id",
            "(start = 'cold') = (space_id = version_id)",
            "its own for cold, the parent's for warm",
        ),
        expect_rows("parent", "start = 'cold' or parent is not null", "not null for warm"),
    ),
    bounds=(SOME_ROWS, ONE_ROW_PER_KEY),
)
