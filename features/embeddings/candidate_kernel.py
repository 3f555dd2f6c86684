"""Candidates of one listener after the other, over arrays: the inner loops of `candidates`, compiled.

A listener costs as many steps as the seeds have neighbours: scores are added up in a hash table, and two
heaps give up their best until enough are chosen.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.embeddings.arrays import Doubles, Flags, Ints, Matrix, Tokens
from features.embeddings.kernels import compile_kernel

# `last` of a track that was skipped each time: it is no seed.
NEVER = np.iinfo(np.int64).min
# Sums of the same scores in another order differ in the last bits; at six decimals they tie.
SCALE = 1e6
_EMPTY = -1  # tracks and artists are numbered from 0
_ABSENT = -1.0  # scores of 0 or less are left out, so no sum is negative


class Lists(NamedTuple):
    """Neighbours of track t are tracks[offsets[t]:offsets[t + 1]]. Arrays may be mapped from a file."""

    offsets: Ints
    tracks: Tokens
    scores: Matrix  # (n,), float32


class Plays(NamedTuple):
    """Listener i played track[starts[i]:starts[i + 1]], each track once."""

    starts: Ints
    track: Tokens
    last: Ints  # microseconds since 1970 of the last play that was not skipped, or NEVER
    recent: Flags  # played so lately, skipped or not, that it is no candidate


class Choices(NamedTuple):
    """What is chosen, the best first: listeners x per_user, or the row of one listener."""

    tracks: Tokens
    scores: Matrix
    origins: NDArray[np.int8]


class Table(NamedTuple):
    """A hash table of 2^n slots, one for each track among the neighbours of a listener's seeds."""

    # memory beside the result is this table of one listener's neighbours, whatever the number of tracks
    keys: Tokens
    following: Doubles
    similar: Doubles
    out: Flags  # just played, or chosen already


@compile_kernel(fastmath=False)
def choose_rows(
    plays: Plays,
    following: Lists,
    similar: Lists,
    artists: Tokens,
    blocked: Flags,
    seeds: int,
    half_life: float,
    per_artist: int,
    choices: Choices,
) -> Ints:
    """Fills `choices`, without `blocked` tracks; how many each listener has. `half_life`: microseconds."""
    counts = np.zeros(plays.starts.shape[0] - 1, np.int64)
    for i in range(counts.shape[0]):
        own = slice(plays.starts[i], plays.starts[i + 1])
        track, recent = plays.track[own], plays.recent[own]
        newest, shares = _select_seeds(track, plays.last[own], seeds, half_life)
        table = _new_table(newest, track, recent, following, similar)
        # no list is sorted whole: of some two thousand scores a hundred are taken
        first = _build_heap(newest, shares, following, blocked, table, table.following)
        second = _build_heap(newest, shares, similar, blocked, table, table.similar)
        row = Choices(choices.tracks[i], choices.scores[i], choices.origins[i])
        counts[i] = _take_turns(first, second, table, artists, per_artist, row)
    return counts


@compile_kernel(fastmath=False)
def _select_seeds(track: Tokens, last: Ints, most: int, half_life: float) -> tuple[Tokens, Doubles]:
    """The tracks played last, the newest first, ties by number; and what share each has in a score."""
    size, count = min(most, track.shape[0]), 0
    seeds, times = np.empty(size, np.int32), np.empty(size, np.int64)
    for i in range(track.shape[0]):
        if last[i] != NEVER:
            # the seeds are few, ten by default, and a listener's tracks may be many: they are not all sorted
            count = _insert(track[i], last[i], seeds, times, count)
    shares = np.empty(count)
    for i in range(count):
        # Counted from the newest seed, not from midnight: a listener away for a year has shares as well.
        shares[i] = 0.5 ** ((times[0] - times[i]) / half_life)
    return seeds[:count], shares / shares.sum()


@compile_kernel(fastmath=False)
def _insert(track: int, last: int, seeds: Tokens, times: Ints, count: int) -> int:
    """Puts a track in its place among the first `count`; what falls off the end is no seed."""
    place = count
    while place > 0 and (times[place - 1] < last or (times[place - 1] == last and seeds[place - 1] > track)):
        place -= 1
    if place == seeds.shape[0]:
        return count
    count = min(count + 1, seeds.shape[0])
    for later in range(count - 1, place, -1):
        seeds[later], times[later] = seeds[later - 1], times[later - 1]
    seeds[place], times[place] = track, last
    return count


@compile_kernel(fastmath=False)
def _new_table(seeds: Tokens, track: Tokens, recent: Flags, following: Lists, similar: Lists) -> Table:
    """With what was just played, which is out, and room for all neighbours of the seeds."""
    entries = recent.sum()
    for seed in seeds:
        entries += following.offsets[seed + 1] - following.offsets[seed]
        entries += similar.offsets[seed + 1] - similar.offsets[seed]
    size = _table_size(entries)
    keys, out = np.full(size, _EMPTY, np.int32), np.zeros(size, np.bool_)
    for i in range(track.shape[0]):
        if recent[i]:
            slot = _find_slot(keys, track[i])
            keys[slot], out[slot] = track[i], True
    return Table(keys, np.full(size, _ABSENT), np.full(size, _ABSENT), out)


