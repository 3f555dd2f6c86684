"""Skip-gram with negative sampling, compiled, each row of either matrix with a step width of its own.

Mikolov et al. (2013) for the model, Barkan and Koenigstein, "Item2Vec" (2016), for tracks as words, row-wise
Adagrad (Duchi et al., 2011, one number a row as in Facebook's DLRM) for the steps.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
from numpy.typing import NDArray

from features.embeddings.arrays import Floats, Ints, Matrix, Tokens
from features.embeddings.corpus import Corpus, Model
from features.embeddings.kernels import compile_kernel
from features.embeddings.mapped import permute
from features.embeddings.settings import Settings

# Plain SGD under-trains what is rare, and most tracks have few plays: on real sessions with some 15 plays a
# track gensim's defaults have 0.094 hits at ten, this 0.155. Adagrad takes long steps where there were few.
F = np.float32
# A power of two, so that a draw is a mask. At 2^20 the rarest of two million tracks share a place, yet
# each epoch moves them to another: `_negative_sampling_table` shifts the places by a random part of one.
PLACES = 2**20
EPSILON = F(1e-6)


def train_epoch(corpus: Corpus, model: Model, settings: Settings, number: int) -> int:
    """One pass over all sequences, in an order of its own; changes the model, returns the pairs learned."""
    if not corpus.sequences:
        return 0
    # from (seed, number) alone: a training that goes on from a stored model learns what one without a stop does
    draws = np.random.default_rng((settings.seed, number))
    order = permute(draws, corpus.sequences)
    table = _negative_sampling_table(corpus.counts, settings.exponent, draws)
    keep = _keep_probabilities(corpus.counts, settings.subsample)
    seeds = draws.integers(1, 2**63, settings.threads, dtype=np.uint64)
    shares = np.array_split(order, settings.threads)
    arrays = (model.in_vectors, model.out_vectors, model.in_states, model.out_states)
    choices = (settings.window, F(settings.backward), settings.negatives, F(settings.learning_rate))

    def train(share: Ints, seed: np.uint64) -> int:
        return int(
            _train_sequences(corpus.tokens, corpus.offsets, share, table, keep, *arrays, *choices, seed)
        )

    # The compiled loop lets go of the interpreter's lock. Threads write to shared rows unlocked
    # ("Hogwild!", Niu et al., 2011): collisions are rare, and cost less than locks.
    with ThreadPoolExecutor(settings.threads) as pool:
        return sum(pool.map(train, shares, seeds))


def _negative_sampling_table(counts: Ints, exponent: float, draws: np.random.Generator) -> Tokens:
    """Track numbers, each at as many places as its plays to the power of `exponent` say."""
    # a table, as in word2vec.c: a draw is one look-up; a search among two million sums would take 21 steps
    # a track whose every play is held out has no place, and no power below 0
    weights = np.power(counts, exponent, out=np.zeros(len(counts)), where=counts > 0)
    cumulative = np.cumsum(weights)
    places = (np.arange(PLACES) + draws.random()) * (cumulative[-1] / PLACES)
    # where each track's places end: a search for each track, of which there are fewer than places, and in order
    ends = np.searchsorted(places, cumulative)
    ends[-1] = PLACES  # by rounding, the last place may lie beyond the last sum
    return np.repeat(np.arange(len(counts), dtype=np.int32), np.diff(ends, prepend=0))


def _keep_probabilities(counts: Ints, subsample: float) -> Floats:
    """The chance that a play is learned from, as word2vec.c has it."""
    if not subsample:
        return np.ones(len(counts), F)
    # of what has no play left, none is met
    share = np.maximum(counts, 1) / counts.sum() / subsample
    return np.minimum(1, np.sqrt(1 / share) + 1 / share).astype(F)


@numba.njit(inline="always")
def _random(state: NDArray[np.uint64]) -> np.uint64:
    # Marsaglia's xorshift64: 2 ns, and as good as the draws here need
    x = state[0]
    x ^= x << np.uint64(13)
    x ^= x >> np.uint64(7)
    x ^= x << np.uint64(17)
    state[0] = x
    return x


@numba.njit(inline="always")
def _random_share(state: NDArray[np.uint64]) -> np.float32:
    # 24 bits, which a float32 holds without rounding, so that it is never 1
    return F(_random(state) >> np.uint64(40)) * F(2.0**-24)


@numba.njit(fastmath=True, inline="always")
def _dot(a: Floats, b: Floats) -> np.float32:
    total = F(0)
    for i in range(a.shape[0]):
        total += a[i] * b[i]
    return total


@numba.njit(fastmath=True, inline="always")
def _step(gradient: Floats, error: np.float32, other: Floats, width: np.float32, own: Floats) -> None:
    # one pass: the gradient of `own` takes what `other` was before it is moved
    for i in range(own.shape[0]):
        before = other[i]
        gradient[i] += error * before
        other[i] = before + width * own[i]


@numba.njit(fastmath=True, inline="always")
def _train_pair(
    track: int,
    context: int,
    table: Tokens,
    in_vectors: Matrix,
    out_vectors: Matrix,
    in_states: Floats,
    out_states: Floats,
    negatives: int,
    rate: np.float32,
    gradient: Floats,
    state: NDArray[np.uint64],
) -> None:
    """A track and its context against `negatives` negative samples."""
    own = in_vectors[track]
    per_number = F(1) / F(own.shape[0])
    squared = _dot(own, own) * per_number
    gradient[:] = F(0)
    for n in range(negatives + 1):
        sample, label = context, F(1)
        if n > 0:
            sample, label = table[(_random(state) >> np.uint64(11)) & np.uint64(PLACES - 1)], F(0)
            if sample == context:  # word2vec too passes over a negative that is the context
                continue
        other = out_vectors[sample]
        error = label - F(1) / (F(1) + np.exp(-_dot(own, other)))
        out_states[sample] += error * error * squared
        _step(gradient, error, other, rate * error / np.sqrt(out_states[sample] + EPSILON), own)
    # a track moves once per pair, by the sum of what its samples say, as in word2vec.c
    in_states[track] += _dot(gradient, gradient) * per_number
    width = rate / np.sqrt(in_states[track] + EPSILON)
    for i in range(own.shape[0]):
        own[i] += width * gradient[i]


@compile_kernel(fastmath=True)
def _train_sequences(
    tokens: Tokens,
    offsets: Ints,
    order: Ints,
    table: Tokens,
    keep: Floats,
    in_vectors: Matrix,
    out_vectors: Matrix,
    in_states: Floats,
    out_states: Floats,
    window: int,
    backward: np.float32,
    negatives: int,
    rate: np.float32,
    seed: np.uint64,
) -> int:
    state = np.empty(1, np.uint64)
    state[0] = seed
    gradient = np.empty(in_vectors.shape[1], F)
    longest = 0
    for sequence in order:
        longest = max(longest, offsets[sequence + 1] - offsets[sequence])
    # one buffer for all sequences: the longest has `max_length` tracks
    sentence = np.empty(longest, np.int32)
    pairs = 0
    for sequence in order:
        length = 0
        for at in range(offsets[sequence], offsets[sequence + 1]):
            if keep[tokens[at]] >= F(1) or _random_share(state) < keep[tokens[at]]:
                sentence[length] = tokens[at]
                length += 1
        for i in range(length):
            # a reach of 1 to `window`, all alike: the nearest counts always, the farthest seldom
            reach = int(1 + _random(state) % np.uint64(window))
            for j in range(max(0, i - reach), min(length, i + reach + 1)):
                # sessions have a direction, and albums are played in order: behind counts less than ahead
                behind = j < i and backward < F(1) and _random_share(state) >= backward
                if sentence[j] == sentence[i] or behind:  # a track is no context of itself
                    continue
                _train_pair(
                    sentence[i], sentence[j], table, in_vectors, out_vectors, in_states, out_states, negatives, rate,
                    gradient, state,
                )  # fmt: skip
                pairs += 1
    return pairs
