"""Item2vec for models larger than one machine: rows cut into blocks, pairs learned where both of theirs lie.

Stochastic gradient descent by strata (Gemulla et al., "Large-Scale Matrix Factorization with Distributed
Stochastic Gradient Descent", KDD 2011; Lerer et al., "PyTorch-BigGraph", 2019). Track t is in block
t mod `blocks`: tracks are numbered by their plays, so that blocks are as popular as each other. A pair is of
the stratum (block of the track, block of its company). In a round each task holds one block of in vectors
and one of out vectors that nobody else holds, and learns what is of that stratum; negatives are drawn from
the same block of out vectors. After as many rounds as there are blocks each pair was learned once. Nothing is
averaged, nothing is shared, and one thread to a task repeats a result exactly.

What is lost is variety: within a round a track meets the company of one block alone, and rivals of that block.
On real sessions, eight blocks lose 8 % of the hits where a round learns all of an epoch's pairs of a stratum,
4 % where it learns half of them, 1 % where it learns a quarter. So the sequences of an epoch are dealt into
PARTS, each with rounds of its own. Smaller steps lose more; so does learning a stratum twice in a visit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from features.embeddings.corpus import Corpus, Ints, Model, Tokens
from features.embeddings.pair_kernel import TrackPairs, pairs_of
from features.embeddings.settings import Settings
from features.embeddings.sgns import learn_pairs

PARTS = 4


@dataclass(frozen=True)
class Visit:
    """What one task does in a round: in vectors of block `into` learn of out vectors of block `out`."""

    epoch: int
    part: int
    into: int
    out: int

    def stratum(self, blocks: int) -> int:
        """Its place among the strata of an epoch, as `strata` has them."""
        return (self.into * PARTS + self.part) * blocks + self.out


def rounds(settings: Settings, epochs: int) -> int:
    return epochs * PARTS * settings.blocks


def place_of(settings: Settings, number: int) -> tuple[int, int, int]:
    """Epoch, part of it and turn within the part of round `number`, each from 0."""
    before, turn = divmod(number, settings.blocks)
    return *divmod(before, PARTS), turn


def visits(settings: Settings, number: int) -> list[Visit]:
    """Those of round `number`, by block of in vectors: each block of either matrix has one visit.

    Each part of an epoch goes through the blocks in another order.
    """
    epoch, part, turn = place_of(settings, number)
    order = np.random.default_rng((settings.seed, epoch, part)).permutation(settings.blocks)
    return [
        Visit(epoch, part, into, int(into + order[turn]) % settings.blocks) for into in range(settings.blocks)
    ]


def strata(pairs: TrackPairs, blocks: int) -> tuple[Tokens, Tokens, Ints]:
    """Pairs as rows within their blocks, in and out: those of stratum s from starts[s] to starts[s + 1]."""
    stratum = ((pairs.query % blocks).astype(np.int64) * PARTS + pairs.part) * blocks + pairs.company % blocks
    order = np.argsort(stratum, kind="stable")
    starts = np.searchsorted(stratum[order], np.arange(PARTS * blocks * blocks + 1))
    return pairs.query[order] // np.int32(blocks), pairs.company[order] // np.int32(blocks), starts


def first(block: int, tracks: int, settings: Settings) -> Model:
    """The block as a training begins with it, of its `tracks` rows; blocks begin unlike each other."""
    seed = np.random.default_rng((settings.seed, block)).integers(2**63)
    return Model.initialise(tracks, settings.dimensions, int(seed))


def held(into: Model, out: Model) -> Model:
    """What a task holds: in vectors of one block and out vectors of another, in the arrays of both."""
    return Model(into.into, out.out, into.into_state, out.out_state)


def learn(
    model: Model, visit: Visit, query: Tokens, company: Tokens, plays: Ints, settings: Settings
) -> None:
    """The pairs of the visit's stratum; changes the model, as `held` gives it.

    Args:
        plays: of the tracks of block `visit.out`.
    """
    if len(query):
        draws = np.random.default_rng((settings.seed, visit.epoch, visit.part, visit.into, visit.out))
        learn_pairs(model, query, company, plays, settings, draws)


def fit_in_blocks(corpus: Corpus, settings: Settings) -> Model:
    """The same training in one process: what the tasks come to, and what blocks cost in quality."""
    blocks = settings.blocks
    plays = [corpus.counts[block::blocks] for block in range(blocks)]
    models = [first(block, len(own), settings) for block, own in enumerate(plays)]
    for visit, query, company in _all(corpus, settings):
        model = held(models[visit.into], models[visit.out])
        learn(model, visit, query, company, plays[visit.out], settings)
    return together(models)


def _all(corpus: Corpus, settings: Settings) -> Iterator[tuple[Visit, Tokens, Tokens]]:
    numbers = np.arange(corpus.sequences)
    for number in range(rounds(settings, settings.epochs)):
        epoch, *within = place_of(settings, number)
        if within == [0, 0]:
            drawn = pairs_of(corpus.tokens, corpus.offsets, numbers, corpus.counts, settings, epoch, PARTS)
            query, company, starts = strata(drawn, settings.blocks)
        for visit in visits(settings, number):
            stratum = visit.stratum(settings.blocks)
            own = slice(*starts[stratum : stratum + 2])
            yield visit, query[own], company[own]


def together(models: list[Model]) -> Model:
    """One model of all blocks, rows by track number."""
    tracks = sum(len(model.into) for model in models)
    whole = Model.initialise(tracks, models[0].into.shape[1], 0)
    for block, model in enumerate(models):
        for name, array in vars(model).items():
            getattr(whole, name)[block :: len(models)] = array
    return whole
