"""Which suite belongs to which table; every table that is published has one."""

from __future__ import annotations

from expectations.suite import Suite
from schemas import CONTRACTS
from schemas.feature_profiles import FEATURE_PROFILES
from schemas.input_files import INPUT_FILES
from schemas.quality_results import QUALITY_RESULTS
from schemas.releases import RELEASES
from schemas.run_costs import RUN_COSTS

# The others are records of what happened to these: no batch of them is staged, so none is audited.
_RECORDS = (RELEASES.name, QUALITY_RESULTS.name, FEATURE_PROFILES.name, INPUT_FILES.name, RUN_COSTS.name)
TABLES = tuple(name for name in CONTRACTS if name not in _RECORDS)


def suite_for(table: str) -> Suite:
    """What is expected of a table's batches.

    Raises:
        LookupError: nothing is expected of such a table, so it must not be published.
    """
    if table not in TABLES:
        raise LookupError(f"no expectations for table {table!r}; there are some for: {', '.join(TABLES)}")
    # imported here: Great Expectations takes seconds, and whoever lists tables does not need it
    from expectations import (
        candidates,
        embedding_versions,
        event_tables,
        feature_groups,
        plays,
        sessions,
        similar_tracks,
        track_embeddings,
        track_semantic_ids,
        tracks,
        user_embeddings,
    )

    suites = [plays.SUITE, plays.LATE_SUITE, plays.REJECTED_SUITE, sessions.SUITE]
    suites += [tracks.SUITE, tracks.REJECTED_SUITE, tracks.CHANGES_SUITE]
    suites += [embedding_versions.SUITE, track_embeddings.SUITE, user_embeddings.SUITE]
    suites += [similar_tracks.SUITE, candidates.SUITE]
    suites += [track_semantic_ids.SUITE, track_semantic_ids.CODEBOOK_SUITE]
    if (known := {suite.table: suite for suite in suites}.get(table)) is not None:
        return known
    # events and groups are declared, so theirs are built from what is declared at the time
    return event_tables.build_event_suite(table) or feature_groups.build_group_suite(table)
