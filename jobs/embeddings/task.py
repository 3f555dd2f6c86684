"""The one task that trains: it reads sequences, learns, measures, and writes files.

Averaging the vectors of several tasks loses 15 to 50 % of the hits at eight of them, and two million tracks of
128 numbers are two gigabytes: they fit one machine easily. So Spark prepares its input, one task with all
of its executor's cores trains, and Spark goes on from its files. The task never has more than two
matrices in memory: measuring reuses them, after they are written. What is as long as the corpus is mapped from files.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

import numpy as np

from expectations.suite import MIN_PAIRS
from features.embeddings import chance
from features.embeddings import evaluation as ev
from features.embeddings.alignment import ANCHORS_PER_DIMENSION, fit_rotation, select_anchors
from features.embeddings.arrays import Ints, normalise_rows
from features.embeddings.comparison import overlap
from features.embeddings.corpus import Model
from features.embeddings.ranking import Pairs
from features.embeddings.settings import Settings
from features.embeddings.training import fit
from features.embeddings.trials import SearchPlan, Trial
from features.embeddings.tuning import Choice, choose_settings, describe
from jobs.embeddings.progress import EpochNotes, note_search, peak_bytes
from jobs.embeddings.scratch import Scratch
from jobs.embeddings.tracks import (
    HELD_OUT_SHARE,
    Tracks,
    find_previous_dimensions,
    load_previous_model,
    load_previous_vectors,
    read_sequences,
    write_learned,
    write_pairs,
)

CHOICE = "choice.json"


@dataclass(frozen=True)
class Plan:
    """What the task is sent."""

    scratch: Scratch
    settings: Settings
    start: str
    # whether the vocabulary holds the vectors of a version before
    parent: bool
    # without one, the settings are trained with as they are
    search: SearchPlan | None = None
    # of sequences, that the trainings of the parent's space held out
    parent_share: float = 1.0


def run_training(plan: Plan) -> dict[str, Any]:
    """Learns from the sequences of the scratch and leaves the vectors there; the report, for JSON."""
    return _Training(plan).report()


class _Training:
    """One training. What it measures is collected in `metrics`, and in `measures` what the gate bounds."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.settings, self.is_warm = plan, plan.settings, plan.start == "warm"
        tracks = Tracks.read(plan.scratch)
        self.vocabulary = tracks.take(np.flatnonzero(tracks.plays >= plan.settings.min_plays))
        # vectors that are gone on with have learned the others
        share = plan.parent_share if self.is_warm else 1.0
        sequences = read_sequences(plan.scratch, self.vocabulary.plays, self.settings.pairs, share)
        self.corpus, held_out = sequences
        self.pairs = held_out.pairs
        # the first of the pairs: those that the parent did not learn either
        self.common_pairs = self.pairs.first(held_out.count_below(plan.parent_share))
        # a track whose every play is held out, or stands alone in its session, has nothing to be learned from
        self.learned = np.flatnonzero(self.corpus.count_tokens())
        self.tracks = self.vocabulary.take(self.learned)
        self.metrics: list[ev.Metric] = []
        self.measures: dict[str, float] = {HELD_OUT_SHARE: held_out.share}
        self.baselines: dict[str, ev.RankingResult] = {}

    def report(self) -> dict[str, Any]:
        choice = self._choose()
        self.measures |= _gate_conditions(
            self.pairs, self.common_pairs, len(self._sample), self.plan, self._has_dimensions_of_parent
        )
        if len(self.pairs):
            # before there is a model: both take memory
            most_counted = self.settings.baseline_sequences
            self.baselines = ev.measure_baselines(self.corpus, self.pairs, most_counted)
            self.metrics += [metric for result in self.baselines.values() for metric in result.metrics]
        starts_new_space = self.plan.parent and not self.is_warm
        # costs a second training, once a week; before the first one, as there is memory for one model
        second_seed = self._find_second_seed_neighbours() if starts_new_space else None
        started = time.monotonic()
        model = self._train().take(self.learned)
        seconds = time.monotonic() - started
        # no rotation turns vectors into those of another number of dimensions
        if starts_new_space and self._has_dimensions_of_parent:
            self._align(model)
        # names what was learned: with several threads, the same inputs give another model each time
        digest = blake2b(digest_size=4)
        for matrix in (model.in_vectors, model.out_vectors):
            # whole rows of an array: no copy
            digest.update(matrix.data)
        # written before anything is measured: measuring overwrites the arrays
        learned = write_learned(self.plan.scratch, self.tracks, model)
        self._write_adjacent_pairs()
        if len(self.learned):
            self._measure(model, second_seed)
        return {
            "metrics": ev.to_rows(self.metrics), "measures": self.measures, "tracks": len(self.learned),
            "plays": len(self.corpus.tokens), "seconds": seconds, "peak_bytes": peak_bytes(),
            "threads": self.settings.threads, "digest": digest.hexdigest(), "settings": self.settings.result_settings(),
            "trials": choice and [asdict(trial) for trial in choice.trials],
            "search": choice and choice.as_record(), "learned": learned,
        }  # fmt: skip

    # --- learning

    def _choose(self) -> Choice | None:
        """Takes over the settings that the search chose."""
        if self.plan.search is None:
            return None
        # a training that was cut off goes on with what it had chosen: its saved model has those settings
        choice = _load_choice(self.plan.scratch)
        if choice is None:
            say = note_search(self.plan.scratch)
            choice = choose_settings(self.corpus, self.settings, self.plan.search, say)
            say(describe(choice))
            self.plan.scratch.write_json(CHOICE, asdict(choice) | {"settings": dict(choice.settings)})
        # the number of cores may be another when a training goes on
        self.settings = choice.settings.replace(threads=self.settings.threads)
        return choice

    def _train(self) -> Model:
        settings, scratch = self.settings, self.plan.scratch
        # gensim keeps no state that a warm or resumed training could go on from
        if settings.backend == "gensim":
            return fit(self.corpus, settings)
        if saved := scratch.load_model():
            model, epochs_done = saved
        else:
            model = Model.initialise(len(self.vocabulary.plays), settings.dimensions, settings.seed)
            epochs_done = 0
            if self.is_warm:
                load_previous_vectors(scratch, self.vocabulary, model)
                model.initialise_new_rows()
        epochs = range(epochs_done, settings.warm_epochs if self.is_warm else settings.epochs)
        return fit(self.corpus, settings, model, epochs, EpochNotes(scratch))

    def _find_second_seed_neighbours(self) -> Ints:
        # two trainings agree on no more than what one from another seed finds
        settings = self.settings.replace(seed=self.settings.seed + 1)
        vectors, _ = fit(self.corpus, settings).take(self.learned).combine_in_place()
        return ev.find_neighbours(vectors, self._sample, ev.NEIGHBOURS)

    def _align(self, model: Model) -> None:
        """Rotates the model onto the version before, as far as a rotation can."""
        rows = select_anchors(self.tracks.plays, np.maximum(self.tracks.previous_plays, 0))
        self.measures["aligned_on"] = float(len(rows))
        if len(rows) >= ANCHORS_PER_DIMENSION * self.settings.dimensions:
            anchors = self.tracks.take(rows)
            before = load_previous_model(self.plan.scratch, anchors, self.settings.dimensions)
            now = normalise_rows(model.in_vectors[rows] + model.out_vectors[rows])
            model.rotate(fit_rotation(now, before.combine()))

    @cached_property
    def _has_dimensions_of_parent(self) -> bool:
        return self._previous_dimensions == self.settings.dimensions

    @cached_property
    def _previous_dimensions(self) -> int | None:
        return find_previous_dimensions(self.plan.scratch) if self.plan.parent else None

    # --- measuring: from here on the arrays of the model are used for other things

    @cached_property
    def _sample(self) -> Ints:
        # places in `tracks`, of those that both versions learned where there are two
        both = self.tracks.previous_plays > 0 if self.plan.parent else np.ones(len(self.tracks.plays), bool)
        return ev.sample_tracks(np.flatnonzero(both))

    def _write_adjacent_pairs(self) -> None:
        # for the gate, which looks up their vectors among the rows that are to be published: a wrong join after the
        # training shows only there
        pairs = chance.sample_adjacent_pairs(self.corpus)
        write_pairs(self.plan.scratch, self.vocabulary, pairs)
        self.measures["chance_z_possible"] = chance.z_possible(self.corpus, pairs)

    def _measure(self, model: Model, second_seed: Ints | None) -> None:
        pairs, sample, plays = self.tracks.locate(self.pairs), self._sample, self.tracks.plays
        hits = None
        if len(pairs):
            result = ev.evaluate_ranking("next", "this", model.in_vectors, model.out_vectors, pairs, plays)
            hits = result.hits
            self.metrics += result.metrics
            self.measures |= ev.measure_lift(hits, self.baselines)
        # in place, as there is no room for a third matrix: the in vectors are lost
        vectors, norms = model.combine_in_place()
        if len(pairs):
            similar = ev.evaluate_ranking("similar", "this", vectors, vectors, pairs, plays)
            self.metrics += similar.metrics
        near, metrics = ev.measure_neighbourhoods(vectors, sample, plays)
        self.metrics += metrics
        if self.plan.parent and len(sample):
            # a copy, as the arrays get the vectors of the version before
            rows = vectors[sample].copy()
            self._compare(model, hits, self.tracks.numbers_at(near), rows, norms)
        if second_seed is not None and len(sample):
            self.measures["seed_overlap@10"] = overlap(near, second_seed)
            by_version, by_seed = self.measures["overlap@10"], self.measures["seed_overlap@10"]
            self.measures["overlap_over_seeds"] = by_version / by_seed if by_seed else float("inf")

    def _compare(self, model: Model, hits: Any, near: Ints, rows: Any, norms: Any) -> None:
        """With the version before on the pairs that neither learned; its vectors take the place of the model's where
        they fit. `hits` are of this version; None where there are no pairs."""
        old = self.tracks.take(np.flatnonzero(self.tracks.previous_plays >= 0))
        previous = self._load_previous(old, model)
        if hits is not None and len(self.common_pairs):
            pairs, matrices = old.locate(self.common_pairs), (previous.in_vectors, previous.out_vectors)
            result = ev.evaluate_ranking("next", "previous", *matrices, pairs, old.plays)
            self.metrics += result.metrics
            self.measures |= ev.compare_hits(hits[: len(pairs)], result.hits)
        vectors, norms_before = previous.combine_in_place()
        sample = old.places(self.tracks.numbers[self._sample])
        # compared by numbers of the vocabulary, since the places of a track differ
        near_before = old.numbers_at(ev.find_neighbours(vectors, sample, ev.NEIGHBOURS))
        self.measures["overlap@10"] = overlap(near, near_before)
        # coordinates and lengths compare within one number of dimensions only
        if self._has_dimensions_of_parent:
            both = norms[self._sample], norms_before[sample]
            self.measures |= ev.measure_drift(rows, vectors[sample], *both)

    def _load_previous(self, old: Tracks, model: Model) -> Model:
        """The version before, in the arrays of `model` if it has as many dimensions."""
        if not self._has_dimensions_of_parent:
            return load_previous_model(self.plan.scratch, old, self._previous_dimensions or 0)
        # its tracks are some of ours, so its vectors fit into the arrays of our model
        previous = Model(*(array[: len(old.plays)] for array in vars(model).values()))
        load_previous_vectors(self.plan.scratch, old, previous)
        return previous


def _gate_conditions(
    pairs: Pairs, common_pairs: Pairs, sample: int, plan: Plan, same_dimensions: bool
) -> dict[str, float]:
    """What the gate's bounds depend on: pairs, those that neither version learned, and a `sample` of tracks that both
    did."""
    # floats: conditions go the way of measures, into the gate and into the record of the audit
    both, common = plan.parent and sample > 0, len(common_pairs)
    return {
        "pairs": float(len(pairs)),
        "has_pairs": float(len(pairs) > 0),
        "has_parent": float(plan.parent),
        "has_dimensions_of_parent": float(both and same_dimensions),
        "has_pairs_and_parent": float(both and common > 0),
        "enough_pairs_and_parent": float(both and common >= MIN_PAIRS),
        "is_warm": float(both and plan.start == "warm"),
        "is_cold_with_parent": float(both and plan.start != "warm"),
    }


def _load_choice(scratch: Scratch) -> Choice | None:
    # written when the search has ended: one that was cut off begins again
    saved: dict[str, Any] | None = scratch.read_json(CHOICE)
    if saved is None:
        return None
    trials = tuple(Trial(**trial) for trial in saved["trials"])
    return Choice(**saved | {"settings": Settings(**saved["settings"]), "trials": trials})
