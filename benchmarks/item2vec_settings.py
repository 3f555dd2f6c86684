"""Our item2vec settings against gensim's defaults, on the same sessions, in one run.

    python benchmarks/item2vec_settings.py FILE      # a line a session of track ids; .gz or plain

Leave-last-out: of 10,000 sessions the last track is held out, and the question is whether it is among
the ten nearest to the track before it (hit rate at 10). The standard error is about 0.0035.
"""

from __future__ import annotations

import gzip
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
from gensim.models import Word2Vec

from features.item2vec import Settings, trained

PAIRS = 10_000
Vectors = tuple[list[str], np.ndarray, np.ndarray]


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    sessions = read(Path(sys.argv[1]))
    train, pairs = split(sessions)
    plays, cores = sum(map(len, sessions)), os.cpu_count() or 1
    print(
        f"{len(sessions):,} sessions, {plays:,} plays after repeats; {cores} cores; gensim {version('gensim')}"
    )
    for name, fit in (("gensim's defaults, 20 epochs", defaults), ("ours", ours)):
        started = time.monotonic()
        tracks, into, out = fit(train, cores)
        seconds = time.monotonic() - started
        similar, following = hit_rate(tracks, into, into, pairs), hit_rate(tracks, into, out, pairs)
        print(f"{name:<30} {seconds:6.1f} s   HR@10 in-in {similar:.4f}   in-out {following:.4f}")
    return 0


def read(path: Path) -> list[list[str]]:
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    return [collapsed(line.split()) for line in text.splitlines()]


def collapsed(tracks: list[str]) -> list[str]:
    return [track for track, before in zip(tracks, [None, *tracks], strict=False) if track != before]


def split(sessions: list[list[str]]) -> tuple[list[list[str]], list[tuple[str, str]]]:
    long = [i for i, session in enumerate(sessions) if len(session) > 2]
    held = set(np.random.default_rng(0).choice(long, min(PAIRS, len(long)), replace=False).tolist())
    train = [session[:-1] if i in held else session for i, session in enumerate(sessions)]
    return train, [(sessions[i][-2], sessions[i][-1]) for i in sorted(held)]


def defaults(train: list[list[str]], cores: int) -> Vectors:
    model = Word2Vec(train, vector_size=64, sg=1, min_count=1, epochs=20, seed=1, workers=cores)
    return model.wv.index_to_key, model.wv.vectors, model.syn1neg


def ours(train: list[list[str]], cores: int) -> Vectors:
    table = trained(train, Settings(threads=cores))
    return table["track_id"].to_pylist(), stacked(table["in_vector"]), stacked(table["out_vector"])


def stacked(column: pa.ChunkedArray) -> np.ndarray:
    flat = column.combine_chunks().flatten().to_numpy()
    return np.asarray(flat.reshape(len(column), -1))


def hit_rate(tracks: list[str], into: np.ndarray, out: np.ndarray, pairs: list[tuple[str, str]]) -> float:
    """Pairs with a track that was never trained on count as missed."""
    at = {track: i for i, track in enumerate(tracks)}
    known = np.array([(at[a], at[b]) for a, b in pairs if a in at and b in at])
    into, out = unit(into), unit(out)
    hits = 0
    for chunk in np.array_split(known, max(1, len(known) // 500)):
        scores = into[chunk[:, 0]] @ out.T
        scores[np.arange(len(chunk)), chunk[:, 0]] = -np.inf
        nearest = np.argpartition(-scores, 10, axis=1)[:, :10]
        hits += int((nearest == chunk[:, 1:]).any(axis=1).sum())
    return hits / len(pairs)


def unit(matrix: np.ndarray) -> np.ndarray:
    return np.asarray(matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-12))


if __name__ == "__main__":
    sys.exit(main())
