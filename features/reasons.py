"""Why a row is no event: a text for each thing that is wrong with it, made of fields as they were parsed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import reduce
from operator import or_

from pyspark.sql import Column
from pyspark.sql import functions as F

from schemas import Column as ColumnContract
from schemas import Contract
from schemas.plays import EARLIEST_PLAY

BROKEN_LINE = "the line is broken"
HEADER_AGAIN = "the line is the header again"
MOST_ID_CHARACTERS = 1024
# As spreadsheets and pandas write numbers: digits are lost, and 7 and 7.0 would be two listeners. By a point or a
# sign: of a million ids of 32 hexadecimal digits, one has an e among its digits and no other letter.
_FLOAT = r"^([+-]?[0-9]+(\.0+|\.[0-9]*[eE][+-]?[0-9]+|[eE][+-][0-9]+)|NaN)$"


def raw(name: str) -> Column:
    """The text of a field, null where it is blank."""
    return F.col(f"_raw_{name}")


def list_reasons(reasons: Iterable[Column]) -> Column:
    """`reasons` of each row, from a text for each thing that is wrong with it, else null.

    Null of a row that is left out: it is neither an event nor a reject.
    """
    header = F.when(F.col("is_header"), F.array(F.lit(HEADER_AGAIN)))
    # fields of a line that cannot be parsed may be shifted: their reasons would mislead
    no_line = header.when(F.col("broken"), F.array(F.lit(BROKEN_LINE)))
    nothing = no_line.when(F.col("left_out"), F.lit(None))
    reasons = list(reasons)
    # of nearly all rows there is none: lists are made of the others alone, as Spark does that without compiled code
    nothing = nothing.when(F.coalesce(*reasons).isNull(), F.array().cast("array<string>"))
    return nothing.otherwise(F.array_compact(F.array(*reasons))).alias("reasons")


def find_missing(names: Iterable[str]) -> Iterator[Column]:
    # a value that cannot be computed has its own reason
    return (F.when(raw(name).isNull() & ~F.col(f"_failed_{name}"), f"{name} is missing") for name in names)


def find_failures(names: Iterable[str]) -> Iterator[Column]:
    return (F.when(F.col(f"_failed_{name}"), f"{name} cannot be computed") for name in names)


def find_wrong_ids(names: Iterable[str]) -> Iterator[Column]:
    """Of ids that would be one id for many, or many for one."""
    for name in names:
        id_ = raw(name)
        # regular expressions are for the few ids that may match: a search for one letter is many times quicker
        may_be_float = reduce(or_, map(id_.contains, ".+-")) | (id_ == "NaN")
        yield F.when(may_be_float & id_.rlike(_FLOAT), f"{name} is a number with a point or an exponent")
        undecoded = id_.contains("\0") | id_.contains("\ufffd")
        yield F.when(undecoded, f"{name} has characters that could not be decoded")
        yield F.when(F.length(id_) > MOST_ID_CHARACTERS, f"{name} has over {MOST_ID_CHARACTERS} characters")


def find_wrong_types(contract: Contract, names: Iterable[str]) -> Iterator[Column]:
    # a field that is not required may be blank, but not something else than it says
    return (
        F.when(raw(name).isNotNull() & F.col(name).isNull(), f"{name} is no {contract.column(name).type}")
        for name in names
    )


def find_broken_checks(columns: Iterable[ColumnContract]) -> Iterator[Column]:
    checks = (c for c in columns if c.check)
    return (F.when(~F.expr(f"`{c.name}` {c.check}"), f"{c.name} is not {c.check}") for c in checks)


def find_impossible_times(name: str, now: datetime) -> list[Column]:
    # clocks of devices run fast
    grace = F.expr("interval 1 day")
    return [
        F.when(F.col(name) < F.lit(EARLIEST_PLAY).cast("timestamp"), f"{name} before 1999"),
        F.when(F.col(name) > F.lit(now) + grace, in_future(name)),
    ]


def in_future(name: str) -> str:
    return f"{name} in the future"
