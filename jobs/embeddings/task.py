"""The one task that trains: it reads sequences, learns, measures, and writes files.

Averaging the vectors of several tasks loses 15 to 50 % of the hits at eight of them, and two million tracks of
128 numbers are two gigabytes: they fit one machine easily. So Spark prepares its input, one task with all
of its executor's cores trains, and Spark goes on from its files. The task never has more than two
matrices in memory: measuring reuses them, after they are written.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa

from expectations.suite import MIN_PAIRS
from features.embeddings import chance
from features.embeddings import evaluation as ev
from features.embeddings.alignment import fit_rotation, select_anchors
from features.embeddings.arrays import Ints, normalise_rows
from features.embeddings.corpus import Corpus, Model
from features.embeddings.settings import Settings
from features.embeddings.training import fit
from features.embeddings.trials import SearchPlan, Trial
from features.embeddings.tuning import Choice, choose_settings, describe
from jobs.embeddings.progress import EpochNotes, SearchNotes, peak_bytes
from jobs.embeddings.scratch import Scratch
from jobs.embeddings.tracks import (
    Tracks,
    hold_out,
    load_previous_model,
    load_previous_vectors,
    write_learned,
    write_pairs,
)

CHOICE = "choice.json"


@dataclass(frozen=True)
class Plan:
    """What the task is sent. With a `parent`, the vocabulary holds the vectors of the version before.

    Without a `search`, the settings are trained with as they are.
    """

    scratch: Scratch
    settings: Settings
    start: str
    parent: bool
    search: SearchPlan | None = None


def make_task(plan: Plan) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """For `mapInArrow` over `fold` and `tracks`: one row, the report as JSON; none where there is nothing to learn."""

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        if rows := [batch for batch in batches if batch.num_rows]:
            report = _Training(plan, rows).report()
            yield pa.RecordBatch.from_pydict({"report": [json.dumps(report)]})

    return run


class _Training:
    """One training. What it measures is collected in `metrics`, and in `measures` what the gate bounds."""

    def __init__(self, plan: Plan, batches: list[pa.RecordBatch]) -> None:
        self.plan, self.settings = plan, plan.settings
        tracks = Tracks.read(plan.scratch)
        self.vocabulary = tracks.take(np.flatnonzero(tracks.plays >= plan.settings.min_plays))
        tokens, offsets, self.pairs = hold_out(batches)
        self.corpus = Corpus(tokens, offsets, self.vocabulary.plays)
        self.learned = np.flatnonzero(np.bincount(tokens, minlength=len(self.vocabulary.plays)))
        self.tracks = self.vocabulary.take(self.learned)
        self.metrics: list[ev.Metric] = []
        self.measures: dict[str, float] = {}
        self.baselines: dict[str, ev.RankingResult] = {}

    @property
    def _is_warm(self) -> bool:
        return self.plan.start == "warm"

    def report(self) -> dict[str, Any]:
        choice = self._choose()
        self.measures |= _gate_conditions(len(self.pairs), len(self._sample), self.plan)
        if len(self.pairs):  # before there is a model: both take memory
            self.baselines = ev.measure_baselines(self.corpus, self.pairs)
            self.metrics += [metric for result in self.baselines.values() for metric in result.metrics]
        starts_new_space = self.plan.parent and not self._is_warm
        second_seed = self._second_seed_neighbours() if starts_new_space else None
        started = time.monotonic()
        model = self._train().take(self.learned)
        seconds = time.monotonic() - started
        if starts_new_space:
            self._align(model)
        digest = _digest(model)
        # written before anything is measured: measuring overwrites the arrays
        write_learned(self.plan.scratch, self.tracks, model)
        self._write_adjacent_pairs()
        if len(self.learned):
            self._measure(model, second_seed)
        return {
            "metrics": ev.to_rows(self.metrics), "measures": self.measures, "tracks": len(self.learned),
            "plays": len(self.corpus.tokens), "seconds": seconds, "peak_bytes": peak_bytes(),
            "threads": self.settings.threads, "digest": digest, "settings": self.settings.result_settings(),
            "trials": choice and [asdict(trial) for trial in choice.trials],
            "search": choice and choice.as_record(),
        }  # fmt: skip

    # --- learning

    def _choose(self) -> Choice | None:
        """Takes over the settings that the search chose. A training that resumes from a saved model keeps its own."""
        if self.plan.search is None:
            return None
        choice = _load_choice(self.plan.scratch)
        if choice is None:
            say = SearchNotes(self.plan.scratch)
            choice = choose_settings(self.corpus, self.settings, self.plan.search, say)
            say(describe(choice))
            self.plan.scratch.write_json(CHOICE, asdict(choice) | {"settings": dict(choice.settings)})
        self.settings = choice.settings.replace(threads=self.settings.threads)
        return choice

    def _train(self) -> Model:
        if self.settings.backend == "gensim":
            return fit(self.corpus, self.settings)
        saved = self.plan.scratch.load_model()
        model, done = saved if saved else (self._initial_model(), 0)
        epochs = range(done, self.settings.warm_epochs if self._is_warm else self.settings.epochs)
        return fit(self.corpus, self.settings, model, epochs, EpochNotes(self.plan.scratch))

    def _initial_model(self) -> Model:
        model = Model.initialise(len(self.vocabulary.plays), self.settings.dimensions, self.settings.seed)
        if self._is_warm:
            load_previous_vectors(self.plan.scratch, self.vocabulary, model)
            model.initialise_new_rows()
        return model

    def _second_seed_neighbours(self) -> Ints:
        """The neighbours that a training from another seed finds: two trainings agree on no more than these."""
        settings = self.settings.replace(seed=self.settings.seed + 1)
        published, _ = fit(self.corpus, settings).take(self.learned).combine_in_place()
        return ev.find_neighbours(published, self._sample, ev.NEIGHBOURS)

    def _align(self, model: Model) -> None:
        """Rotates the model onto the version before, as far as a rotation can."""
        rows = select_anchors(self.tracks.plays, np.maximum(self.tracks.previous_plays, 0))
        self.measures["aligned_on"] = float(len(rows))
        if len(rows) >= 2 * self.settings.dimensions:
            some = self.tracks.take(rows)
            before = load_previous_model(self.plan.scratch, some, self.settings.dimensions)
            now = normalise_rows(model.in_vectors[rows] + model.out_vectors[rows])
            model.rotate(fit_rotation(now, before.combine()))

    # --- measuring: from here on the arrays of the model are used for other things

    @cached_property
    def _sample(self) -> Ints:
        """Of the tracks that both versions learned where there are two; places in `tracks`."""
        both = self.tracks.previous_plays > 0 if self.plan.parent else np.ones(len(self.tracks.plays), bool)
        return ev.sample_tracks(np.flatnonzero(both))

    def _write_adjacent_pairs(self) -> None:
        """For the gate, which looks up their vectors among the rows that are to be published."""
        pairs = chance.sample_adjacent_pairs(self.corpus)
        write_pairs(self.plan.scratch, self.vocabulary, pairs)
        self.measures["chance_z_possible"] = chance.z_possible(self.corpus, pairs)

    def _measure(self, model: Model, second_seed: Ints | None) -> None:
        pairs, sample = self.tracks.locate(self.pairs), self._sample
        hits = None
        if len(pairs):
            result = ev.evaluate_ranking(
                "next", "this", model.in_vectors, model.out_vectors, pairs, self.tracks.plays
            )
            hits = result.hits
            self.metrics += result.metrics
            self.measures |= ev.measure_lift(hits, self.baselines)
        published, norms = model.combine_in_place()
        if len(pairs):
            similar = ev.evaluate_ranking("similar", "this", published, published, pairs, self.tracks.plays)
            self.metrics += similar.metrics
        near, around = ev.measure_neighbourhoods(published, sample, self.tracks.plays)
        self.metrics += around
        if self.plan.parent and len(sample):
            rows = published[sample].copy()
            self._compare(model, hits, self.tracks.numbers[near], rows, norms)
        if second_seed is not None and len(sample):
            self.measures["seed_overlap@10"] = ev.overlap(near, second_seed)
            by_version, by_seed = self.measures["overlap@10"], self.measures["seed_overlap@10"]
            self.measures["overlap_over_seeds"] = by_version / by_seed if by_seed else float("inf")

    def _compare(self, model: Model, hits: Any, near: Ints, rows: Any, norms: Any) -> None:
        """With the version before on the same pairs; its vectors take the place of the model's.

        Args:
            hits: of this version; None where there are no pairs.
        """
        old = self.tracks.take(np.flatnonzero(self.tracks.previous_plays >= 0))
        previous = Model(*(array[: len(old.plays)] for array in vars(model).values()))
        load_previous_vectors(self.plan.scratch, old, previous)
        if hits is not None:
            pairs = old.locate(self.pairs)
            result = ev.evaluate_ranking(
                "next", "previous", previous.in_vectors, previous.out_vectors, pairs, old.plays
            )
            self.metrics += result.metrics
            self.measures |= ev.compare_hits(hits, result.hits)
        published, norms_before = previous.combine_in_place()
        sample = old.places(self.tracks.numbers[self._sample])
        near_before = old.numbers[ev.find_neighbours(published, sample, ev.NEIGHBOURS)]
        both = norms[self._sample], norms_before[sample]
        self.measures |= ev.measure_drift(near, near_before, rows, published[sample], *both)


def _gate_conditions(pairs: int, sample: int, plan: Plan) -> dict[str, float]:
    """What the gate's bounds depend on; `sample` is of tracks that both versions learned."""
    enough, both = pairs >= MIN_PAIRS, plan.parent and sample > 0
    return {
        "pairs": float(pairs),
        "has_pairs": float(pairs > 0),
        "has_parent": float(plan.parent),
        "has_tracks_of_parent": float(both),
        "has_pairs_and_parent": float(both and pairs > 0),
        "enough_pairs_and_parent": float(both and enough),
        "is_warm": float(both and plan.start == "warm"),
        "is_cold_with_parent": float(both and plan.start != "warm"),
    }


def _load_choice(scratch: Scratch) -> Choice | None:
    """What a training that was cut off had chosen; None where there was no search, or it was cut off itself."""
    saved: dict[str, Any] | None = scratch.read_json(CHOICE)
    if saved is None:
        return None
    trials = tuple(Trial(**trial) for trial in saved["trials"])
    return Choice(**saved | {"settings": Settings(**saved["settings"]), "trials": trials})


def _digest(model: Model) -> str:
    """Names what was learned: with several threads, the same inputs give another model each time."""
    hashed = blake2b(digest_size=4)
    for matrix in (model.in_vectors, model.out_vectors):
        hashed.update(matrix.data)  # whole rows of an array: no copy
    return hashed.hexdigest()
