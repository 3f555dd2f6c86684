"""The pairs of an epoch, drawn apart from the learning of them: what training in blocks needs.

`sgns` draws a pair and learns it at once. Where the matrices are cut, a pair is learned where its rows
lie, so that it is written down before. Both go by the same rules of reach, backward and subsample.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from features.embeddings.corpus import Ints, Tokens
from features.embeddings.settings import Settings
from features.embeddings.sgns import F, Floats, _compiled, _keep_probabilities, _random, _random_share

GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: Steele et al., "SplitMix" (2014)


class TrackPairs(NamedTuple):
    """Parallel: track `query` had track `company`, and learns of it in slice `part` of the epoch."""

    query: Tokens
    company: Tokens
    part: Tokens


def pairs_of(
    tokens: Tokens, offsets: Ints, numbers: Ints, plays: Ints, settings: Settings, epoch: int, parts: int
) -> TrackPairs:
    """The pairs of an epoch, in the order of the sequences; those of a sequence are all in one part.

    A sequence draws from (seed, epoch, its number) alone: cut anywhere, a corpus gives the same pairs.

    Args:
        numbers: of each sequence its number among all.
        plays: in the window by track number.
    """
    seed = np.random.default_rng((settings.seed, epoch)).integers(0, 2**63, dtype=np.uint64)
    seeds = seed + numbers.astype(np.uint64) * GOLDEN
    longest = np.empty(np.diff(offsets).max(initial=0), np.int32)
    keep = _keep_probabilities(plays, settings.subsample)
    choices = (settings.window, F(settings.backward), parts)

    def drawn(room: int) -> tuple[int, TrackPairs]:
        pairs = TrackPairs(*(np.empty(room, np.int32) for _ in range(3)))
        return int(_draw(tokens, offsets, seeds, keep, longest, *choices, *pairs)), pairs

    # To draw twice costs less than room for all that a window of a thousand tracks could give.
    return drawn(drawn(0)[0])[1]


@numba.njit(inline="always")
def _mixed(x: np.uint64) -> np.uint64:
    """SplitMix64's last steps: numbers in a row become unlike ones."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@_compiled
def _draw(
    tokens: Tokens,
    offsets: Ints,
    seeds: Ints,
    keep: Floats,
    heard: Tokens,
    window: int,
    backward: np.float32,
    parts: int,
    query: Tokens,
    company: Tokens,
    part: Tokens,
) -> int:
    """How many pairs there are; they are written down as far as there is room."""
    state = np.empty(1, np.uint64)
    pairs = 0
    for sequence in range(offsets.shape[0] - 1):
        state[0] = _mixed(seeds[sequence]) | np.uint64(1)  # xorshift stays at 0 for ever
        own = int(_random(state) % np.uint64(parts))
        length = 0
        for at in range(offsets[sequence], offsets[sequence + 1]):
            if keep[tokens[at]] >= F(1) or _random_share(state) < keep[tokens[at]]:
                heard[length] = tokens[at]
                length += 1
        for i in range(length):
            reach = int(1 + _random(state) % np.uint64(window))
            for j in range(max(0, i - reach), min(length, i + reach + 1)):
                behind = j < i and backward < F(1) and _random_share(state) >= backward
                if heard[j] == heard[i] or behind:
                    continue
                if pairs < query.shape[0]:
                    query[pairs], company[pairs], part[pairs] = heard[i], heard[j], own
                pairs += 1
    return pairs
