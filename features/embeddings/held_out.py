"""Leave-last-out: of some sessions the last track is kept from the training, and predicted."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa

from features.embeddings.arrays import Flags, Ints, Tokens, flatten_lists
from features.embeddings.corpus import Corpus
from features.embeddings.mapped import map_empty
from features.embeddings.ranking import Pairs

# At 10,000 pairs and a hit rate of 0.15 its standard error is 0.0036; twice as many cost twice the time.
MOST_PAIRS = 10_000
# Sessions are held out by a hash, a share of 1/8, 1/16, …: where the window grows, fewer of the same ones.
LARGEST_SHARE = 3
# Of two tracks one would be left, which teaches nothing.
SHORTEST = 3


class Census:
    """Sequences and tokens counted part by part, and by them whose last track is held out."""

    def __init__(self, places: int) -> None:
        # each share is half of the one before; the last of them are 0
        self._shares = [places >> (LARGEST_SHARE + n) for n in range(places.bit_length() + 2)]
        self._below = np.zeros(len(self._shares), np.int64)
        self.sequences = self.tokens = 0

    def add(self, lengths: Ints, folds: Ints) -> None:
        self.sequences += len(lengths)
        self.tokens += int(lengths.sum())
        long_folds = folds[lengths >= SHORTEST]
        self._below += [np.count_nonzero(long_folds < share) for share in self._shares]

    def share(self, most: int) -> int:
        """The fold below which sequences are held out, for `most` pairs."""
        # By fold, so that who is held out today was so yesterday, and the version before did not learn the
        # answers; halved, so that who is held out of more sequences is held out of fewer.
        half_is_enough = self._below[1:] >= most
        return self._shares[int(np.argmin(half_is_enough))]


def is_held_out(lengths: Ints, folds: Ints, share: int) -> Flags:
    return (lengths >= SHORTEST) & (folds < share)


def hold_out_last(
    tokens: Tokens, offsets: Ints, folds: Ints, places: int, most: int = MOST_PAIRS
) -> tuple[Tokens, Ints, Pairs]:
    """The sequences without the last track of some of three or more, and the pairs that this makes.

    Args:
        folds: of each sequence, 0 to `places` - 1, a hash of its session.
        most: of pairs.
    """
    share, pairs = choose_pairs(Corpus(tokens, offsets, np.empty(0, np.int64)), folds, places, most)
    removed = is_held_out(np.diff(offsets), folds, share)
    left = np.delete(tokens, offsets[1:][removed] - 1)
    return left, offsets - np.append(0, np.cumsum(removed)), pairs


def choose_pairs(corpus: Corpus, folds: Ints, places: int, most: int) -> tuple[int, Pairs]:
    """The fold below which `hold_out_last` holds out, and its pairs; the corpus stays as it is."""
    census = Census(places)
    for part in corpus.parts():
        census.add(corpus.lengths(part), folds[part])
    share = census.share(most)
    held_out = []
    for part in corpus.parts():
        removed = is_held_out(corpus.lengths(part), folds[part], share)
        last = corpus.offsets[1:][part][removed] - 1
        held_out.append((folds[part][removed], corpus.tokens[last - 1], corpus.tokens[last]))
    return share, _pair_up(*_concatenate(held_out), most)[0]


def read_corpus(
    read: Callable[[], Iterable[pa.RecordBatch]],
    counts: Ints,
    places: int,
    most: int,
    highest: int | None = None,
) -> tuple[Corpus, int, Pairs, Ints]:
    """`hold_out_last` of sequences that are read batch by batch, twice, into mapped arrays; the fold below which it
    holds out, and those of the pairs, rising.

    Args:
        read: gives `fold` and `tracks` (lists of int32), the same ones in the same order each time.
        counts: plays of each track; the corpus has them without those that are held out.
        highest: the fold from which on nothing is held out, however few sequences there are.
    """
    census = Census(places)
    for batch in read():
        census.add(_list_lengths(batch), _folds(batch))
    share = min(census.share(most), places if highest is None else highest)
    tokens, offsets = map_empty(census.tokens, np.int32), map_empty(census.sequences + 1, np.int64)
    held_out, sequence, place = [], 0, 0
    for batch in read():
        folds = _folds(batch)
        left, ends, pairs = _cut_batch(batch, folds, share)
        tokens[place : place + len(left)] = left
        offsets[sequence + 1 : sequence + 1 + len(folds)] = place + ends
        held_out.append(pairs)
        sequence, place = sequence + len(folds), place + len(left)
    folds, queries, targets = _concatenate(held_out)
    # a baseline or a negative that counts them would know answers
    counts = counts - np.bincount(targets, minlength=len(counts))
    return Corpus(tokens[:place], offsets, counts), share, *_pair_up(folds, queries, targets, most)


Part = tuple[Ints, Tokens, Tokens]  # folds, last tracks but one, last tracks


def _cut_batch(batch: pa.RecordBatch, folds: Ints, share: int) -> tuple[Tokens, Ints, Part]:
    """Its tokens without those held out, where each sequence ends in them, and what is held out."""
    tokens, offsets = flatten_lists([batch])
    removed = is_held_out(np.diff(offsets), folds, share)
    last = offsets[1:][removed] - 1
    ends = offsets[1:] - np.cumsum(removed)
    return np.delete(tokens, last), ends, (folds[removed], tokens[last - 1], tokens[last])


def _concatenate(held_out: list[Part]) -> tuple[Ints, Ints, Ints]:
    nothing = (np.empty(0, np.int64),) * 3
    folds, queries, targets = (
        np.concatenate(each).astype(np.int64) for each in zip(nothing, *held_out, strict=True)
    )
    return folds, queries, targets


def _pair_up(folds: Ints, queries: Ints, targets: Ints, most: int) -> tuple[Pairs, Ints]:
    """The pairs of the lowest folds, and these folds."""
    first = np.argsort(folds, kind="stable")[:most]
    return Pairs(queries[first], targets[first]), folds[first]


def _list_lengths(batch: pa.RecordBatch) -> Ints:
    return np.diff(batch.column("tracks").offsets.to_numpy()).astype(np.int64)


def _folds(batch: pa.RecordBatch) -> Ints:
    return batch.column("fold").to_numpy().astype(np.int64)
