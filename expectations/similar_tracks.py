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
        # how many tracks name the same one among their ten nearest, against the mean: hubs drown the rest
        Bound("hubness@10", high=20),
    ),
)