@compile_kernel(fastmath=False)
def _table_size(entries: int) -> int:
    """A power of two, at most half of it full: few keys meet another in their place."""
    size = 2
    while size < 2 * entries:
        size *= 2
    return size


@compile_kernel(fastmath=False)
def _find_slot(keys: Tokens, key: int) -> int:
    """Where the key is, or the empty slot where it belongs."""
    mask = keys.shape[0] - 1
    # Knuth's multiplicative hash, so that numbers in a row do not fill slots in a row
    at = ((np.int64(key) * np.int64(2654435761)) >> np.int64(13)) & mask
    while keys[at] != _EMPTY and keys[at] != key:
        at = (at + 1) & mask
    return at


@compile_kernel(fastmath=False)
def _build_heap(
    seeds: Tokens, shares: Doubles, lists: Lists, blocked: Flags, table: Table, sums: Doubles
) -> Ints:
    """Adds up an origin's scores in the table, in whole millionths; the slots of its tracks, as a heap."""
    slots, count = np.empty(table.keys.shape[0], np.int64), 0
    for i in range(seeds.shape[0]):
        for n in range(lists.offsets[seeds[i]], lists.offsets[seeds[i] + 1]):
            # not `<= 0`: a score that is no number is left out too
            if not lists.scores[n] > 0 or blocked[lists.tracks[n]]:
                continue
            slot = _find_slot(table.keys, lists.tracks[n])
            if table.out[slot]:
                continue
            if sums[slot] == _ABSENT:
                table.keys[slot], sums[slot], slots[count] = lists.tracks[n], 0.0, slot
                count += 1
            sums[slot] += shares[i] * lists.scores[n]
    for slot in slots[:count]:
        sums[slot] = np.rint(sums[slot] * SCALE)
    # from the last parent up, which takes as many steps as there are slots (Floyd, 1964)
    for root in range(count // 2 - 1, -1, -1):
        _sift(slots[:count], root, sums, table.keys)
    return slots[:count]


@compile_kernel(fastmath=False)
def _sift(heap: Ints, root: int, sums: Doubles, keys: Tokens) -> None:
    """Lets what is at the root sink to its place in a heap that is in order below."""
    child = 2 * root + 1
    while child < heap.shape[0]:
        if child + 1 < heap.shape[0] and _is_before(heap[child + 1], heap[child], sums, keys):
            child += 1
        if not _is_before(heap[child], heap[root], sums, keys):
            return
        heap[child], heap[root] = heap[root], heap[child]
        root, child = child, 2 * child + 1


@compile_kernel(fastmath=False)
def _is_before(slot: int, other: int, sums: Doubles, keys: Tokens) -> bool:
    return sums[slot] > sums[other] or (sums[slot] == sums[other] and keys[slot] < keys[other])


@compile_kernel(fastmath=False)
def _take_turns(
    first: Ints, second: Ints, table: Table, artists: Tokens, per_artist: int, row: Choices
) -> int:
    """One of each heap in turn, those of an earlier turn passed over, until both are empty or the row is full."""
    size = _table_size(row.tracks.shape[0])
    artist_keys, artist_counts = np.full(size, _EMPTY, np.int32), np.zeros(size, np.int64)
    count = 0
    while first.shape[0] + second.shape[0]:
        for origin in range(2):
            heap, sums = (first, table.following) if origin == 0 else (second, table.similar)
            if heap.shape[0] == 0:
                continue
            slot = _pop(heap, sums, table.keys)
            first, second = (heap[:-1], second) if origin == 0 else (first, heap[:-1])
            if table.out[slot]:
                continue
            table.out[slot] = True
            if _admit(artists[table.keys[slot]], per_artist, artist_keys, artist_counts):
                row.tracks[count], row.scores[count] = table.keys[slot], sums[slot] / SCALE
                row.origins[count] = origin
                count += 1
            if count == row.tracks.shape[0]:
                return count
    return count


@compile_kernel(fastmath=False)
def _pop(heap: Ints, sums: Doubles, keys: Tokens) -> int:
    """The best; the last place of the heap is no longer one of it."""
    best = heap[0]
    heap[0] = heap[-1]
    _sift(heap[:-1], 0, sums, keys)
    return best


@compile_kernel(fastmath=False)
def _admit(artist: int, most: int, keys: Tokens, counts: Ints) -> bool:
    """Counts one more of the artist, unless there are enough."""
    if artist < 0:  # without a catalogue no artist is known, and all tracks would be one artist's
        return True
    slot = _find_slot(keys, artist)
    if counts[slot] == most:
        return False
    keys[slot] = artist
    counts[slot] += 1
    return True
