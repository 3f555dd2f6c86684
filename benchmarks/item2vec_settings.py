"""The settings that item2vec chooses by itself, beside the best of a grid of 24 and co-occurrence.

    python benchmarks/item2vec_settings.py FILE             # a line a session of track ids; .gz or plain
    python benchmarks/item2vec_settings.py ROOT             # a Segue root: its table `sessions`, read without Spark
    python benchmarks/item2vec_settings.py FILE --folds 4   # other plays held out each time: for small histories

Held out are the gate's pairs, the last tracks of sessions; the score is HR@10 from in to out vectors. The search
never sees them. A ratio comes with its 95 % bounds, on the same pairs.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from os import cpu_count
from pathlib import Path

import numpy as np
from item2vec import read_text
from numpy.typing import NDArray

from features.embeddings import sgns
from features.embeddings.arrays import Flags, Ints
from features.embeddings.baselines import rank_by_cooccurrence
from features.embeddings.comparison import paired_ratio
from features.embeddings.corpus import Corpus, Model
from features.embeddings.held_out import hold_out_last
from features.embeddings.ranking import Pairs, rank_targets
from features.embeddings.sequences import FOLDS
from features.embeddings.settings import Settings
from features.embeddings.trials import SearchPlan
from features.embeddings.tuning import choose_settings, describe

REACHES = tuple(itertools.product((2, 5, 10), (0.3, 1.0)))
# Of each rate the epochs that are scored.
RATES = ((0.1, (5,)), (0.05, (10,)), (0.03, (5, 20)))
Hits = Flags
Key = tuple[int, float, float, int]


@dataclass
class Results:
    """Hits of each of the grid, of the choice and of co-occurrence, by fold."""

    grid: dict[Key, list[Hits]] = field(default_factory=dict)
    ours: list[Hits] = field(default_factory=list)
    cooccurrence: list[Hits] = field(default_factory=list)


def main() -> int:
    args = _parse_arguments()
    print(
        f"{cpu_count()} cores, {args.threads} threads each; numpy {version('numpy')}, numba {version('numba')}"
    )
    tokens, offsets, counts = read(Path(args.source))
    print(f"{args.source}: {len(offsets) - 1:,} sessions, {len(tokens):,} plays, {len(counts):,} tracks")
    results = Results()
    for number in range(args.folds):
        folds = np.random.default_rng(number).integers(0, FOLDS, len(offsets) - 1)
        left, starts, pairs = hold_out_last(tokens, offsets, folds, FOLDS)
        pairs = Pairs(pairs.query[: args.pairs], pairs.target[: args.pairs])
        measure(Corpus(left, starts, counts), pairs, args, number, results)
    summarise(results)
    return 0


def measure(corpus: Corpus, pairs: Pairs, args: argparse.Namespace, number: int, results: Results) -> None:
    places = rank_by_cooccurrence(corpus.tokens, corpus.offsets, len(corpus.counts), pairs)
    results.cooccurrence.append(mark_hits(places))
    base = Settings(seed=number + 1, threads=args.threads)
    results.ours.append(_measure_choice(corpus, pairs, base))
    for (window, backward), (rate, epochs) in itertools.product(REACHES, RATES):
        settings = base.replace(window=window, backward=backward, learning_rate=rate)
        for epoch, hits in train(corpus, pairs, settings, epochs).items():
            results.grid.setdefault((window, backward, rate, epoch), []).append(hits)


def _measure_choice(corpus: Corpus, pairs: Pairs, base: Settings) -> Hits:
    choice = choose_settings(corpus, base, SearchPlan(), say=lambda text: print(f"    {text}", flush=True))
    start = time.monotonic()
    (hits,) = train(corpus, pairs, choice.settings, (choice.settings.epochs,)).values()
    print(f"  {describe(choice)}")
    print(
        f"  the training, measured too: {time.monotonic() - start:.0f} s; HR@10 {hits.mean():.4f}",
        flush=True,
    )
    return hits


def train(corpus: Corpus, pairs: Pairs, settings: Settings, epochs: tuple[int, ...]) -> dict[int, Hits]:
    """Hits after each of these epochs of one training."""
    model, hits_by_epoch = Model.initialise(len(corpus.counts), settings.dimensions, settings.seed), {}
    for number in range(max(epochs)):
        sgns.train_epoch(corpus, model, settings, number)
        if number + 1 in epochs:
            hits_by_epoch[number + 1] = mark_hits(rank_targets(model.in_vectors, model.out_vectors, pairs))
    return hits_by_epoch


def mark_hits(places: Ints) -> Hits:
    return np.asarray((places > 0) & (places <= 10))


def summarise(results: Results) -> None:
    ours = np.concatenate(results.ours)
    pooled = {key: np.concatenate(hits) for key, hits in results.grid.items()}
    order = sorted(pooled, key=lambda key: -pooled[key].mean())
    cooccurrence = np.concatenate(results.cooccurrence)
    print(
        f"  {len(ours):,} pairs; co-occurrence in sessions {cooccurrence.mean():.4f}, ours {ours.mean():.4f}"
    )
    print(f"  {'window':>8}{'backward':>10}{'rate':>7}{'epochs':>8}{'HR@10':>9}   ours over it")
    for key in [*order[:5], order[-1]]:
        ratio, low, high = paired_ratio(ours, pooled[key])
        window, backward, rate, epochs = key
        line = f"  {window:>8}{backward:>10}{rate:>7}{epochs:>8}{pooled[key].mean():>9.4f}"
        print(f"{line}   {ratio:.3f} ({low:.3f} to {high:.3f})")


def read(source: Path) -> tuple[NDArray[np.int32], Ints, Ints]:
    """Tokens and offsets of sessions of two tracks or more, repeats in a row dropped; and plays by track."""
    sessions, names = _read_root(str(source)) if (source / "tables").is_dir() else _read_file(source)
    is_repeat = (sessions[1:] == sessions[:-1]) & (names[1:] == names[:-1])
    mask = np.append(True, ~is_repeat)
    sessions, names = sessions[mask], names[mask]
    _, inverse, counts = np.unique(names, return_inverse=True, return_counts=True)
    number = np.empty(len(counts), np.int32)
    number[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    _, lengths = np.unique(sessions, return_counts=True)
    long = np.repeat(lengths >= 2, lengths)
    offsets = np.append(0, np.cumsum(lengths[lengths >= 2]))
    return number[inverse][long], offsets, np.sort(counts)[::-1].astype(np.int64)


def _read_file(path: Path) -> tuple[Ints, NDArray[np.str_]]:
    lines = [line.split() for line in read_text(path).splitlines() if line.strip()]
    lengths = [len(line) for line in lines]
    return np.repeat(np.arange(len(lines)), lengths), np.array([track for line in lines for track in line])


def _read_root(root: str) -> tuple[Ints, NDArray[np.str_]]:
    """Sessions as a training sees them: no bots, a listener's one after the other."""
    from deltalake import DeltaTable

    from segue.storage import Snapshot

    keys = ["session_id", "user_id", "session_started_at"]
    path = f"{root}/tables/sessions"
    snapshot = Snapshot.at(path, DeltaTable(path).version())
    rows = snapshot.read(snapshot.select(None), [*keys, "position", "track_id", "is_bot"]).to_pandas()
    rows = rows[~rows["is_bot"]].sort_values([*keys, "position"], kind="stable")
    number = rows.groupby(keys, sort=True).ngroup().to_numpy()
    return number.astype(np.int64), rows["track_id"].to_numpy().astype(str)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", help="a file of sessions, or a Segue root")
    parser.add_argument("--pairs", type=int, default=10_000, help="at most so many a fold (%(default)s)")
    parser.add_argument(
        "--folds", type=int, default=1, help="times that other plays are held out (%(default)s)"
    )
    parser.add_argument(
        "--threads", type=int, default=1, help="of each training; 1 repeats a result (%(default)s)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
