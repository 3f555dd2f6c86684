"""What is expected of the list of trainings."""

from __future__ import annotations

from expectations.contracts import build_suite, expect_rows
from schemas.embedding_versions import EMBEDDING_VERSIONS

SUITE = build_suite(
    EMBEDDING_VERSIONS,
    expect_rows(
        "status",
        "(status = 'rejected') = (size(reasons) > 0)",
        "rejected with reasons, else accepted",
        reason="whoever looks into a refused training must find why, and one with reasons must not be a parent",
    ),
    expect_rows(
        "start",
        "start in ('cold', 'warm')",
        "cold or warm",
        reason="bounds and the choice of a parent depend on it",
    ),
    expect_rows(
        "space_id",
        "(start = 'cold') = (space_id = version_id)",
        "its own for cold, the parent's for warm",
        reason="vectors of two trainings are compared where the space is one: a wrong one makes noise of it",
    ),
    expect_rows(
        "parent",
        "start = 'cold' or parent is not null",
        "not null for warm",
        reason="a warm training begins with vectors of another version, without which it cannot be explained",
    ),
    # the first training has no parent, and a warm one searches no settings: it keeps its parent's
    optional=("parent", "trials", "search"),
)
