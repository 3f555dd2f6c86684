"""Daily partial aggregates as data: what is kept of the plays of one entity and one day.

A part is a monoid: two days of it merge into one of the same type, so that any number of days do.
Parts are named after their content, and features that need the same one share it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from zlib import crc32

# kind -> (type, content); {T} stands for the type of the input
KINDS: dict[str, tuple[str, str]] = {
    "count": ("bigint", "plays where it is known"),
    "true": ("bigint", "plays where it is true"),
    "sum": ("bigint", "sum"),
    # doubles are added as decimals: their sum then depends on no order, and a rerun gives the same bits
    "exact": ("decimal(38,12)", "sum"),
    # 38 digits hold the square of any bigint
    "squares": ("decimal(38,0)", "sum of squares"),
    "exact_squares": ("decimal(38,12)", "sum of squares"),
    "min": ("{T}", "smallest"),
    "max": ("{T}", "largest"),
    "earliest": ("array<struct<at:timestamp,play_id:string,value:{T}>>", "first values, oldest first"),
    "latest": ("array<struct<at:timestamp,play_id:string,value:{T}>>", "last values, newest first"),
    # a list and no map, which Spark can neither compare nor sort: in order, the same plays give the same bytes
    "items": ("array<struct<item:string,count:bigint>>", "plays of each value, by value"),
    "hours": ("array<bigint>", "plays by hour of the day in UTC, midnight first"),
    "histogram": ("array<bigint>", "plays between the edges"),
    # as a decimal for the same reason
    "decayed": ("decimal(38,18)", "plays, each weighted by its decay to the end of ds"),
    # bit 63 of a bigint is its sign. The kind is in the name of a published column, so it keeps its name
    "heard_on": ("bigint", "bit n is set if there was a play n days before ds, n to 62"),
    "hll": ("binary", "HyperLogLog sketch of the values"),
    "kll": ("binary", "KLL sketch of the values"),
}
# The same of parts that are in no table: they are folded for labels alone, whose windows begin within a day.
KINDS_OF_LABELS: dict[str, tuple[str, str]] = {
    "decayed_ahead": ("decimal(38,18)", "plays, each weighted by its decay from the beginning of ds"),
    "extent": ("struct<first:timestamp,last:timestamp>", "instants of the first and the last play"),
}
_ALL_KINDS = KINDS | KINDS_OF_LABELS
# By kind, which rules fold and merge it, from 2 on: a mended one gets the next number, which makes its parts, and the
# features made of them, stale on every published day. None was mended yet.
RULES: dict[str, int] = {}
# Their bytes depend on the order of the rows, or on a coin.
SKETCHES = ("hll", "kll")


@dataclass(frozen=True)
class Part:
    """One partial: `kind` of the SQL expression `of`, over the plays for which `where` is true."""

    # its fields, their order and their names are hashed, by repr, into the fingerprints of days that are published
    kind: str
    of: str
    where: str = "true"
    # what else distinguishes two of a kind: a half-life, a number of values, the edges
    detail: str = ""
    input_type: str = ""

    @property
    def name(self) -> str:
        """A column name."""
        where = "" if self.where == "true" else f"where_{_slug(self.where)}"
        return "_".join(filter(None, (self.kind, _slug(self.detail), _slug(self.of), where)))

    @property
    def type(self) -> str:
        return _ALL_KINDS[self.kind][0].replace("{T}", self.input_type)

    @property
    def meaning(self) -> str:
        where = "" if self.where == "true" else f" where {self.where}"
        return f"{_ALL_KINDS[self.kind][1]}: {self.of}{where}"


@dataclass(frozen=True)
class PlayInput:
    """What a declared feature reads of each play, and the options that its parts depend on."""

    # a value, not the feature itself: operations then need no declarations, which are made of operations

    input: str
    where: str
    type: str
    per: str = ""
    k: int = 0
    edges: tuple[float, ...] = ()

    def part(self, kind: str, expression: str = "", detail: str = "") -> Part:
        return Part(kind, expression or self.input, self.where, detail, self.type)


def _slug(text: str) -> str:
    # much of an expression is no letter, and `a + b` and `a - b` leave the same words: a checksum tells them apart
    words = re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_").lower()
    return words if words == text else f"{words[:24].strip('_')}_{crc32(text.encode()):08x}"
