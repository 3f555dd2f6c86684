"""Vectors of cold tracks in plain loops, track by track from its definition."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import Any

import xxhash

from reference.rows import Row

Vector = list[float]
WORDS = 256
KAPPA = 10.0  # plays
RIDGE = 1.0
Encoded = dict[str | int, float]


def fill_cold_vectors(
    learned: Iterable[Row],
    catalogue: Iterable[Row],
    fewest: int = 2_000,
) -> dict[str, Row]:
    """By track: its vectors, `source` and `support`, and the states."""
    about = {row["track_id"]: row for row in catalogue}
    rows = {row["track_id"]: row for row in learned}
    trained = {track: row for track, row in rows.items() if has_vectors(row)}
    told = regression(trained, about, fewest)
    found = {}
    for track in sorted({*rows, *about}):
        row, meta = trained.get(track), about.get(track, {})
        others = {t: r for t, r in trained.items() if t != track and same(about.get(t), meta, "artist_id")}
        album = {t: r for t, r in others.items() if same(about.get(t), meta, "album")}
        rungs: list[tuple[str, Vector | None]] = []
        if row is not None:
            rungs.append(("learned", pair(row)))
        rungs.append(("artist", shrunk(album.values(), mean(others.values()))))
        rungs.append(("content", told(meta)))
        found[track] = made(track, row, rungs)
    return found


def has_vectors(row: Row) -> bool:
    return row["in_vector"] is not None and row["out_vector"] is not None and any(summed(pair(row)))


def pair(row: Row) -> Vector:
    return [*row["in_vector"], *row["out_vector"]]


def summed(both: Vector) -> Vector:
    half = len(both) // 2
    return [both[i] + both[half + i] for i in range(half)]


def same(one: Row | None, other: Row | None, column: str) -> bool:
    return bool(one and other and one[column] is not None and one[column] == other[column])


def total(rows: Iterable[Row]) -> tuple[float, Vector]:
    n, sums = 0.0, []
    for row in rows:
        n += row["support"]
        weighted = [row["support"] * x for x in pair(row)]
        sums = [a + b for a, b in zip(sums, weighted, strict=True)] if sums else weighted
    return n, sums


def mean(rows: Iterable[Row]) -> Vector | None:
    n, sums = total(rows)
    return [x / n for x in sums] if n > 0 else None


def shrunk(rows: Iterable[Row], to: Vector | None) -> Vector | None:
    """(n * mean of the rows + KAPPA * to) / (n + KAPPA)."""
    n, sums = total(rows)
    if to is None:
        return None
    return [(s + KAPPA * t) / (n + KAPPA) for s, t in zip(sums or [0.0] * len(to), to, strict=True)]


def made(track: str, row: Row | None, rungs: list[tuple[str, Vector | None]]) -> Row:
    for source, both in rungs:
        if both is not None and (norm := math.hypot(*summed(both))) > 0:
            half = len(both) // 2
            state = row if source == "learned" and row else {"support": 0}
            return {
                "track_id": track,
                "in_vector": both[:half],
                "out_vector": both[half:],
                "vector": [x / norm for x in summed(both)],
                "norm": norm,
                "support": state["support"],
                "source": source,
                "in_state": state.get("in_state"),
                "out_state": state.get("out_state"),
            }
    nothing = dict.fromkeys(("in_vector", "out_vector", "vector", "norm", "in_state", "out_state"))
    return {"track_id": track, **nothing, "support": 0, "source": "none"}


def encoded(meta: Row) -> Encoded:
    """What the catalogue says, by name or by the number of a hashed word; empty where it says nothing."""
    said: Encoded = {}
    if (ms := meta.get("track_ms")) and ms > 0:
        said |= {"length": math.log(ms / 200_000), "length?": 1.0}
    if meta.get("explicit") is not None:
        said |= {"explicit": float(meta["explicit"]), "explicit?": 1.0}
    if meta.get("released_on"):
        said |= {"year": (meta["released_on"].year - 2000) / 20, "year?": 1.0}
    words = [
        f"{column} {word}"
        for column in ("title", "artist_name", "album")
        for word in re.findall(r"[^\W_]+", (meta.get(column) or "").lower())
    ]
    for word in words:
        place = xxhash.xxh64_intdigest(word.encode(), seed=42) % (2 * WORDS)
        said[place % WORDS] = said.get(place % WORDS, 0.0) + (1 if place < WORDS else -1) / math.sqrt(
            len(words)
        )
    return {"constant": 1.0, **said} if said else {}


def regression(trained: dict[str, Row], about: dict[str, Row], fewest: int) -> Callable[[Row], Vector | None]:
    """Predictions of the ridge regression; columns that no learned track has would get weight 0, and are left out."""
    fitted = [
        (encoded(about[track]), pair(row), row["support"] / (row["support"] + KAPPA))
        for track, row in trained.items()
        if track in about and encoded(about[track]) and row["support"] > 0
    ]
    if len(fitted) < fewest:
        return lambda meta: None
    columns = sorted({column for said, _, _ in fitted for column in said}, key=str)
    left = [
        [
            sum(w * said.get(a, 0.0) * said.get(b, 0.0) for said, _, w in fitted)
            + (RIDGE if a == b and a != "constant" else 0.0)
            for b in columns
        ]
        for a in columns
    ]
    width = len(fitted[0][1])
    right = [
        [sum(w * said.get(a, 0.0) * y[k] for said, y, w in fitted) for k in range(width)] for a in columns
    ]
    weights = dict(zip(columns, solved(left, right), strict=True))

    def predicted(meta: Row) -> Vector | None:
        said = encoded(meta)
        parts = [(x, weights[column]) for column, x in said.items() if column in weights]
        return [sum(x * weight[k] for x, weight in parts) for k in range(width)] if said else None

    return predicted


def solved(left: list[Vector], right: list[Vector]) -> list[Vector]:
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
