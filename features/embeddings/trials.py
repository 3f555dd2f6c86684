"""Short trainings that a search for settings compares: on which sample, with which settings, how each scores.

A trial is scored by what the gate measures, on other plays: the last tracks of some sequences that the gate
did not take. They are missing from the sample and not from the training after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from features.embeddings import sgns
from features.embeddings.arrays import Doubles, Ints, list_places
from features.embeddings.corpus import Corpus, Model
from features.embeddings.held_out import choose_pairs, is_held_out
from features.embeddings.mapped import permute
from features.embeddings.ranking import Pairs, rank_targets
from features.embeddings.settings import SEARCHED, Settings

# (window, backward): narrow or wide, one way mostly or both alike; each dearer than the one before.
WINDOWS = ((2, 0.3), (2, 1.0), (5, 0.3), (10, 1.0))
RATES = (0.1, 0.05, 0.02)
# Trials rank alike with half of the numbers, at half of the cost.
TRIAL_DIMENSIONS = 32
MOST_PAIRS = 2_500
# Of sequences, in a sample: three rounds of trials on it cost no more than three trainings of five epochs. Of
# fewer plays than that tracks are too rare to tell settings apart; there the budget may end the search early.
SHARE = 0.26
FEWEST_PLAYS = 12_000
# Twelve models of a sample are in memory at once: of 500,000 plays, some 100,000 tracks, 300 MB.
MOST_PLAYS = 500_000
# Rank r counts 10 / (9 + r): it falls by half within ten, and unlike HR@10 says something of every pair.
HALF = 10


@dataclass(frozen=True)
class SearchPlan:
    """What a search must keep, and what it may cost."""

    fixed: frozenset[str] = frozenset()  # names of settings that are given, and not searched
    # the most that all trials cost, in trainings of the settings chosen; 0 searches nothing
    budget: float = 3.0

    @property
    def searched(self) -> tuple[str, ...]:
        return tuple(name for name in SEARCHED if name not in self.fixed)


@dataclass(frozen=True)
class Trial:
    """One training on the sample: its settings, the best of its scores and the epochs of that."""

    window: int
    backward: float
    learning_rate: float
    dimensions: int
    epochs: int
    rung: int  # the last that it took part in, from 0
    pairs: int  # pair updates of all its epochs
    score: float


@dataclass(frozen=True)
class Sample:
    """Sequences to try on, with track numbers of their own, and the pairs that trials are scored by."""

    corpus: Corpus
    pairs: Pairs

    @classmethod
    def draw(cls, corpus: Corpus, settings: Settings, plan: SearchPlan) -> Sample:
        """Validation pairs are taken from any sequence, and are missing from every one that is drawn."""
        # a stream of its own: epochs draw from (seed, number)
        draws = np.random.default_rng((settings.seed, 0x7E57))
        folds = permute(draws, corpus.sequences)
        # an eighth of these places are half of the sequences
        held_out, pairs = choose_pairs(corpus, folds, 4 * corpus.sequences, MOST_PAIRS)
        # as many as let the trials fit the budget, whatever is chosen
        plays = max(1, len(corpus.tokens))
        share = min(1.0, max(SHARE, FEWEST_PLAYS / plays) * plan.budget / 3, MOST_PLAYS / plays)
        rows = np.sort(permute(draws, corpus.sequences)[: max(1, int(share * corpus.sequences))])
        starts, lengths = corpus.offsets[rows], corpus.offsets[rows + 1] - corpus.offsets[rows]
        lengths = lengths - is_held_out(lengths, folds[rows], held_out)
        tokens = corpus.tokens[list_places(starts, lengths)]
        numbers, new_tokens, counts = np.unique(tokens, return_inverse=True, return_counts=True)
        new_numbers = np.full(len(corpus.counts), -1, np.int64)
        new_numbers[numbers] = np.arange(len(numbers))
        # a pair with a track that the sample lacks is a miss of every trial, and tells none from another
        query, target = new_numbers[pairs.query], new_numbers[pairs.target]
        in_both = (query >= 0) & (target >= 0)
        part = Corpus(new_tokens.astype(np.int32), np.append(0, np.cumsum(lengths)), counts)
        return cls(part, Pairs(query[in_both], target[in_both]))


def list_candidates(settings: Settings, plan: SearchPlan) -> list[Settings]:
    """What is tried, the cheapest first: every window with every rate, where they are not given."""
    dimensions = TRIAL_DIMENSIONS
    if "dimensions" in plan.fixed:
        dimensions = min(dimensions, settings.dimensions)
    candidates = []
    for (window, backward), rate in product(WINDOWS, RATES):
        searched: dict[str, Any] = {"window": window, "backward": backward, "learning_rate": rate}
        free = {name: value for name, value in searched.items() if name not in plan.fixed}
        candidates.append(settings.replace(dimensions=dimensions, **free))
    # where some are given, others of the grid become equal
    return list(dict.fromkeys(candidates))


def estimate_pairs(lengths: Ints, settings: Settings, sequences: Ints | int = 1) -> float:
    """Pairs of an epoch over sequences so long, those of a track with itself and of subsampled ones included.

    Args:
        sequences: that have each of the lengths.
    """
    # tracks d apart are a pair with chance (window + 1 - d) / window
    longest = int(lengths.max(initial=0))
    reach = np.arange(1, min(settings.window, max(longest - 1, 0)) + 1)
    places = np.array([(np.maximum(lengths - d, 0) * sequences).sum() for d in reach], np.float64)
    return float((1 + settings.backward) * (places * (settings.window + 1 - reach) / settings.window).sum())


class TrialRun:
    """A trial under way; `stale` counts its last scores that were no gain."""

    def __init__(self, settings: Settings, tracks: int) -> None:
        self.settings, self.model = settings, Model.initialise(tracks, settings.dimensions, settings.seed)
        self.done = self.pairs = self.rung = self.epochs = self.stale = 0
        self.score, self.values = -1.0, np.zeros(0)

    def train(self, sample: Sample, epochs: int) -> None:
        for number in range(self.done, epochs):
            self.pairs += sgns.train_epoch(sample.corpus, self.model, self.settings, number)
        self.done = epochs

    def score_pairs(self, sample: Sample) -> Doubles:
        return soft_hits(rank_targets(self.model.in_vectors, self.model.out_vectors, sample.pairs))

    def measure(self, sample: Sample, last_counts: bool) -> None:
        """Takes the score of now, where it is the best so far or only the last one counts."""
        # where epochs are given, a score that was better before the last of them is of no use
        values = self.score_pairs(sample)
        if last_counts or values.mean() > self.score:
            self.score, self.values, self.epochs, self.stale = float(values.mean()), values, self.done, 0
        else:
            self.stale += 1

    def as_trial(self) -> Trial:
        settings = self.settings
        return Trial(
            settings.window, settings.backward, settings.learning_rate, settings.dimensions,
            self.epochs, self.rung, self.pairs, self.score,
        )  # fmt: skip


def soft_hits(places: Ints) -> Doubles:
    """10 / (9 + rank) of each pair, 0 of a miss."""
    return np.where(places > 0, HALF / (HALF - 1.0 + places), 0.0)
