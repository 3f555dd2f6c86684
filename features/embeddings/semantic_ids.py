"""Semantic ids: a vector as a few codes, coarse to fine, by k-means of what the levels before left over.

Residual quantisation gives a generative recommender words for tracks (TIGER: Rajput et al., "Recommender
Systems with Generative Retrieval", 2023). Plain k-means per level stands in for its learned auto-encoder:
OneRec and QARM report it to be the more stable, and it takes seconds. Vectors have length 1 and are compared
by Euclidean distance, which then orders them as the cosine does.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.embeddings.corpus import Matrix

Codes = NDArray[np.int32]
Doubles = NDArray[np.float64]

# Of 60,416 tracks of real sessions, 3 levels of 256 codes leave 11 % (vectors of sgns) to 22 % (of gensim) in
# collisions, 4 levels 3 to 9 %; every code is used.
LEVELS = 4
# Rows that a level's centroids are learned from, for each of them; more move no centroid by much.
SAMPLED = 256
# Rows assigned at once: their distances to 256 codes take 32 MB.
BLOCK = 16_384


class SemanticIdError(ValueError):
    """Vectors or books that no ids can be made of."""


@dataclass(frozen=True, eq=False)
class Codebooks:
    """One (codes, d) float32 matrix of centroids per level, coarse to fine.

    They stay as they are while a space is only trained further, or else each day would rename all tracks.
    """

    codebook_id: str
    levels: tuple[Matrix, ...]

    @classmethod
    def of(cls, levels: Sequence[Matrix]) -> Codebooks:
        """Named by shape and content: equal books have one name, whoever fitted them."""
        exact = tuple(np.ascontiguousarray(level, np.float32) for level in levels)
        content = blake2b(b"".join(level.tobytes() for level in exact), digest_size=6).hexdigest()
        return cls(f"{'x'.join(str(len(level)) for level in exact)}-{content}", exact)

    @property
    def dimensions(self) -> int:
        return int(self.levels[0].shape[1])


def fit(
    vectors: Matrix, levels: int = LEVELS, codes: int = 256, seed: int = 1, iterations: int = 20
) -> Codebooks:
    """Books of `levels` times `codes` centroids, of (n, d) vectors; the same with the same seed.

    Each level learns from SAMPLED * codes rows at most, drawn once. Where fewer rows differ than there
    should be codes, each that differs gets one, and one warning says so.

    Raises:
        SemanticIdError: no vectors, vectors that are not finite, or settings below 1.
    """
    _check(vectors, levels, codes, iterations)
    draws = np.random.default_rng(seed)
    size = min(len(vectors), SAMPLED * codes)
    sampled = np.sort(draws.choice(len(vectors), size, replace=False))
    residual, books = vectors[sampled].astype(np.float64), []
    for _ in range(levels):
        book = _centroids(residual.astype(np.float32), codes, int(draws.integers(1, 2**31)), iterations)
        residual = residual - book[_nearest_centroids(residual, book)]
        books.append(book)
    _warn_of_few_codes(books, codes)
    return Codebooks.of(books)


def assign(vectors: Matrix, books: Codebooks) -> Codes:
    """(n, levels): at each level the code nearest to what the levels before left over, the lowest of equal ones.

    Raises:
        SemanticIdError: vectors of another length than the books'.
    """
    _check_width(vectors, books)
    return np.concatenate([codes for codes, _ in _quantise(vectors, books)])


def collisions(codes: Codes, order: NDArray[Any]) -> Codes:
    """(n,): 0 for the first of all rows with equal codes, by their `order` (ids of tracks, unique), then 1, 2, …"""
    if not len(codes):
        return np.zeros(0, np.int32)
    groups, sizes = _groups(codes)
    by_group = np.lexsort((order, groups))
    places = np.empty(len(codes), np.int32)
    places[by_group] = np.arange(len(codes)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return places


def figures(codes: Codes, books: Codebooks, vectors: Matrix | None = None) -> dict[str, float]:
    """How good ids are, by name; none without tracks.

    collisions: share of tracks that share all codes with another; largest_group: tracks of the code tuple
    with most; used_<level>: share of a level's codes that some track has; error: mean squared distance of a
    vector to the sum of its centroids, over the variance of the vectors (only where they are given).
    """
    if not len(codes):
        return {}
    _, sizes = _groups(codes)
    found = {"collisions": float(sizes[sizes > 1].sum() / len(codes)), "largest_group": float(sizes.max())}
    for level, book in enumerate(books.levels):
        found[f"used_{level}"] = len(np.unique(codes[:, level])) / len(book)
    if vectors is not None:
        found["error"] = _error(vectors, books)
    return found


def prefix_stability(old: Codes, new: Codes) -> tuple[float, ...]:
    """Share of tracks (same rows, same books) that keep their first code, their first two, … all of them.

    Raises:
        SemanticIdError: rows or levels that do not match, or no rows.
    """
    if old.shape != new.shape or not len(old):
        raise SemanticIdError(
            f"codes of {old.shape} and {new.shape} cannot be compared; expected the same tracks, one or more, "
            "by one codebook: keep the tracks both days have"
        )
    kept = np.logical_and.accumulate(old == new, axis=1)
    return tuple(map(float, kept.mean(axis=0)))


def load_codebooks(rows: Iterable[Mapping[str, Any]]) -> Codebooks:
    """The books that rows of `semantic_codebooks` hold: of one codebook and day, in any order.

    Raises:
        SemanticIdError: rows of several codebooks, or not those that the codebook's name was made of.
    """
    found = sorted(rows, key=lambda row: (row["level"], row["code"]))
    names = sorted({row["codebook_id"] for row in found})
    if len(names) != 1:
        raise SemanticIdError(f"rows of the codebooks {names}; expected those of one: filter by codebook_id")
    levels = groupby(found, key=lambda row: row["level"])
    books = Codebooks.of([np.array([row["centroid"] for row in level], np.float32) for _, level in levels])
    if books.codebook_id != names[0]:
        raise SemanticIdError(
            f"codebook {names[0]}: {len(found)} rows make up {books.codebook_id}; expected each level and code of it "
            "once, unchanged: read all rows of one day"
        )
    return books


def _check(vectors: Matrix, levels: int, codes: int, iterations: int) -> None:
    if vectors.ndim != 2 or not vectors.size:
        raise SemanticIdError(
            f"no vectors to fit codebooks to (shape {vectors.shape}): train embeddings first"
        )
    if not np.isfinite(vectors).all():
        raise SemanticIdError("vectors must be finite to fit codebooks to: leave out the tracks without one")
    asked = {"levels": levels, "codes": codes, "iterations": iterations}
    if low := {name: value for name, value in asked.items() if value < 1}:
        raise SemanticIdError(f"codebooks cannot have {low}; expected 1 or more")


def _centroids(residual: Matrix, codes: int, seed: int, iterations: int) -> Matrix:
    """As k-means finds them, or, where no more rows differ than there are codes, those rows, in order."""
    import faiss

    distinct = np.unique(residual + np.float32(0), axis=0)  # -0 becomes 0
    if len(distinct) <= codes:
        return np.asarray(distinct)
    means = faiss.Kmeans(
        residual.shape[1], codes, niter=iterations, seed=seed, max_points_per_centroid=len(residual)
    )
    means.cp.min_points_per_centroid = 1  # with fewer than 39 it would warn on stderr, and do the same
    means.train(residual)
    return np.asarray(means.centroids)


def _warn_of_few_codes(books: Sequence[Matrix], codes: int) -> None:
    found = [len(book) for book in books]
    if min(found) < codes:
        warnings.warn(
            f"too few different vectors for {codes} codes a level: the levels have {found}", stacklevel=3
        )


def _quantise(vectors: Matrix, books: Codebooks) -> Iterator[tuple[Codes, Doubles]]:
    """Codes and what is left over, block by block."""
    for start in range(0, max(1, len(vectors)), BLOCK):
        residual = vectors[start : start + BLOCK].astype(np.float64)
        codes = np.empty((len(residual), len(books.levels)), np.int32)
        for level, book in enumerate(books.levels):
            codes[:, level] = _nearest_centroids(residual, book)
            residual -= book[codes[:, level]]
        yield codes, residual


def _nearest_centroids(residual: Doubles, book: Matrix) -> NDArray[np.int64]:
    """In doubles: in floats the same vector can get another code in a block of another length."""
    centroids = book.astype(np.float64)
    distances = (centroids * centroids).sum(axis=1) - 2 * (residual @ centroids.T)
    return np.asarray(distances.argmin(axis=1))


def _groups(codes: Codes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Per row the number of its code tuple, and the rows of each tuple."""
    _, groups, sizes = np.unique(codes, axis=0, return_inverse=True, return_counts=True)
    return groups.reshape(-1), sizes


def _error(vectors: Matrix, books: Codebooks) -> float:
    _check_width(vectors, books)
    left = sum(float((residual * residual).sum()) for _, residual in _quantise(vectors, books))
    spread = float(vectors.astype(np.float64).var(axis=0).sum()) * len(vectors)
    return left / spread if spread else 0.0


def _check_width(vectors: Matrix, books: Codebooks) -> None:
    if vectors.ndim != 2 or vectors.shape[1] != books.dimensions:
        raise SemanticIdError(
            f"codebook {books.codebook_id} is of {books.dimensions} dimensions, the vectors have shape "
            f"{vectors.shape}: use the books of their own space, or fit new ones"
        )
