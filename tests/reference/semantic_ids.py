"""Semantic ids in plain loops, from their definitions."""

from __future__ import annotations

from collections.abc import Sequence

Vector = Sequence[float]
Codes = tuple[int, ...]


def assign(vector: Vector, levels: Sequence[Sequence[Vector]]) -> Codes:
    """Level by level the nearest centroid, the first of equally near ones, to what is left over."""
    residual, codes = list(vector), []
    for book in levels:
        best, nearest = -1, float("inf")
        for code, centroid in enumerate(book):
            distance = sum((x - c) ** 2 for x, c in zip(residual, centroid, strict=True))
            if distance < nearest:
                best, nearest = code, distance
        codes.append(best)
        residual = [x - c for x, c in zip(residual, book[best], strict=True)]
    return tuple(codes)


def collisions(codes: Sequence[Codes], order: Sequence[str]) -> list[int]:
    """Of each row, how many rows with the same codes come before it in the order."""
    return [
        sum(1 for c, o in zip(codes, order, strict=True) if c == mine and o < place)
        for mine, place in zip(codes, order, strict=True)
    ]


def collision_share(codes: Sequence[Codes]) -> float:
    """Share of rows whose codes another row has too."""
    return sum(1 for mine in codes if sum(1 for c in codes if c == mine) > 1) / len(codes)


def prefix_stability(old: Sequence[Codes], new: Sequence[Codes], length: int) -> float:
    """Share of rows with the same first codes."""
    return sum(1 for a, b in zip(old, new, strict=True) if a[:length] == b[:length]) / len(old)
