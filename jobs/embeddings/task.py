"""What the one task does that trains: it reads sequences, learns, measures, and leaves files behind.

Averaging the vectors of several tasks loses 15 to 50 % of the hits at eight of them, and two million tracks of
128 numbers are two gigabytes: they fit one machine easily. So Spark makes what is read, one task with all
of its executor's cores trains, and Spark goes on from its files. The task never holds more than two
matrices: what is measured is measured in their place, after they are written.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa

from expectations.suite import MIN_PAIRS
from features.embeddings import chance
from features.embeddings import evaluation as ev
from features.embeddings.alignment import fit_rotation, select_anchors
from features.embeddings.arrays import Ints, Tokens, flatten_lists, normalise_rows
from features.embeddings.corpus import Corpus, Model
from features.embeddings.ranking import Pairs
from features.embeddings.sequences import FOLDS
from features.embeddings.settings import Settings
from features.embeddings.training import fit
from features.embeddings.tuning import Choice, SearchPlan, choose_settings, describe
from jobs.embeddings.choices import SearchProgress, load_choice, save_choice
from jobs.embeddings.scratch import Scratch
from jobs.embeddings.tracks import Tracks, load_previous_vectors, write_learned, write_pairs

REPORT = "report string"
# A model of seconds is sooner learned again than saved.
SECONDS_BETWEEN_CHECKPOINTS = 60.0


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
    """One training. What it measures piles up in `metrics`, and in `measures` what the gate bounds."""

    def __init__(self, plan: Plan, batches: list[pa.RecordBatch]) -> None:
        self.plan, self.settings = plan, plan.settings
        read = Tracks.read(plan.scratch)
        self.vocabulary = read.take(
            np.flatnonzero(read.plays >= plan.settings.min_plays)
        )  # the first of them
        kept, starts, self.pairs = split_held_out(batches)
        self.corpus = Corpus(kept, starts, self.vocabulary.plays)
        self.learned = np.flatnonzero(np.bincount(kept, minlength=len(self.vocabulary.plays)))
        self.tracks = self.vocabulary.take(self.learned)
        self.metrics: list[ev.Metric] = []
        self.measures: dict[str, float] = {}
        self.baselines: dict[str, ev.RankingResult] = {}

    @property
    def _warm(self) -> bool:
        return self.plan.start == "warm"

    def report(self) -> dict[str, Any]:
        choice = self._choose()
        self.measures |= _gate_conditions(len(self.pairs), len(self._sample), self.plan)
        if len(self.pairs):  # before there is a model: both take memory
            self.baselines = ev.measure_baselines(self.corpus, self.pairs)
            self.metrics += [metric for found in self.baselines.values() for metric in found.metrics]
        twin = self._second_seed_neighbours() if self.plan.parent and not self._warm else None
        started = time.monotonic()
        model = self._train().take(self.learned)
        seconds = time.monotonic() - started
        if self.plan.parent and not self._warm:
            self._align(model)
        digest = _digest(model)
        write_learned(self.plan.scratch, self.tracks, model)
        self._write_adjacent_pairs()
        if len(self.learned):
            self._measure(model, twin)
        return {
            "metrics": ev.to_rows(self.metrics), "measures": self.measures, "tracks": len(self.learned),
            "plays": len(self.corpus.tokens), "seconds": seconds, "peak_bytes": peak_bytes(),
            "threads": self.settings.threads, "digest": digest, "settings": self.settings.result_settings(),
            "trials": choice and [asdict(trial) for trial in choice.trials],
            "search": choice and choice.as_record(),
        }  # fmt: skip

    # --- learning

    def _choose(self) -> Choice | None:
        """Takes over the settings that the search finds. A training that goes on from a saved model keeps its own."""
        if self.plan.search is None:
            return None
        choice = load_choice(self.plan.scratch)
        if choice is None:
            say = SearchProgress(self.plan.scratch)
            choice = choose_settings(self.corpus, self.settings, self.plan.search, say)
            say(describe(choice))
            save_choice(self.plan.scratch, choice)
        self.settings = replace(choice.settings, threads=self.settings.threads)
        return choice

    def _train(self) -> Model:
        if self.settings.backend == "gensim":
            return fit(self.corpus, self.settings)
        saved = self.plan.scratch.load_model()
        model, done = saved if saved else (self._initial_model(self.settings.seed), 0)
        epochs = range(done, self.settings.warm_epochs if self._warm else self.settings.epochs)
        return fit(self.corpus, self.settings, model, epochs, _Progress(self.plan))

    def _initial_model(self, seed: int) -> Model:
        model = Model.initialise(len(self.vocabulary.plays), self.settings.dimensions, seed)
        if self._warm:
            load_previous_vectors(self.plan.scratch, self.vocabulary, model)
            model.initialise_new_rows()
        return model

    def _second_seed_neighbours(self) -> Ints:
        """The neighbours that a training from another seed finds: two of them agree on no more than these."""
        settings = replace(self.settings, seed=self.settings.seed + 1)
        published, _ = fit(self.corpus, settings).take(self.learned).combine_in_place()
        return ev.find_neighbours(published, self._sample, ev.NEIGHBOURS)

    def _align(self, model: Model) -> None:
        """Turns the model to lie as the version before does, as far as a rotation can."""
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

    def _measure(self, model: Model, twin: Ints | None) -> None:
        pairs, sample = renumber_pairs(self.pairs, self.tracks), self._sample
        hits = None
        if len(pairs):
            found = ev.evaluate_ranking(
                "next", "this", model.in_vectors, model.out_vectors, pairs, self.tracks.plays
            )
            hits = found.hits
            self.metrics += found.metrics
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
        if twin is not None and len(sample):
            self.measures["seed_overlap@10"] = ev.overlap(near, twin)
            kept, by_chance = self.measures["overlap@10"], self.measures["seed_overlap@10"]
            self.measures["overlap_over_seeds"] = kept / by_chance if by_chance else float("inf")

    def _compare(self, model: Model, hits: Any, near: Ints, rows: Any, norms: Any) -> None:
        """With the version before on the same questions; its vectors take the place of the model's.

        Args:
            hits: of this version; None where there are no questions.
        """
        old = self.tracks.take(np.flatnonzero(self.tracks.previous_plays >= 0))
        held = Model(*(array[: len(old.plays)] for array in vars(model).values()))
        load_previous_vectors(self.plan.scratch, old, held)
        if hits is not None:
            pairs = renumber_pairs(self.pairs, old)
            before = ev.evaluate_ranking(
                "next", "previous", held.in_vectors, held.out_vectors, pairs, old.plays
            )
            self.metrics += before.metrics
            self.measures |= ev.compare_hits(hits, before.hits)
        published, norms_before = held.combine_in_place()
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


class _Progress:
    """After each epoch, a note for the driver to show; now and then, the model itself."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._started = self._saved = time.monotonic()

    def __call__(self, epoch: int, pairs: int, model: Model) -> None:
        now = time.monotonic()
        self._plan.scratch.write_json(
            f"progress/{epoch:05d}.json",
            {"epoch": epoch, "pairs": pairs, "seconds": now - self._started, "peak_bytes": peak_bytes()},
        )
        if now - self._saved > SECONDS_BETWEEN_CHECKPOINTS:
            self._plan.scratch.save_model(model, epoch)
            self._saved = time.monotonic()
        self._started = time.monotonic()


