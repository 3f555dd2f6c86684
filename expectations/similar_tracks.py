"""What is expected of similar tracks."""

from __future__ import annotations

from expectations.contracts import build_suite, expect_rows
from expectations.suite import Bound, SoftBound
from expectations.track_embeddings import OF_ONE_TRAINING
from schemas.similar_tracks import SIMILAR_TRACKS

SCORES_DESCEND = "forall(sequence(1, size(scores)), i -> i = 1 or scores[i - 1] <= scores[i - 2])"

SUITE = build_suite(
    SIMILAR_TRACKS,
    *OF_ONE_TRAINING,
    expect_rows(
        "neighbours",
        "not array_contains(neighbours, track_id)",
        "not the track itself",
        reason="what is like a track is shown beside it, and would be the track again",
    ),
    expect_rows(
        "neighbours",
        "size(array_distinct(neighbours)) = size(neighbours)",
        "each once",
        reason="a list that shows a track twice has room for one less",
    ),
    expect_rows(
        "scores",
        "size(scores) = size(neighbours)",
        "one per neighbour",
        reason="the lists are read side by side: of other lengths, each score is that of another track",
    ),
    # sequence(1, 0) counts down, and is no empty array: a list of none would have places 1 and 0
    expect_rows(
        "scores",
        f"size(scores) = 0 or {SCORES_DESCEND}",
        "falling",
        reason="readers take the first k of the list for the k nearest",
    ),
    # cosines of float vectors: rounding takes some of them over 1
    expect_rows(
        "scores",
        "not exists(scores, x -> abs(x) > 1.001)",
        "from -1 to 1",
        reason="it is a cosine: beyond 1 the vectors were not of length 1",
    ),
    expect_rows(
        "search",
        "search in ('exact', 'ivf')",
        "exact or ivf",
        reason="whoever compares two days must know whether neighbours may be missing",
    ),
    bounds=(
        SoftBound(
            "hubness@10",
            "a track that so many times the mean name among their ten nearest drowns the rest; how many do depends "
            "on the music (21 on four months of radio), so it is worth a look and no fault",
            high=20,
        ),
        Bound(
            "hubness@10_ratio",
            "hubs grow beyond what new tracks explain: with twice the tracks the largest at most doubles",
            high=3,
            applies_if="has_hubs_and_day_before",
        ),
        SoftBound(
            "hubness@10_ratio",
            "the largest hub grew by half since the day before",
            high=1.5,
            applies_if="has_hubs_and_day_before",
            title="hubness@10_ratio.warning",
        ),
    ),
)
