"""What is expected of the list of trainings."""

from __future__ import annotations

from expectations.contracts import build_suite, expect_rows
from schemas.embedding_versions import EMBEDDING_VERSIONS

SUITE = build_suite(
    EMBEDDING_VERSIONS,
    expect_rows(
        "status", "(status = 'rejected') = (size(reasons) > 0)", "rejected with reasons, else accepted"
    ),
    expect_rows("start", "start in ('cold', 'warm')", "cold or warm"),
    expect_rows(
        "space_id", "(start = 'cold') = (space_id = version_id)", "its own for cold, the parent's for warm"
    ),
    expect_rows("parent", "start = 'cold' or parent is not null", "not null for warm"),
    # the first training has no parent, and a warm one searches no settings: it keeps its parent's
    optional=("parent", "trials", "search"),
)
