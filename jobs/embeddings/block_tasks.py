"""What tasks do in a training in blocks; each reads files of the scratch and leaves others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.embeddings import blocks
from features.embeddings.corpus import Ints, Model, Tokens, flatten_lists
from features.embeddings.pair_kernel import pairs_of
from features.embeddings.settings import Settings
from jobs.embeddings.scratch import Scratch
from jobs.embeddings.tracks import (
    LEARNED,
    LEARNED_SCHEMA,
    VOCABULARY,
    Tracks,
    learned_rows,
    load_previous_vectors,
)

Batches = Iterable[pa.RecordBatch]
Task = Callable[[Batches], Iterator[pa.RecordBatch]]

# Of one file, about; while they are sorted they take 32 bytes each.
PAIRS = 2**24
_PAIRS = pa.schema({"query": pa.int32(), "company": pa.int32()})


@dataclass(frozen=True)
class Tasks:
    """Plain data, so that tasks can be sent it."""

    scratch: Scratch
    settings: Settings
    warm: bool

    @property
    def epochs(self) -> int:
        return self.settings.warm_epochs if self.warm else self.settings.epochs

    # --- before the first round

    def begin(self, rows: Batches) -> Iterator[pa.RecordBatch]:
        """Of one block, the rows of the vocabulary in order, with `block` and `heard`: its tracks and first vectors."""
        table = pa.Table.from_batches(list(rows))
        (block,) = pc.unique(table["block"]).to_pylist()
        own = table.filter(table["number"].is_valid()).drop_columns("block")
        mine = self._of(block)
        mine.write_table(VOCABULARY, own.schema, iter(own.to_batches()))
        model = blocks.first(block, len(own), self.settings)
        if self.warm:
            load_previous_vectors(mine, Tracks.read(mine), model)
            model.initialise_new_rows()
        self._write(0, "into", block, model)
        self._write(0, "out", block, model)
        yield _count(len(own))

    def draw(self, epoch: int) -> Task:
        """For `sequence` and `tracks`: files of pairs, told by the number of their first sequence."""

        def task(rows: Batches) -> Iterator[pa.RecordBatch]:
            plays = _plays(self.scratch)
            plays = plays[plays >= self.settings.min_plays]  # the first of them
            for tokens, offsets, numbers in _chunks(rows, PAIRS // (1 + self.settings.window)):
                pairs = pairs_of(tokens, offsets, numbers, plays, self.settings, epoch, blocks.PARTS)
                self._write_pairs(epoch, int(numbers[0]), *blocks.strata(pairs, self.settings.blocks))
                yield _count(int(numbers[0]))

        return task

    # --- a round, and after the last

    def learn(self, number: int, chunks: list[int]) -> Task:
        """For one row, `id`, a block of in vectors: its visit in round `number`."""

        def task(rows: Batches) -> Iterator[pa.RecordBatch]:
            for block in _ids(rows):
                visit = blocks.visits(self.settings, number)[block]
                query, company = self._pairs(visit, chunks)
                model = self._model(number, visit.into, visit.out)
                plays = _plays(self._of(visit.out))
                blocks.learn(model, visit, query, company, plays, self.settings)
                self._write(number + 1, "into", visit.into, model)
                self._write(number + 1, "out", visit.out, model)
                yield _count(len(query))

        return task

    def finish(self, rows: Batches) -> Iterator[pa.RecordBatch]:
        """For one row, `id`, a block: what was learned of its tracks that were heard."""
        for block in _ids(rows):
            mine = self._of(block)
            model = self._model(blocks.rounds(self.settings, self.epochs), block, block)
            tracks = Tracks.read(mine)
            heard = mine.table(VOCABULARY, ["number", "heard"]).sort_by("number")["heard"]
            learned = np.flatnonzero(heard.is_valid().to_numpy() & ~tracks.is_artist)
            batches = learned_rows(tracks.take(learned), model.take(learned))
            self.scratch.write_table(f"{LEARNED}/{block:05d}.parquet", LEARNED_SCHEMA, batches)
            yield _count(len(learned))

    def whole(self) -> Model:
        """All blocks after the last round, on one machine: for what is measured there."""
        last = blocks.rounds(self.settings, self.epochs)
        return blocks.together([self._model(last, block, block) for block in range(self.settings.blocks)])

    # --- files

    def _of(self, block: int) -> Scratch:
        """Its tracks lie there as those of a whole training lie in a scratch."""
        return Scratch(self.scratch.path(f"blocks/tracks/{block}"))

    def _write(self, number: int, half: str, block: int, model: Model) -> None:
        with self.scratch.writing(_half(number, half, block)) as stream:
            for name in (half, f"{half}_state"):
                np.save(stream, getattr(model, name))

    def _model(self, number: int, into: int, out: int) -> Model:
        arrays: dict[str, NDArray[np.float32]] = {}
        for half, block in (("into", into), ("out", out)):
            with self.scratch.reading(_half(number, half, block)) as stream:
                arrays |= {name: np.load(stream) for name in (half, f"{half}_state")}
        return Model(**arrays)

    def _write_pairs(self, epoch: int, chunk: int, query: Tokens, company: Tokens, starts: Ints) -> None:
        with (
            self.scratch.writing(_chunk(epoch, chunk)) as stream,
            pa.ipc.new_file(stream, _PAIRS) as file,
        ):
            whole = pa.record_batch([pa.array(query), pa.array(company)], schema=_PAIRS)
            for start, end in pairwise(starts.tolist()):
                file.write_batch(whole.slice(start, end - start))

    def _pairs(self, visit: blocks.Visit, chunks: list[int]) -> tuple[Tokens, Tokens]:
        """Those of the visit's stratum, in the order of the sequences, however these were cut into files."""
        found = [_PAIRS.empty_table()]
        for chunk in chunks:
            with self.scratch.reading(_chunk(visit.epoch, chunk)) as stream, pa.ipc.open_file(stream) as file:
                batch = file.get_batch(visit.stratum(self.settings.blocks))
                found.append(pa.Table.from_batches([batch]))
        pairs = pa.concat_tables(found)
        return pairs["query"].to_numpy(), pairs["company"].to_numpy()


