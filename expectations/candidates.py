"""What is expected of candidates."""

from __future__ import annotations

from expectations.contracts import build_suite, expect_rows
from expectations.track_embeddings import OF_ONE_TRAINING
from schemas.candidates import CANDIDATES, ORIGINS

_BY_PLACE = "the lists are read side by side: of other lengths, each score or origin is that of another track"
_ORIGINS_SQL = ", ".join(f"'{origin}'" for origin in ORIGINS)

SUITE = build_suite(
    CANDIDATES,
    *OF_ONE_TRAINING,
    expect_rows(
        "track_ids",
        "size(track_ids) >= 1",
        "one candidate or more",
        reason="a listener with none gets an empty page, where one without a row gets what is popular",
    ),
    expect_rows(
        "track_ids",
        "size(array_distinct(track_ids)) = size(track_ids)",
        "each once",
        reason="a ranker would score a track twice, and may show it twice",
    ),
    expect_rows("scores", "size(scores) = size(track_ids)", "one per candidate", reason=_BY_PLACE),
    expect_rows("origins", "size(origins) = size(track_ids)", "one per candidate", reason=_BY_PLACE),
    expect_rows(
        "origins",
        f"forall(origins, x -> x in ({_ORIGINS_SQL}))",
        f"each {' or '.join(ORIGINS)}",
        reason="rankers have a feature for each way a candidate was found; others they have never seen",
    ),
)
