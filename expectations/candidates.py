"""What is expected of candidates."""

from __future__ import annotations

from expectations.contracts import ONE_ROW_PER_KEY, SOME_ROWS, expect_contract, expect_rows
from expectations.suite import Suite
from expectations.track_embeddings import ONE_VERSION
from expectations.windows import FEATURE_AT_IS_END_OF_DAY
from schemas.candidates import CANDIDATES, ORIGINS

_ORIGINS_SQL = ", ".join(f"'{origin}'" for origin in ORIGINS)

SUITE = Suite(
    table=CANDIDATES.name,
    expectations=(
        *expect_contract(CANDIDATES),
        FEATURE_AT_IS_END_OF_DAY,
        *ONE_VERSION,
        expect_rows("track_ids", "size(track_ids) >= 1", "one candidate or more"),
        expect_rows("track_ids", "size(array_distinct(track_ids)) = size(track_ids)", "each once"),
        expect_rows("scores", "size(scores) = size(track_ids)", "one per candidate"),
        expect_rows("origins", "size(origins) = size(track_ids)", "one per candidate"),
        expect_rows(
            "origins", f"forall(origins, x -> x in ({_ORIGINS_SQL}))", f"each {' or '.join(ORIGINS)}"
        ),
    ),
    bounds=(SOME_ROWS, ONE_ROW_PER_KEY),
)