def _plays(scratch: Scratch) -> Ints:
    """By track number, of all tracks or of those of a block."""
    read = scratch.table(VOCABULARY, ["number", "plays"]).sort_by("number")["plays"]
    return np.asarray(read.to_numpy(), np.int64)


def _half(number: int, half: str, block: int) -> str:
    return f"blocks/model/{number}/{half}-{block:05d}.npy"


def _chunk(epoch: int, chunk: int) -> str:
    return f"blocks/pairs/{epoch}/{chunk}.arrow"


def _chunks(rows: Batches, most: int) -> Iterator[tuple[Tokens, Ints, Ints]]:
    """Tokens, offsets and numbers of sequences, `most` tokens at a time or little more.

    A task may read the end of one file and the beginning of another. Where the numbers jump a chunk ends, so
    that the order of chunks is that of all their sequences.
    """
    waiting: list[pa.RecordBatch] = []
    for run in _runs(rows):
        if waiting and (_tokens(waiting) >= most or run.column("sequence")[0].as_py() != _next(waiting)):
            yield _arrays(waiting)
            waiting = []
        waiting.append(run)
    if waiting:
        yield _arrays(waiting)


def _runs(rows: Batches) -> Iterator[pa.RecordBatch]:
    """Batches cut where the numbers of sequences jump; none without rows."""
    for batch in rows:
        numbers = batch.column("sequence").to_numpy()
        cuts = [0, *(np.flatnonzero(np.diff(numbers) != 1) + 1).tolist(), len(numbers)]
        for start, end in pairwise(cuts):
            if start < end:
                yield batch.slice(start, end - start)


def _tokens(batches: list[pa.RecordBatch]) -> int:
    return sum(len(batch.column("tracks").flatten()) for batch in batches)


def _next(batches: list[pa.RecordBatch]) -> int:
    return int(batches[-1].column("sequence")[-1].as_py()) + 1


def _arrays(batches: list[pa.RecordBatch]) -> tuple[Tokens, Ints, Ints]:
    return *flatten_lists(batches), np.concatenate([batch.column("sequence").to_numpy() for batch in batches])


def _ids(rows: Batches) -> Iterator[int]:
    for batch in rows:
        yield from batch.column("id").to_pylist()


def _count(number: int) -> pa.RecordBatch:
    return pa.record_batch({"n": pa.array([number], pa.int64())})
