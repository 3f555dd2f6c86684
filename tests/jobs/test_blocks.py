"""Training in blocks on Spark against the same in one process, bit for bit, cut off or not."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from features.embeddings.blocks import fit_in_blocks
from features.embeddings.corpus import Corpus, Model
from features.embeddings.sequences import ARTIST
from features.embeddings.settings import Settings
from features.embeddings.track_rows import join_previous_vectors
from jobs.embeddings import blocks
from jobs.embeddings.block_tasks import _chunks
from jobs.embeddings.scratch import Scratch
from jobs.embeddings.tracks import LEARNED, VOCABULARY


class World:
    """A vocabulary of which some tracks are heard, one token being an artist's."""

    def __init__(self, tracks, sequences):
        rng = np.random.default_rng(tracks)
        self.sequences = [rng.integers(0, max(tracks - 1, 1), 5).tolist() for _ in range(sequences)]
        self.tokens = [f"t{n}" for n in range(tracks)]
        self.tokens[1] = ARTIST + "a"
        self.plays = [2 * (tracks - n) for n in range(tracks)]

    def in_scratch(self, spark, path, before=None):
        scratch = Scratch(str(path))
        rows = list(zip(range(len(self.tokens)), self.tokens, self.plays, strict=True))
        vocabulary = spark.createDataFrame(rows, "number int, token string, plays bigint")
        join_previous_vectors(vocabulary, before).write.parquet(scratch.path(VOCABULARY))
        return scratch

    def learned_from(self, spark):
        return spark.createDataFrame([(each,) for each in self.sequences], "tracks array<int>").coalesce(1)

    def corpus(self, least=1):
        tokens = np.array([track for each in self.sequences for track in each], np.int32)
        offsets = np.arange(0, len(tokens) + 1, 5, dtype=np.int64)
        return Corpus(tokens, offsets, np.array([plays for plays in self.plays if plays >= least], np.int64))

    def expected(self, model: Model):
        """Rows as the scratch must hold them: of tracks that were heard."""
        heard = sorted({track for each in self.sequences for track in each} - {1})
        return {
            self.tokens[n]: (
                model.into[n].tolist(), model.out[n].tolist(), self.plays[n],
                float(model.into_state[n]), float(model.out_state[n]),
            )
            for n in heard
        }  # fmt: skip


def learned(spark, scratch):
    rows = spark.read.parquet(scratch.path(LEARNED)).collect()
    found = {row["track_id"]: tuple(row)[1:] for row in rows}
    assert len(found) == len(rows), "a track twice"
    return found