def split_held_out(batches: list[pa.RecordBatch]) -> tuple[Tokens, Ints, Pairs]:
    """Tokens and offsets of the sequences without what is held out, and the questions that this makes."""
    tokens, offsets = flatten_lists(batches)
    folds = np.concatenate([np.zeros(0, np.int64), *(batch.column("fold") for batch in batches)])
    return ev.hold_out_last(tokens, offsets, folds, FOLDS)


def peak_bytes() -> int:
    """The most memory that this process had so far; Linux counts in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def load_previous_model(scratch: Scratch, tracks: Tracks, dimensions: int) -> Model:
    model = Model(*(np.zeros((len(tracks.plays), dimensions), np.float32) for _ in range(2)),
                  *(np.zeros(len(tracks.plays), np.float32) for _ in range(2)))  # fmt: skip
    load_previous_vectors(scratch, tracks, model)
    return model


def renumber_pairs(pairs: Pairs, tracks: Tracks) -> Pairs:
    return Pairs(tracks.places(pairs.query), tracks.places(pairs.target))


def _digest(model: Model) -> str:
    """Names what was learned: with several threads, the same inputs give another model each time."""
    hashed = blake2b(digest_size=4)
    for matrix in (model.in_vectors, model.out_vectors):
        hashed.update(matrix.data)  # whole rows of an array: no copy
    return hashed.hexdigest()
