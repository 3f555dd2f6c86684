"""Which suite belongs to which table; every table that is published has one."""

from __future__ import annotations

from functools import cache

from expectations.suite import Suite
from schemas import CONTRACTS
from schemas.quality_results import QUALITY_RESULTS
from schemas.releases import RELEASES

# The two others are records of what happened to these: no batch of them is staged, so none is audited.
TABLES = tuple(name for name in CONTRACTS if name not in (RELEASES.name, QUALITY_RESULTS.name))


def suite_for(table: str) -> Suite:
    """What is expected of a table's batches.

    Raises:
        LookupError: nothing is expected of such a table, so it must not be published.
    """
    from expectations.feature_groups import build_suite

    if table not in TABLES:
        raise LookupError(f"no expectations for table {table!r}; there are some for: {', '.join(TABLES)}")
    return _suites().get(table) or build_suite(table)


@cache
def _suites() -> dict[str, Suite]:
    """All but those of feature groups. Imported here, since Great Expectations takes seconds."""
    from expectations import (
        candidates,
        embedding_versions,
        plays,
        rejected_plays,
        semantic_codebooks,
        sessions,
        similar_tracks,
        track_embeddings,
        track_semantic_ids,
        tracks,
        user_embeddings,
    )

    modules = (
        plays,
        rejected_plays,
        tracks,
        sessions,
        embedding_versions,
        track_embeddings,
        user_embeddings,
        similar_tracks,
        candidates,
        semantic_codebooks,
        track_semantic_ids,
    )
    return {module.SUITE.table: module.SUITE for module in modules}
