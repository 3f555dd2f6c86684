"""What is expected of the list of trainings."""

from __future__ import annotations

from expectations.contracts import ONE_ROW_PER_KEY, SOME_ROWS, contract_expectations, rule
from expectations.suite import Suite
from schemas.embedding_versions import EMBEDDING_VERSIONS

SUITE = Suite(
    table=EMBEDDING_VERSIONS.name,
    expectations=(
        *contract_expectations(EMBEDDING_VERSIONS, may_be_unknown=("parent", "trials", "search")),
        rule("status", "(status = 'rejected') = (size(reasons) > 0)", "rejected with reasons, else accepted"),
        rule("start", "start in ('cold', 'warm')", "cold or warm"),
        rule(
            "space_id",
            "(start = 'cold') = (space_id = version_id)",
            "its own for cold, the parent's for warm",
        ),
        rule("parent", "start = 'cold' or parent is not null", "told for warm"),
    ),
    bounds=(SOME_ROWS, ONE_ROW_PER_KEY),
)
