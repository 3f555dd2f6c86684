"""What is expected of similar tracks."""

from __future__ import annotations

from expectations.contracts import ONE_ROW_PER_KEY, SOME_ROWS, expect_contract, expect_rows
from expectations.suite import Bound, Suite
from expectations.track_embeddings import ONE_VERSION
from expectations.windows import FEATURE_AT_IS_END_OF_DAY
from schemas.similar_tracks import SIMILAR_TRACKS

SCORES_DESCEND = "forall(sequence(1, size(scores)), i -> i = 1 or scores[i - 1] <= scores[i - 2])"

SUITE = Suite(
    table=SIMILAR_TRACKS.name,
    expectations=(
        *expect_contract(SIMILAR_TRACKS),
        FEATURE_AT_IS_END_OF_DAY,
        *ONE_VERSION,
        expect_rows("neighbours", "not array_contains(neighbours, track_id)", "not the track itself"),
        expect_rows("neighbours", "size(array_distinct(neighbours)) = size(neighbours)", "each once"),
        expect_rows("scores", "size(scores) = size(neighbours)", "one per neighbour"),
        expect_rows("scores", f"size(scores) = 0 or {SCORES_DESCEND}", "falling"),
        # cosines of float vectors: rounding takes some of them over 1
        expect_rows("scores", "not exists(scores, x -> abs(x) > 1.001)", "from -1 to 1"),
        expect_rows("search", "search in ('exact', 'ivf')", "exact or ivf"),
    ),
    bounds=(
        SOME_ROWS,
        ONE_ROW_PER_KEY,
        Bound(
            "hubness@10",
            "a track that so many times the mean name among their ten nearest drowns the rest; how many do depends "
            "on the music (21 on four months of radio), so it is worth a look and no fault",
            high=20,
            severity="warning",
        ),
        Bound(
            "hubness@10_ratio",
            "hubs grow beyond what new tracks explain: with twice the tracks the largest at most doubles",
            high=3,
            applies_if="has_hubs_and_day_before",
        ),
        Bound(
            "hubness@10_ratio",
            "the largest hub grew by half since the day before",
            high=1.5,
            severity="warning",
            applies_if="has_hubs_and_day_before",
            title="hubness@10_ratio.warning",
        ),
    ),
)