def test_tasks_learn_what_one_process_does_and_leave_nothing_behind(spark, tmp_path):
    """The last track has too few plays: it is not learned, nor drawn against others."""
    world = World(11, 12)
    chosen = Settings(blocks=2, epochs=2, dimensions=4, min_plays=3, subsample=0.1)
    scratch, left = world.in_scratch(spark, tmp_path), []

    def look(line):
        drawn = [name for name in scratch.names("blocks/pairs") if not name.endswith(".json")]
        left.append((scratch.names("blocks/model"), drawn))

    blocks.train_in_blocks(spark, scratch, world.learned_from(spark), chosen, say=look)
    assert learned(spark, scratch) == world.expected(fit_in_blocks(world.corpus(least=3), chosen))
    assert left == [([str(n)], [str((n - 1) // 8)]) for n in range(1, 17)]


def test_blocks_without_tracks_and_strata_without_pairs(spark, tmp_path):
    world, chosen = World(2, 3), Settings(blocks=3, epochs=1, dimensions=4)
    world.sequences = [[0, 1, 0, 1, 0]] * 3
    scratch = world.in_scratch(spark, tmp_path)
    blocks.train_in_blocks(spark, scratch, world.learned_from(spark), chosen)
    assert learned(spark, scratch) == world.expected(fit_in_blocks(world.corpus(), chosen))
    assert len(scratch.names(LEARNED)) == 3


class CutOffError(Exception):
    """As when a driver is lost."""


def test_a_training_cut_off_goes_on_at_its_last_round(spark, tmp_path, monkeypatch):
    """Once before a round was noted as done, once after."""
    world, chosen = World(11, 12), Settings(blocks=2, epochs=1, dimensions=4)
    scratch, note = world.in_scratch(spark, tmp_path), blocks._Training._note
    cuts, said = [(3, False), (5, True)], []

    def cut(training, rounds):
        lost = bool(cuts) and cuts[0][0] == rounds
        if not lost or cuts[0][1]:
            note(training, rounds)
        if lost:
            cuts.pop(0)
            raise CutOffError

    monkeypatch.setattr(blocks._Training, "_note", cut)
    for _ in range(2):
        with pytest.raises(CutOffError):
            blocks.train_in_blocks(spark, scratch, world.learned_from(spark), chosen, say=said.append)
    blocks.train_in_blocks(spark, scratch, world.learned_from(spark), chosen, say=said.append)
    places = [line.split(":")[0] for line in said]
    assert places == [f"epoch 1, part {n // 2 + 1}, round {n % 2 + 1}" for n in (0, 1, 2, 3, 5, 6, 7)]
    assert learned(spark, scratch) == world.expected(fit_in_blocks(world.corpus(), chosen))


def test_a_warm_training_goes_on_from_the_version_before(spark, tmp_path):
    """With a step of nearly nothing, what comes out is what was before; a track it did not have has a random in row,
    and the mean out row of its block."""
    world, chosen = World(11, 12), Settings(blocks=2, dimensions=4, learning_rate=1e-6)
    vectors = np.random.default_rng(5).normal(size=(2, 11, 4)).astype(np.float32).tolist()
    rows = [
        (world.tokens[n], "learned", n, vectors[0][n], vectors[1][n], 5.0, 7.0 + n)
        for n in range(11)
        if n != 4
    ]
    kinds = "in_vector array<float>, out_vector array<float>, in_state double, out_state double"
    before = spark.createDataFrame(rows, f"track_id string, source string, support bigint, {kinds}")
    scratch, said = world.in_scratch(spark, tmp_path, before), []
    blocks.train_in_blocks(spark, scratch, world.learned_from(spark), chosen, "warm", say=said.append)
    assert len(said) == 8, "one epoch of two blocks"
    for track, (into, out, _, in_state, out_state) in learned(spark, scratch).items():
        n = world.tokens.index(track)
        if n == 4:
            of_block = np.mean([vectors[1][other] for other in (0, 2, 6, 8, 10)], axis=0)
            assert np.abs(into).max() <= 0.25
            np.testing.assert_allclose(out, of_block, atol=1e-3)
        else:
            np.testing.assert_allclose([into, out], [vectors[0][n], vectors[1][n]], atol=1e-3)
            assert in_state >= 5.0 and out_state >= 7.0 + n


def batch(numbers):
    lists = pa.array([[n] * (1 + n % 3) for n in numbers], pa.list_(pa.int32()))
    return pa.record_batch({"sequence": pa.array(numbers, pa.int64()), "tracks": lists})


@pytest.mark.parametrize("most", [1, 4, 100])
def test_chunks_end_where_numbers_jump_and_where_they_are_full(most):
    batches = [batch([3, 4]), batch([]), batch([5, 6, 20, 21]), batch([22]), batch([0, 1])]
    chunks = list(_chunks(batches, most))
    numbers = [chunk[2].tolist() for chunk in chunks]
    assert [n for each in numbers for n in each] == [3, 4, 5, 6, 20, 21, 22, 0, 1]
    for tokens, offsets, own in chunks:
        assert own.tolist() == list(range(own[0], own[-1] + 1))
        heard = [tokens[start:end].tolist() for start, end in pairwise(offsets)]
        assert heard == [[n] * (1 + n % 3) for n in own]
    if most == 100:
        assert numbers == [[3, 4, 5, 6], [20, 21, 22], [0, 1]]


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    scratch = Scratch(str(tmp_path))
    with pytest.raises(CutOffError), scratch.writing("a/b.npy") as stream:
        stream.write(b"half")
        raise CutOffError
    assert scratch.names("a") == []
    with scratch.writing("a/b.npy") as stream:
        stream.write(b"whole")
    with scratch.reading("a/b.npy") as stream:
        assert (scratch.names("a"), stream.read()) == (["b.npy"], b"whole")
