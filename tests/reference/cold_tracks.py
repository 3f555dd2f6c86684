"""Vectors of cold tracks in plain loops, track by track from its definition."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from datetime import date
from typing import Any

import xxhash

from reference.rows import Row

Vector = list[float]
WORDS = 256
KAPPA = 10.0  # plays
RIDGE = 1.0
DAY = date(2026, 11, 20)  # of the training
Encoding = dict[str | int, float]


def fill_cold_vectors(
    learned_rows: Iterable[Row],
    catalogue: Iterable[Row],
    fewest: int = 2_000,
) -> dict[str, Row]:
    """By track: its vectors, `source` and `support`, and the states."""
    catalogue_by_track = {row["track_id"]: row for row in catalogue}
    rows_by_track = {row["track_id"]: row for row in learned_rows}
    trained_by_track = {track: row for track, row in rows_by_track.items() if has_vectors(row)}
    predict = fit_regression(trained_by_track, catalogue_by_track, fewest)
    result = {}
    for track in sorted({*rows_by_track, *catalogue_by_track}):
        row, meta = trained_by_track.get(track), catalogue_by_track.get(track, {})
        artist_rows = {
            t: r
            for t, r in trained_by_track.items()
            if t != track and share_value(catalogue_by_track.get(t), meta, "artist_id")
        }
        album_rows = {
            t: r for t, r in artist_rows.items() if share_value(catalogue_by_track.get(t), meta, "album")
        }
        rungs: list[tuple[str, Vector | None]] = []
        if row is not None:
            rungs.append(("learned", concatenate_vectors(row)))
        rungs.append(("artist", shrink(album_rows.values(), mean(artist_rows.values()))))
        rungs.append(("content", predict(meta)))
        result[track] = fill_row(track, row, rungs)
    return result


def has_vectors(row: Row) -> bool:
    return (
        row["in_vector"] is not None
        and row["out_vector"] is not None
        and any(sum_halves(concatenate_vectors(row)))
    )


def concatenate_vectors(row: Row) -> Vector:
    return [*row["in_vector"], *row["out_vector"]]


def sum_halves(both: Vector) -> Vector:
    half = len(both) // 2
    return [both[i] + both[half + i] for i in range(half)]


def share_value(one: Row | None, other: Row | None, column: str) -> bool:
    return bool(one and other and one[column] is not None and one[column] == other[column])


def total(rows: Iterable[Row]) -> tuple[float, Vector]:
    n, sums = 0.0, []
    for row in rows:
        n += row["support"]
        products = [row["support"] * x for x in concatenate_vectors(row)]
        sums = [a + b for a, b in zip(sums, products, strict=True)] if sums else products
    return n, sums


def mean(rows: Iterable[Row]) -> Vector | None:
    n, sums = total(rows)
    return [x / n for x in sums] if n > 0 else None


def shrink(rows: Iterable[Row], to: Vector | None) -> Vector | None:
    """(n * mean of the rows + KAPPA * to) / (n + KAPPA)."""
    n, sums = total(rows)
    if to is None:
        return None
    return [(s + KAPPA * t) / (n + KAPPA) for s, t in zip(sums or [0.0] * len(to), to, strict=True)]


def fill_row(track: str, row: Row | None, rungs: list[tuple[str, Vector | None]]) -> Row:
    for source, both in rungs:
        if both is not None and (norm := math.hypot(*sum_halves(both))) > 0:
            half = len(both) // 2
            state = row if source == "learned" and row else {"support": 0}
            return {
                "track_id": track,
                "in_vector": both[:half],
                "out_vector": both[half:],
                "vector": [x / norm for x in sum_halves(both)],
                "norm": norm,
                "support": state["support"],
                "source": source,
                "in_state": state.get("in_state"),
                "out_state": state.get("out_state"),
            }
    null_columns = dict.fromkeys(("in_vector", "out_vector", "vector", "norm", "in_state", "out_state"))
    return {"track_id": track, **null_columns, "support": 0, "source": "none"}


def encode(meta: Row) -> Encoding:
    """What the catalogue says, by name or by the number of a hashed word; empty where it says nothing."""
    encoding: Encoding = {}
    if (ms := meta.get("track_ms")) and ms > 0:
        encoding |= {"length": min(3.0, max(-3.0, math.log(ms / 200_000))), "length?": 1.0}
    if meta.get("explicit") is not None:
        encoding |= {"explicit": float(meta["explicit"]), "explicit?": 1.0}
    # Edison's phonograph, and the year after that of the training
    if (released_on := meta.get("released_on")) and 1877 <= released_on.year <= DAY.year + 1:
        encoding |= {"year": (released_on.year - 2000) / 20, "year?": 1.0}
    words = [
        f"{column} {word}"
        for column in ("title", "artist_name", "album")
        for word in re.findall(r"[^\W_]+", (meta.get(column) or "").lower())
    ]
    for word in words:
        place = xxhash.xxh64_intdigest(word.encode(), seed=42) % (2 * WORDS)
        encoding[place % WORDS] = encoding.get(place % WORDS, 0.0) + (1 if place < WORDS else -1) / math.sqrt(
            len(words)
        )
    return {"constant": 1.0, **encoding} if encoding else {}


def fit_regression(
    trained_by_track: dict[str, Row], catalogue_by_track: dict[str, Row], fewest: int
) -> Callable[[Row], Vector | None]:
    """Predictions of the ridge regression; columns that no learned track has would get weight 0, and are left out."""
    samples = [
        (
            encode(catalogue_by_track[track]),
            concatenate_vectors(row),
            row["support"] / (row["support"] + KAPPA),
        )
        for track, row in trained_by_track.items()
        if track in catalogue_by_track and encode(catalogue_by_track[track]) and row["support"] > 0
    ]
    if len(samples) < fewest:
        return lambda meta: None
    columns = sorted({column for encoding, _, _ in samples for column in encoding}, key=str)
    left = [
        [
            sum(w * encoding.get(a, 0.0) * encoding.get(b, 0.0) for encoding, _, w in samples)
            + (RIDGE if a == b and a != "constant" else 0.0)
            for b in columns
        ]
        for a in columns
    ]
    width = len(samples[0][1])
    right = [
        [sum(w * encoding.get(a, 0.0) * y[k] for encoding, y, w in samples) for k in range(width)]
        for a in columns
    ]
    weights = dict(zip(columns, solve(left, right), strict=True))

    def predict(meta: Row) -> Vector | None:
        encoding = encode(meta)
        parts = [(x, weights[column]) for column, x in encoding.items() if column in weights]
        return [sum(x * weight[k] for x, weight in parts) for k in range(width)] if encoding else None

    return predict


def solve(left: list[Vector], right: list[Vector]) -> list[Vector]:
    """By elimination, the largest pivot first."""
    rows: list[Any] = [[*a, *b] for a, b in zip(left, right, strict=True)]
    n = len(rows)
    for i in range(n):
        pivot = max(range(i, n), key=lambda r: abs(rows[r][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [x / rows[i][i] for x in rows[i]]
        for r in range(n):
            if r != i and rows[r][i]:
                factor = rows[r][i]
                rows[r] = [x - factor * y for x, y in zip(rows[r], rows[i], strict=True)]
    return [row[n:] for row in rows]
