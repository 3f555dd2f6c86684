"""Item2vec in plain loops, from its definitions: what is read, which pairs are learned, one step, who is held out."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any, Protocol

import xxhash

from reference.rows import Row

FOLDS = 2**20
SMALLEST = 1e-6  # keeps the first step of a row finite
Rows = list[list[float]]


class Choices(Protocol):
    """The settings that decide what is read; the engine's own are such."""

    @property
    def min_plays(self) -> int: ...
    @property
    def min_length(self) -> int: ...
    @property
    def max_length(self) -> int: ...
    @property
    def gap_minutes(self) -> float: ...
    @property
    def repeats(self) -> bool: ...


# --- what is read


def vocabulary(rows: Iterable[Row], choices: Choices) -> list[Row]:
    """Of all plays but those of bots."""
    plays = Counter(row["track_id"] for row in rows if not row["is_bot"])
    frequent = [(-n, track) for track, n in plays.items() if n >= choices.min_plays]
    return [{"number": i, "track_id": track, "plays": -n} for i, (n, track) in enumerate(sorted(frequent))]


def sequences(rows: Iterable[Row], numbers: dict[str, int], choices: Choices) -> list[tuple[int, list[int]]]:
    """Fold and tokens of each sequence, in the order they are learned from.

    A session is a run of one listener's plays: a source's id may be another listener's too, and one that
    comes back after another session begins anew.
    """
    runs: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        if not row["is_bot"]:
            runs[(row["session_id"], row["user_id"], row["session_started_at"])].append(row)
    folds_and_tokens = []
    for run, plays in runs.items():
        for piece, piece_plays in enumerate(_cut_by_silence(plays, choices.gap_minutes)):
            for tokens in _cut_by_length(_tokens(piece_plays, numbers, choices), choices.max_length):
                if len(tokens) >= choices.min_length:
                    folds_and_tokens.append((fold(run[0]), *run, piece, tokens))
    return [(row[0], row[-1]) for row in sorted(folds_and_tokens)]


def fold(session_id: str) -> int:
    return xxhash.xxh64_intdigest(session_id.encode(), seed=42) % FOLDS  # 2^64 is a multiple of it


def _cut_by_silence(plays: list[Row], minutes: float) -> list[list[Row]]:
    plays = sorted(plays, key=lambda row: row["position"])
    pieces = [plays[:1]]
    for before, row in pairwise(plays):
        duration_ms = before["ms_played"] if before["ms_played"] is not None else before["track_ms"] or 0
        silence = row["played_at"] - before["played_at"] - timedelta(milliseconds=duration_ms)
        if minutes and silence > timedelta(minutes=minutes):
            pieces.append([])
        pieces[-1].append(row)
    return pieces


def _tokens(plays: list[Row], numbers: dict[str, int], choices: Choices) -> list[int]:
    tokens, last = [], None
    for row in plays:
        track = numbers.get(row["track_id"])
        if track is None or (track == last and not choices.repeats):
            continue
        last = track
        tokens.append(track)
    return tokens


def _cut_by_length(tokens: list[int], limit: int) -> list[list[int]]:
    pieces: list[list[int]] = []
    for i, token in enumerate(tokens):
        if i % limit == 0:
            pieces.append([])
        pieces[-1].append(token)
    return pieces


# --- which pairs an epoch learns


def chances(sequence: Sequence[int], window: int, backward: float) -> dict[tuple[int, int], float]:
    """By place of a track and of its context: how likely one epoch learns the one from the other.

    Each place has a reach of 1 to `window`, all equally likely; context within it counts always where
    it lies ahead, with chance `backward` where it lies behind, and never where it is the same track.
    """
    chance_by_pair = {}
    for i, track in enumerate(sequence):
        for j, context in enumerate(sequence):
            reaches = sum(reach >= abs(j - i) for reach in range(1, window + 1))
            if i != j and context != track and reaches:
                chance_by_pair[i, j] = reaches / window * (1.0 if j > i else backward)
    return {pair: chance for pair, chance in chance_by_pair.items() if chance}


