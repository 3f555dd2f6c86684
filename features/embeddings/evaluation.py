"""How good a space is: next and similar tracks on plays held out, baselines, neighbours, the version before.

Leave-last-out: the track that is held out is ranked in the list for the track before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from features.embeddings.arrays import Flags, Ints, Matrix
from features.embeddings.baselines import rank_by_cooccurrence, rank_by_popularity
from features.embeddings.comparison import (
    find_neighbours,
    hubness,
    mean_cosine,
    norm_shift,
    paired_ratio,
    popularity_bias,
)
from features.embeddings.corpus import Corpus
from features.embeddings.ranking import Pairs, rank_targets, score_segments, scores

# Sequences that co-occurrence is counted in; of more, some at equal distances, as its counts grow with them.
MOST_COUNTED = 2_000_000
NEIGHBOURS = 10
NEARBY = 5
# Tracks whose neighbours are looked at. Of all of them, two million would take hours.
SAMPLE = 3_000


@dataclass(frozen=True)
class Metric:
    """One figure: of this version or of what it is compared with, over all pairs or those of a segment."""

    name: str
    of: str
    segment: str
    value: float


@dataclass(frozen=True)
class RankingResult:
    """What was measured: metrics to keep, and which pairs were hit within ten."""

    metrics: list[Metric]
    hits: Flags


def measure_baselines(
    corpus: Corpus, pairs: Pairs, most_counted: int = MOST_COUNTED
) -> dict[str, RankingResult]:
    """What needs no embedding: the most played, and co-occurrence in sessions and within five plays.

    Args:
        most_counted: sequences that co-occurrence is counted in.
    """
    counted = corpus.sample(most_counted)
    sessions = (counted.tokens, counted.offsets, len(corpus.counts), pairs)
    places = {
        "popularity": rank_by_popularity(corpus.counts, pairs),
        "cooccurrence": rank_by_cooccurrence(*sessions),  # the gate's bar
        # the nearer the more, which is the stronger one: 0.185 hits against 0.160 on real sessions
        "cooccurrence_nearby": rank_by_cooccurrence(*sessions, window=NEARBY),
    }
    return {
        of: RankingResult(_score_metrics("next", of, each), _within_ten(each)) for of, each in places.items()
    }


def evaluate_ranking(
    what: str, of: str, queries: Matrix, items: Matrix, pairs: Pairs, counts: Ints
) -> RankingResult:
    """The scores of a list, over all pairs and by the segment of the track that was played."""
    places = rank_targets(queries, items, pairs)
    metrics = _score_metrics(what, of, places)
    for segment, own in score_segments(places, pairs, counts).items():
        metrics += [Metric(f"{what}.{name}", of, segment, value) for name, value in own.items()]
    return RankingResult(metrics, _within_ten(places))


def sample_tracks(tracks: Ints, seed: int = 0) -> Ints:
    """Up to SAMPLE of these tracks, in order."""
    return np.sort(np.random.default_rng(seed).permutation(tracks)[:SAMPLE])


def measure_neighbourhoods(published: Matrix, rows: Ints, counts: Ints) -> tuple[Ints, list[Metric]]:
    """The neighbours of some tracks, and whether they are hubs, or more popular than those tracks."""
    near = find_neighbours(published, rows, NEIGHBOURS)
    if not (near >= 0).any():  # one track, or none, has a vector: nothing to measure, and no fault
        return near, []
    measures = {f"hubness.{name}": value for name, value in hubness(near, len(published)).items()}
    measures |= {f"popularity.{name}": value for name, value in popularity_bias(near, rows, counts).items()}
    return near, [Metric(name, "this", "all", value) for name, value in measures.items()]


def compare_hits(new: Flags, old: Flags) -> dict[str, float]:
    """Hit rates on the same pairs, as a ratio with a 95 % interval."""
    return _ratio_with_interval("next.hr_ratio", new, old)


def _ratio_with_interval(name: str, new: Flags, old: Flags) -> dict[str, float]:
    ratio, low, high = paired_ratio(new, old)
    return {name: ratio, f"{name}_low": low, f"{name}_high": high}


def measure_drift(rows: Matrix, rows_before: Matrix, norms: Matrix, norms_before: Matrix) -> dict[str, float]:
    """How far vectors went from those of the version before: cosines of the same tracks, lengths."""
    low, high = norm_shift(norms.astype(np.float64), norms_before.astype(np.float64))
    return {
        "cosine": mean_cosine(rows, rows_before),
        "norm_p1_ratio": low,
        "norm_p99_ratio": high,
    }


def to_rows(metrics: list[Metric]) -> list[dict[str, object]]:
    return [asdict(metric) for metric in metrics]


def measure_lift(hits: Flags, baselines: Mapping[str, RankingResult]) -> dict[str, float]:
    """HR@10 of the next track, and its ratios to the baselines' on the same pairs, with their intervals."""
    lift = {"next.hr@10": float(hits.mean())}
    # bounds of the gate are on these two; the third is recorded
    for name in ("popularity", "cooccurrence"):
        lift |= _ratio_with_interval(f"next.hr@10_over_{name}", hits, baselines[name].hits)
    return lift


def _within_ten(places: Ints) -> Flags:
    return (places > 0) & (places <= NEIGHBOURS)


def _score_metrics(what: str, of: str, places: Ints) -> list[Metric]:
    return [Metric(f"{what}.{name}", of, "all", value) for name, value in scores(places).items()]
