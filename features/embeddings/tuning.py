"""Settings of item2vec chosen by measuring: short trainings on a sample, the worse half dropped each round.

Successive halving (Jamieson and Talwalkar, "Non-stochastic Best Arm Identification", 2016).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from features.embeddings.arrays import Doubles
from features.embeddings.corpus import Corpus
from features.embeddings.settings import SEARCHED, Settings
from features.embeddings.trials import Sample, SearchPlan, Trial, TrialRun, estimate_pairs, list_candidates

# No fixed default is right: on the four histories at hand the best rate goes from 0.015 to 0.1 and the best
# window from 2 to any, and the wrong one costs up to half of the hits.

# Epochs after which a trial is scored, and those after which the worse half is dropped; of a trial that has
# as many pairs in an epoch as the mean of all. Narrow ones do more and wide ones fewer, at one cost.
SCORED = (2, 3, 5, 7, 10)
RUNGS = (2, 5, 10)
# Two scores in a row without a gain end a trial: the scores of epochs go up, then down.
PATIENCE = 2
# Below five epochs rare tracks lie where they began, and a training is too cheap to search for it.
FEWEST_EPOCHS = 5
MOST_EPOCHS = 20
# A training takes half the step of the trial that won and all MOST_EPOCHS: on other plays than those it was
# found on, 1.02 to 1.06 of the hits that the rate and epochs of the trial gave, on three of the histories at
# hand; more on the fourth, where hits are few.
SLOWER = 0.5
DIMENSIONS = (64, 128)
# With fewer pairs the best of twelve is the luckiest.
FEWEST_PAIRS = 200
# Pairs are drawn: what an epoch has is within a hundredth of what is expected, but for small samples.
MARGIN = 1.02
# Where nothing is measured: within a tenth of the best of 24 on all four histories at hand.
SAFE_SETTINGS: Mapping[str, Any] = {"window": 2, "backward": 0.3, "learning_rate": 0.03, "epochs": 20}
Say = Callable[[str], None]


@dataclass(frozen=True)
class Choice:
    """Settings and where they are from. `cost` is in pair updates x dimensions, of all trials together."""

    settings: Settings
    outcome: str
    trials: tuple[Trial, ...] = ()
    sequences: int = 0
    validation_pairs: int = 0
    cost: int = 0
    relative_cost: float = 0.0  # to the training that follows
    seconds: float = 0.0

    def as_record(self) -> dict[str, Any]:
        """What is written down beside the trials."""
        return {name: value for name, value in vars(self).items() if name not in ("settings", "trials")}


def safe_settings(settings: Settings, plan: SearchPlan) -> Settings:
    free = {name: value for name, value in SAFE_SETTINGS.items() if name not in plan.fixed}
    return settings.replace(**free)


def choose_settings(
    corpus: Corpus, settings: Settings, plan: SearchPlan, say: Say = lambda line: None
) -> Choice:
    """The settings to train `corpus` with. Equal arguments and one thread give an equal choice.

    Args:
        corpus: without the gate's pairs, so that no trial can see them.
    """
    if not plan.searched:
        return Choice(settings, "all settings were given")
    if not plan.budget:
        return Choice(safe_settings(settings, plan), "the search is switched off: safe settings")
    start = time.monotonic()
    sample = Sample.draw(corpus, settings, plan)
    if (pairs := len(sample.pairs)) < FEWEST_PAIRS:
        why = f"{pairs} validation pairs are fewer than {FEWEST_PAIRS}: safe settings"
        return Choice(safe_settings(settings, plan), why, validation_pairs=pairs)
    choice = _SuccessiveHalving(corpus, sample, settings, plan, say).choose()
    return replace(choice, seconds=time.monotonic() - start)


def describe(choice: Choice) -> str:
    """One line for people."""
    settings = ", ".join(f"{name} {getattr(choice.settings, name)}" for name in SEARCHED)
    if not choice.trials:
        return f"settings: {choice.outcome}; {settings}"
    trials = (
        f"{len(choice.trials)} trials on {choice.sequences:,} sequences, {choice.validation_pairs:,} pairs"
    )
    cost = f"{choice.relative_cost:.1f} x a training, {choice.seconds:.0f} s"
    return f"settings {choice.outcome}: {settings}; {trials}, {cost}"


def select_survivors(scores: Sequence[float], groups: Sequence[float], rung: int) -> list[int]:
    """Places of the better half (rounded up), of equals the first; at the first rung half of every group (rate)."""
    # after two epochs a slow rate has learned too little to be held against a fast one
    rates = list(groups) if rung == 0 else [0.0] * len(scores)
    survivors: list[int] = []
    for rate in dict.fromkeys(rates):
        ranked = sorted((i for i in range(len(rates)) if rates[i] == rate), key=lambda i: -scores[i])
        survivors += ranked[: (len(ranked) + 1) // 2]
    return sorted(survivors)


class _SuccessiveHalving:
    """The trials, what they cost so far and what they may."""

    def __init__(
        self, corpus: Corpus, sample: Sample, settings: Settings, plan: SearchPlan, say: Say
    ) -> None:
        self.sample, self.settings, self.plan, self.say = sample, settings, plan, say
        self.corpus, self.sequences_by_length = corpus, corpus.count_lengths()
        self.sample_lengths = np.diff(sample.corpus.offsets)
        self.trials = [self._begin(each) for each in list_candidates(settings, plan)]
        self.alive = list(self.trials)
        pairs = [estimate_pairs(self.sample_lengths, trial.settings) for trial in self.trials]
        self.mean_pairs = sum(pairs) / len(pairs)

    def choose(self) -> Choice:
        outcome = "measured" if self._halve() else "measured until the budget was spent"
        best = max(self.alive, key=lambda trial: trial.score)
        settings = self._choose_dimensions(best)
        return Choice(
            settings, outcome, tuple(trial.as_trial() for trial in self.trials), self.sample.corpus.sequences,
            len(self.sample.pairs), self.cost, self.cost / self._training_cost(settings),
        )  # fmt: skip

    @property
    def cost(self) -> int:
        return sum(trial.pairs * trial.settings.dimensions for trial in self.trials)

    def _begin(self, settings: Settings) -> TrialRun:
        return TrialRun(settings, len(self.sample.corpus.counts))

    def _halve(self) -> bool:
        """False where the budget ended it."""
        for rung, (first, last) in enumerate(self._rung_bounds()):
            for trial in self.alive:
                trial.rung = rung
                if not self._advance(trial, self._scoring_epochs(trial, first, last)):
                    return False
            self._report(rung, last)
            rates = [trial.settings.learning_rate for trial in self.alive]
            survivors = select_survivors([trial.score for trial in self.alive], rates, rung)
            self.alive = [self.alive[i] for i in survivors]
        return True

    def _advance(self, trial: TrialRun, scoring_epochs: Iterable[int]) -> bool:
        for epochs in scoring_epochs:
            if trial.stale >= PATIENCE:
                break
            if not self._can_afford(trial, epochs):
                return False
            trial.train(self.sample, epochs)
            trial.measure(self.sample, "epochs" in self.plan.fixed)
        return True

    def _can_afford(self, trial: TrialRun, epochs: int) -> bool:
        """Whether it can train up to there, whichever of those alive is chosen then."""
        more = (epochs - trial.done) * estimate_pairs(self.sample_lengths, trial.settings)
        price = min(self._training_cost(self._final_settings(each)) for each in self.alive) / MARGIN
        return self.cost + more * trial.settings.dimensions * MARGIN <= self.plan.budget * price

    def _training_cost(self, settings: Settings) -> float:
        lengths = np.arange(len(self.sequences_by_length))
        pairs = estimate_pairs(lengths, settings, self.sequences_by_length)
        return max(1.0, settings.epochs * pairs * settings.dimensions)

    def _final_settings(self, trial: TrialRun, dimensions: int | None = None) -> Settings:
        fixed = {name: getattr(self.settings, name) for name in self.plan.fixed}
        free: dict[str, Any] = {"dimensions": dimensions or DIMENSIONS[0], **self._choose_schedule(trial)}
        return trial.settings.replace(**free | fixed)

    def _choose_schedule(self, trial: TrialRun) -> dict[str, Any]:
        """Rate and epochs of the training: slow and long, unless either is given and the other goes with it."""
        rate = trial.settings.learning_rate
        if "epochs" in self.plan.fixed:
            return {"learning_rate": rate}
        if "learning_rate" not in self.plan.fixed:
            return {"learning_rate": SLOWER * rate, "epochs": MOST_EPOCHS}
        # between as many epochs and as many pairs as the sample had: with the first, rates overfit that did not
        share = len(self.sample.corpus.tokens) / len(self.corpus.tokens)
        epochs = round(trial.epochs * float(np.sqrt(share)))
        return {"epochs": min(MOST_EPOCHS, max(FEWEST_EPOCHS, epochs))}

    def _choose_dimensions(self, best: TrialRun) -> Settings:
        """With more dimensions where they gain beyond noise: they cost every reader of the vectors."""
        if "dimensions" in self.plan.fixed:
            return self._final_settings(best)
        self.alive, by_dimensions = [best], []
        for dimensions in DIMENSIONS:
            trial = self._begin(best.settings.replace(dimensions=dimensions))
            if not self._can_afford(trial, best.epochs):
                return self._final_settings(best)
            self.trials.append(trial)
            by_dimensions.append(trial)
            trial.rung = best.rung + 1
            trial.train(self.sample, best.epochs)
            trial.measure(self.sample, True)
        few, many = by_dimensions
        return self._final_settings(best, DIMENSIONS[improves(few.values, many.values)])

    def _scoring_epochs(self, trial: TrialRun, first: int, last: int) -> list[int]:
        """Epochs after which it is scored in a rung; a number that is given is neither more nor fewer for anyone."""
        if "epochs" in self.plan.fixed:
            return [last]
        scale = self.mean_pairs / max(1.0, estimate_pairs(self.sample_lengths, trial.settings))
        return [max(1, round(each * scale)) for each in SCORED if first < each <= last]

    def _rung_bounds(self) -> list[tuple[int, int]]:
        last = min(self.settings.epochs, MOST_EPOCHS) if "epochs" in self.plan.fixed else RUNGS[-1]
        ends = [each for each in RUNGS if each < last] + [last]
        return list(zip([0, *ends], ends, strict=False))

    def _report(self, rung: int, epochs: int) -> None:
        best = max(self.alive, key=lambda trial: trial.score)
        self.say(
            f"search, round {rung + 1}: {len(self.alive)} settings to {epochs} epochs; best so far window "
            f"{best.settings.window}, backward {best.settings.backward}, rate {best.settings.learning_rate}, "
            f"score {best.score:.4f}"
        )


def improves(few: Doubles, many: Doubles) -> bool:
    """Whether the second is better than the first by more than two standard errors of their paired difference."""
    differences = many - few
    return bool(differences.mean() > 2 * differences.std() / np.sqrt(len(differences)))