def count_of_pairs(sequence: Sequence[int], window: int, backward: float) -> tuple[float, float]:
    """Expectation and variance of how many pairs an epoch learns; pairs of one place share its reach."""
    mean = variance = 0.0
    for i, track in enumerate(sequence):
        means, spreads = [], []
        for reach in range(1, window + 1):
            near = [j for j in range(len(sequence)) if 0 < abs(j - i) <= reach and sequence[j] != track]
            behind = sum(j < i for j in near)
            means.append(len(near) - behind + behind * backward)
            spreads.append(behind * backward * (1 - backward))
        mean_of_place = sum(means) / window
        mean += mean_of_place
        variance += sum(spreads) / window + sum((m - mean_of_place) ** 2 for m in means) / window
    return mean, variance


def keep_probability(plays: int, total: int, subsample: float) -> float:
    """The chance that a play is learned from, as word2vec.c writes it."""
    limit = subsample * total
    return min(1.0, (math.sqrt(plays / limit) + 1) * limit / plays)


# --- one step


class Space:
    """In and out vectors and Adagrad's sums, one per row, as lists of Python's doubles."""

    def __init__(
        self, in_vectors: Rows, out_vectors: Rows, in_states: Sequence[float], out_states: Sequence[float]
    ) -> None:
        self.in_vectors, self.out_vectors = (
            [list(row) for row in in_vectors],
            [list(row) for row in out_vectors],
        )
        self.in_states, self.out_states = list(in_states), list(out_states)

    def learn(self, track: int, context: int, negatives: Sequence[int], rate: float) -> None:
        """Moves out vectors one after the other, each by its own gradient of the log-likelihood; then the in
        vector, by the sum of what each said before it moved. A drawn track that is the context says nothing."""
        own = list(self.in_vectors[track])
        gradient = [0.0] * len(own)
        for n, other in enumerate([context, *negatives]):
            if n and other == context:
                continue
            error = (n == 0) - 1 / (
                1 + math.exp(-sum(a * b for a, b in zip(own, self.out_vectors[other], strict=True)))
            )
            gradient = [g + error * o for g, o in zip(gradient, self.out_vectors[other], strict=True)]
            self.out_states[other] += _adagrad(
                self.out_vectors[other], [error * a for a in own], self.out_states[other], rate
            )
        self.in_states[track] += _adagrad(self.in_vectors[track], gradient, self.in_states[track], rate)


def _adagrad(row: list[float], gradient: list[float], state: float, rate: float) -> float:
    """Moves the row up its gradient; what its state grows by, the mean square of the gradient."""
    grows = sum(g * g for g in gradient) / len(gradient)
    for i, g in enumerate(gradient):
        row[i] += rate * g / math.sqrt(state + grows + SMALLEST)
    return grows


# --- who is held out


class HeldOut:
    """Which sequences lose their last track, and which of them are asked for it, by falling need: lowest fold first.

    The share of folds is 1/8, or the smallest of 1/16, 1/32, … that still holds `limit` sequences of three tracks.
    """

    def __init__(
        self,
        sequences: Sequence[Sequence[int]],
        folds: Sequence[int],
        places: int,
        limit: int,
    ) -> None:
        long = [i for i, each in enumerate(sequences) if len(each) >= 3]
        shares: list[int] = []
        while not shares or shares[-1] > 1:
            shares.append(places // 2 ** (3 + len(shares)))
        enough = [share for share in shares if sum(folds[i] < share for i in long) >= limit]
        self.share = min(enough, default=shares[0])
        self.out = [i for i in long if folds[i] < self.share]
        self.queries = sorted(self.out, key=lambda i: (folds[i], i))[:limit]
        self.pairs = [(sequences[i][-2], sequences[i][-1]) for i in self.queries]
        self.left = [list(each[:-1]) if i in self.out else list(each) for i, each in enumerate(sequences)]
