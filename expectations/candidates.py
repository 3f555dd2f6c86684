"""What is expected of candidates."""

from __future__ import annotations

from expectations.contracts import build_suite, expect_rows
from expectations.track_embeddings import OF_ONE_TRAINING
from schemas.candidates import CANDIDATES, ORIGINS

_ORIGINS_SQL = ", ".join(f"'{origin}'" for origin in ORIGINS)

SUITE = build_suite(
    CANDIDATES,
    *OF_ONE_TRAINING,
    expect_rows("track_ids", "size(track_ids) >= 1", "one candidate or more"),
    expect_rows("track_ids", "size(array_distinct(track_ids)) = size(track_ids)", "each once"),
    expect_rows("scores", "size(scores) = size(track_ids)", "one per candidate"),
    expect_rows("origins", "size(origins) = size(track_ids)", "one per candidate"),
    expect_rows("origins", f"forall(origins, x -> x in ({_ORIGINS_SQL}))", f"each {' or '.join(ORIGINS)}"),
)
