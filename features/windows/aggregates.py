"""What a family of operations must say of each of its kinds of parts, and of each operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from pyspark.sql import Column
from pyspark.sql import functions as F

from schemas.declarations import Feature
from schemas.parts import Part

# The merged parts in the order of the declaration, and the instant at which the window ends.
Value = Callable[[Feature, list[Column], Column], Column]


class Aggregate(NamedTuple):
    """How a kind of part is computed; `schemas/parts.py` says what each kind contains.

    `fold` is given the input, `merge` the column of the part and its age: the days from the end of the part to
    the end of what it is merged into.
    """

    fold: Callable[[Part, Column], Column]
    merge: Callable[[Part, Column, Column], Column]


def filtered_input(sql: str, where: str) -> Column:
    return F.expr(sql) if where == "true" else F.when(F.expr(where), F.expr(sql))


def to_decimal(value: Column, scale: int) -> Column:
    """Doubles are added as decimals, whose sum is the same in any order of the rows."""
    return value.cast(f"decimal(38,{scale})")


def sum_arrays(length: Callable[[Part], int]) -> Callable[[Part, Column, Column], Column]:
    """Element by element."""
    return lambda part, column, _: F.array(*[F.sum(column[n]) for n in range(length(part))])
