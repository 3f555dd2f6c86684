"""Candidates of a batch of listeners, from Arrow to Arrow: ids become numbers, and numbers ids again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.embeddings.arrays import Flags, Tokens
from features.embeddings.candidate_kernel import NEVER, Choices, Lists, Plays, choose_rows
from features.embeddings.settings import CandidateSettings
from schemas.candidates import ORIGINS
from schemas.common import MICROS_A_DAY

# Places of candidates that are filled before they are handed on: 13 bytes each, and their ids.
PLACES = 2**19


class StaleNeighboursError(ValueError):
    """Lists that name tracks which the embeddings do not have."""


@dataclass(frozen=True)
class Pool:
    """All that candidates are chosen from; row n is of the track with that number."""

    ids: pa.LargeStringArray  # rising by their bytes, so that a number is an order
    artists: Tokens  # number of the track's artist, -1 where it is not known
    explicit: Flags
    following: Lists
    similar: Lists


def number_lists(batch: pa.RecordBatch, ids: pa.Array) -> pa.RecordBatch:
    """Rows of `similar_tracks` (track_id, neighbours, scores) as number, tracks (list of int32), scores.

    Raises:
        StaleNeighboursError: a neighbour that `ids` lacks.
    """
    numbers = pc.index_in(batch.column("track_id"), value_set=ids)
    # a track that `ids` lacks has no vector, and cannot be a seed
    seeds = batch.filter(numbers.is_valid())
    lists = seeds.column("neighbours")
    tracks = pc.index_in(lists.flatten(), value_set=ids)
    if tracks.null_count:
        unknown = lists.flatten().filter(tracks.is_null())[0].as_py()
        raise StaleNeighboursError(
            f"candidates: {tracks.null_count} neighbours, such as {unknown!r}, have no vector in track_embeddings of "
            "that day; the lists are of other embeddings. Run build-similar-tracks for that day again"
        )
    # Arrow keeps a slice's offsets as they were, and `flatten` gives the slice's own values
    offsets = pc.subtract(lists.offsets, lists.offsets[0])
    columns = [numbers.drop_null(), pa.ListArray.from_arrays(offsets, tracks), seeds.column("scores")]
    return pa.RecordBatch.from_arrays(columns, ["number", "tracks", "scores"])


def choose(batch: pa.RecordBatch, pool: Pool, settings: CandidateSettings) -> Iterator[pa.RecordBatch]:
    """user_id, track_ids, scores and origins of the listeners of `batch` for whom there is any candidate.

    Args:
        batch: user_id, and plays: a list of structs of number, last (null: skipped each time) and recent.
    """
    width = max(1, min(settings.per_user, len(pool.ids)))
    step = max(1, PLACES // width)
    for start in range(0, batch.num_rows, step):
        yield _choose(batch.slice(start, step), pool, settings, width)


def _choose(batch: pa.RecordBatch, pool: Pool, settings: CandidateSettings, width: int) -> pa.RecordBatch:
    # the kernel fills whole matrices: no Python object per candidate
    choices = Choices(*(np.empty((batch.num_rows, width), t) for t in (np.int32, np.float32, np.int8)))
    blocked = np.zeros_like(pool.explicit) if settings.explicit else pool.explicit
    half_life = settings.half_life_days * MICROS_A_DAY
    limits = (settings.seeds, half_life, settings.per_artist)
    plays = _unpack_plays(batch.column("plays"))
    counts = choose_rows(plays, pool.following, pool.similar, pool.artists, blocked, *limits, choices)
    tracks, scores, origins = (values[np.arange(width) < counts[:, None]] for values in choices)
    # a listener without candidates has no row
    offsets = pa.array(np.append(0, np.cumsum(counts[counts > 0])).astype(np.int32))
    lists = (pool.ids.take(tracks).cast(pa.string()), pa.array(scores), pa.array(ORIGINS).take(origins))
    columns = [pa.ListArray.from_arrays(offsets, values) for values in lists]
    users = batch.column("user_id").filter(pa.array(counts > 0))
    return pa.RecordBatch.from_arrays([users, *columns], ["user_id", "track_ids", "scores", "origins"])


def _unpack_plays(lists: pa.ListArray) -> Plays:
    offsets = lists.offsets.to_numpy().astype(np.int64)
    number, last, recent = lists.flatten().flatten()
    # Arrow's flags are bits, and numpy's are bytes: these are copied
    is_recent = recent.to_numpy(zero_copy_only=False)
    return Plays(offsets - offsets[0], number.to_numpy(), last.fill_null(NEVER).to_numpy(), is_recent)
