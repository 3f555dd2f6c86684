"""What is expected of similar tracks."""

from __future__ import annotations

from expectations.contracts import ONE_ROW_PER_KEY, SOME_ROWS, contract_expectations, rule
from expectations.suite import Bound, Suite
from expectations.track_embeddings import ONE_VERSION
from expectations.windows import DAY_IS_OVER
from schemas.similar_tracks import SIMILAR_TRACKS

FALLING = "forall(sequence(1, size(scores)), i -> i = 1 or scores[i - 1] <= scores[i - 2])"

SUITE = Suite(
    table=SIMILAR_TRACKS.name,
    expectations=(
        *contract_expectations(SIMILAR_TRACKS),
        DAY_IS_OVER,
        *ONE_VERSION,
        rule("neighbours", "not array_contains(neighbours, track_id)", "not the track itself"),
        rule("neighbours", "size(array_distinct(neighbours)) = size(neighbours)", "each once"),
        rule("scores", "size(scores) = size(neighbours)", "one per neighbour"),
        rule("scores", f"size(scores) = 0 or {FALLING}", "falling"),
        rule("scores", "not exists(scores, x -> abs(x) > 1.001)", "from -1 to 1"),
        rule("search", "search in ('exact', 'ivf')", "exact or ivf"),
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
            when="has_hubs_and_day_before",
        ),
        Bound(
            "hubness@10_ratio",
            "the largest hub grew by half since the day before",
            high=1.5,
            severity="warning",
            when="has_hubs_and_day_before",
            title="hubness@10_ratio.warning",
        ),
    ),
)
