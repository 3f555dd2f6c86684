"""What is expected of candidates."""

from __future__ import annotations

from expectations.contracts import ONE_ROW_PER_KEY, SOME_ROWS, contract_expectations, rule
from expectations.suite import Suite
from expectations.track_embeddings import ONE_VERSION
from expectations.windows import DAY_IS_OVER
from schemas.candidates import CANDIDATES, ORIGINS

_LISTED = ", ".join(f"'{origin}'" for origin in ORIGINS)

SUITE = Suite(
    table=CANDIDATES.name,
    expectations=(
        *contract_expectations(CANDIDATES),
        DAY_IS_OVER,
        *ONE_VERSION,
        rule("track_ids", "size(track_ids) >= 1", "one candidate or more"),
        rule("track_ids", "size(array_distinct(track_ids)) = size(track_ids)", "each once"),
        rule("scores", "size(scores) = size(track_ids)", "one per candidate"),
        rule("origins", "size(origins) = size(track_ids)", "one per candidate"),
        rule("origins", f"forall(origins, x -> x in ({_LISTED}))", f"each {' or '.join(ORIGINS)}"),
    ),
    bounds=(SOME_ROWS, ONE_ROW_PER_KEY),
)
