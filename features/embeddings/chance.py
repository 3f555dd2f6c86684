"""Whether vectors are better than chance on the sequences that they were learned from.

Of tracks that follow each other in the sequences, each query scores its own target and the targets of all
other pairs. Vectors under wrong names, or random ones, score its own no higher, however popular it is.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from features.embeddings.arrays import Doubles, Matrix, Tokens
from features.embeddings.corpus import Corpus
from features.embeddings.mapped import PART, permute
from features.embeddings.ranking import Pairs

# A test needs no floor that depends on the data.
# At 2,000 pairs the matrix of all scores has 32 MB, and a space that learned a tenth of what it could has z 7.
MOST_PAIRS = 2_000
# Places looked at for each pair to sample: most tracks come often, and each is taken once.
TRIES = 50


def sample_adjacent_pairs(corpus: Corpus, seed: int = 0) -> Pairs:
    """Up to MOST_PAIRS pairs of tracks that follow each other, no query and no target twice."""
    draws = np.random.default_rng(seed)
    places = permute(draws, len(corpus.tokens))
    if len(places) > TRIES * MOST_PAIRS:
        places = draws.integers(0, len(corpus.tokens), TRIES * MOST_PAIRS)
    # the last track of a sequence is not followed by the first of the next
    places = places[corpus.offsets[np.searchsorted(corpus.offsets, places + 1)] != places + 1]
    query, target = corpus.tokens[places], corpus.tokens[places + 1]
    is_pair = query != target
    query, target = query[is_pair].astype(np.int64), target[is_pair].astype(np.int64)
    # twice the same pair would be one observation counted as two, and the test too sure of itself
    for column in (0, 1):  # queries, then targets
        first = np.sort(np.unique((query, target)[column], return_index=True)[1])
        query, target = query[first], target[first]
    return Pairs(query[:MOST_PAIRS], target[:MOST_PAIRS])


def _adjacent_tokens(corpus: Corpus) -> Iterator[tuple[Tokens, Tokens]]:
    """Tokens and those that follow them in their sequence, part by part."""
    for start in range(0, len(corpus.tokens), PART):
        tokens = corpus.tokens[start : start + PART + 1]
        ends = corpus.offsets[slice(*np.searchsorted(corpus.offsets, (start + 1, start + len(tokens))))]
        in_sequence = np.ones(len(tokens) - 1, np.bool_)
        in_sequence[ends - start - 1] = False
        yield tokens[:-1][in_sequence], tokens[1:][in_sequence]


def z_of_vectors(queries: Matrix, targets: Matrix) -> float:
    """`z_of_scores` of all inner products of pairs' in and out vectors; NaN where a vector is not finite."""
    if not (np.isfinite(queries).all() and np.isfinite(targets).all()):
        return float("nan")
    return z_of_scores(queries.astype(np.float64) @ targets.astype(np.float64).T)


def z_of_scores(scores: Doubles) -> float:
    """By how many standard deviations a query's own target ranks above what a random pairing gives it.

    The statistic is the sum over pairs of the own target's rank among the row's scores, equals at their
    middle. 0 where no score differs from another.

    Args:
        scores: pairs x pairs; row i scores all targets for query i, its own in column i.
    """
    from scipy.stats import rankdata

    if len(scores) < 2:
        return 0.0
    # over all ways to pair the same queries with the same targets its mean and variance are exact (Hoeffding,
    # "A Combinatorial Central Limit Theorem", 1951), and popularity, the same in each of them, adds nothing
    ranks = rankdata(scores, axis=1)
    deviations = ranks - ranks.mean(axis=0) - ranks.mean(axis=1, keepdims=True) + ranks.mean()
    spread = np.sqrt((deviations**2).sum() / (len(scores) - 1))
    return float(np.trace(deviations) / spread) if spread > 1e-9 else 0.0


def z_possible(corpus: Corpus, pairs: Pairs) -> float:
    """The z that counting how often each target follows each query would reach on these pairs."""
    row, column = np.full((2, len(corpus.counts)), -1, np.int64)  # of each track its place in the pairs
    row[pairs.query] = column[pairs.target] = np.arange(len(pairs))
    counts = np.zeros((len(pairs), len(pairs)))
    for query, target in _adjacent_tokens(corpus):
        rows, columns = row[query], column[target]
        in_sample = (rows >= 0) & (columns >= 0)
        np.add.at(counts, (rows[in_sample], columns[in_sample]), 1)
    own = counts.diagonal()[:, None]
    # sqrt(3 pairs) where each target follows its own query alone; 0 where all follow all alike, as they do
    # where few tracks are played at random, and there is nothing to learn
    above = ((counts < own).mean() - (counts > own).mean()) if len(pairs) else 0.0
    return float(above * np.sqrt(3 * len(pairs)))
