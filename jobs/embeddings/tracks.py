"""What a task reads where Spark left it, and leaves for Spark: tracks, sequences, vectors; files in the scratch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.embeddings.arrays import Ints, to_list_array, to_matrix
from features.embeddings.corpus import Corpus, Model
from features.embeddings.held_out import read_corpus
from features.embeddings.ranking import Pairs
from features.embeddings.sequences import FOLDS
from jobs.embeddings.scratch import Scratch

VOCABULARY = "vocabulary"
# Files by fold, each sorted: read in the order of their names they are what one file would be.
SEQUENCES = "sequences"
# A file of each attempt; the report of a training names its own.
LEARNED = "learned"
LEARNED_SCHEMA = pa.schema(
    {
        "track_id": pa.string(),
        "in_vector": pa.list_(pa.float32()),
        "out_vector": pa.list_(pa.float32()),
        "support": pa.int64(),
        "in_state": pa.float64(),
        "out_state": pa.float64(),
    }
)
# Tracks that follow each other in the sequences that were learned from.
PAIRS = "adjacent_pairs.parquet"
# Among the metrics of a version: of how many sequences the last track was not learned, by their folds.
HELD_OUT_SHARE = "held_out_share"
PAIRS_SCHEMA = pa.schema({"query": pa.string(), "target": pa.string()})
# Rows written at a time: offsets of Arrow's lists have 32 bits, too few for the numbers of all vectors.
_ROWS = 50_000


@dataclass(frozen=True)
class Tracks:
    """Parallel arrays, in the order of `numbers`: those of the vocabulary, rising."""

    numbers: Ints
    ids: pa.LargeStringArray
    plays: Ints
    # that the version before learned from; 0 where its vector came of other tracks, -1 where it had none
    previous_plays: Ints

    @classmethod
    def read(cls, scratch: Scratch) -> Tracks:
        names = ("number", "plays", "previous_plays")
        # written by a join, so in any order
        table = scratch.table(VOCABULARY, ["track_id", *names]).sort_by("number")
        numbers, plays, previous = (table[n].fill_null(-1).to_numpy().astype(np.int64) for n in names)
        return cls(numbers, table["track_id"].combine_chunks(), plays, previous)

    def take(self, places: Ints) -> Tracks:
        ids, plays = self.ids.take(pa.array(places)), self.plays[places]
        return Tracks(self.numbers[places], ids, plays, self.previous_plays[places])

    def places(self, numbers: Ints) -> Ints:
        """Where these numbers are, -1 for those that are not."""
        # without tracks there is no last place to clip to
        if not len(self.numbers):
            return np.full(len(numbers), -1, np.int64)
        places = np.searchsorted(self.numbers, numbers).clip(max=len(self.numbers) - 1)
        return np.where(self.numbers[places] == numbers, places, -1)

    def numbers_at(self, places: Ints) -> Ints:
        """The numbers at these places, -1 where a place is -1."""
        return np.where(places >= 0, self.numbers[places], -1)

    def locate(self, pairs: Pairs) -> Pairs:
        """The pairs by their places here instead of their numbers."""
        return Pairs(self.places(pairs.query), self.places(pairs.target))


@dataclass(frozen=True)
class HeldOut:
    """The pairs that a space is measured by, and the share of all sequences whose last track was not learned."""

    pairs: Pairs
    share: float
    _folds: Ints  # of the pairs, rising

    def count_below(self, share: float) -> int:
        """The first so many pairs are of sequences that are held out with that share as well."""
        return int(np.searchsorted(self._folds, int(share * FOLDS)))


def read_sequences(
    scratch: Scratch, plays: Ints, most: int, largest_share: float = 1.0
) -> tuple[Corpus, HeldOut]:
    """The sequences of the scratch without what is held out, and that: at most so many pairs. Shares are exact, as
    folds are a power of two."""
    batches, highest = partial(scratch.batches, SEQUENCES, ["fold", "tracks"]), int(largest_share * FOLDS)
    corpus, fold, pairs, folds = read_corpus(batches, plays, FOLDS, most, highest)
    return corpus, HeldOut(pairs, fold / FOLDS, folds)


def count_shared(scratch: Scratch, min_plays: int) -> tuple[int, int]:
    """Tracks of the vocabulary with plays enough that the version before learned, and all with plays enough."""
    shared = tracks = 0
    for batch in scratch.batches(VOCABULARY, ["plays", "previous_plays"]):
        frequent = batch.filter(pc.greater_equal(batch.column("plays"), min_plays))
        shared += pc.sum(pc.greater(frequent.column("previous_plays"), 0)).as_py() or 0
        tracks += frequent.num_rows
    return shared, tracks


def load_previous_vectors(scratch: Scratch, tracks: Tracks, model: Model) -> None:
    """Writes the vectors of the version before over the rows of `model` whose tracks it has."""
    columns = ["number", "in_vector", "out_vector", "in_state", "out_state"]
    for batch in scratch.batches(VOCABULARY, columns):
        places = tracks.places(batch.column("number").to_numpy().astype(np.int64))
        has_vector = (places >= 0) & batch.column("in_vector").is_valid().to_numpy(zero_copy_only=False)
        # of no vectors `to_matrix` would be 0 wide
        if has_vector.any():
            previous, rows = batch.filter(pa.array(has_vector)), places[has_vector]
            model.in_vectors[rows] = to_matrix(previous.column("in_vector"))
            model.out_vectors[rows] = to_matrix(previous.column("out_vector"))
            # null where the vector was not learned but filled in: no gradient has been added up there
            model.in_states[rows] = previous.column("in_state").fill_null(0.0).to_numpy()
            model.out_states[rows] = previous.column("out_state").fill_null(0.0).to_numpy()


def find_previous_dimensions(scratch: Scratch) -> int | None:
    """Of the vectors of the version before; None where the vocabulary has none."""
    lengths = (pc.max(pc.list_value_length(b.column(0))) for b in scratch.batches(VOCABULARY, ["in_vector"]))
    return next((length.as_py() for length in lengths if length.is_valid), None)


def load_previous_model(scratch: Scratch, tracks: Tracks, dimensions: int) -> Model:
    rows = len(tracks.plays)
    shapes = [(rows, dimensions), (rows, dimensions), (rows,), (rows,)]
    model = Model(*(np.zeros(shape, np.float32) for shape in shapes))
    load_previous_vectors(scratch, tracks, model)
    return model


def write_learned(scratch: Scratch, tracks: Tracks, model: Model) -> str:
    """The name of the file that it writes; another each time."""
    # an attempt that was given up may still write while the driver reads what the next one left
    name = f"{LEARNED}/{uuid4().hex}.parquet"
    scratch.write_table(name, LEARNED_SCHEMA, _learned_batches(tracks, model))
    return name


def _learned_batches(tracks: Tracks, model: Model) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(tracks.numbers), _ROWS):
        rows = slice(start, start + _ROWS)
        yield pa.record_batch(
            [
                tracks.ids[rows].cast(pa.string()),
                to_list_array(model.in_vectors[rows]), to_list_array(model.out_vectors[rows]),
                pa.array(tracks.plays[rows]), pa.array(model.in_states[rows].astype(np.float64)),
                pa.array(model.out_states[rows].astype(np.float64)),
            ],
            schema=LEARNED_SCHEMA,
        )  # fmt: skip


def write_pairs(scratch: Scratch, tracks: Tracks, pairs: Pairs) -> None:
    """Pairs of places in `tracks`, by the tracks' ids."""
    ids = [tracks.ids.take(pa.array(places)).cast(pa.string()) for places in (pairs.query, pairs.target)]
    scratch.write_table(PAIRS, PAIRS_SCHEMA, iter([pa.record_batch(ids, schema=PAIRS_SCHEMA)]))
