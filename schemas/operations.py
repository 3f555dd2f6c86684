"""The operations that a feature can be declared with: type, unit, windows and parts of each.

What each means, for the plays of one entity in the window [t - w, t) that the filter lets through,
nulls of the input left out, and in sums NaN ("lifetime" is all plays before t):

| operation | value | of no plays |
|---|---|---|
| count | how many | 0 |
| sum | their sum; integers exactly, doubles (to 10^26) to 12 decimals | 0 |
| mean | sum / count | null |
| min, max | the smallest, the largest | null |
| variance | population variance; of doubles (to 10^13) to within 2 * 10^-12 * (1 + their mean square) | null |
| rate | share for which the input is true | null |
| ratio | sum of `input` / sum of `per`, of plays where both are known; null where that is 0 | null |
| first, last | value of the first, the last play, by (played_at, play_id) | null |
| last_k | values of the last `k` plays, newest first, by (played_at, play_id) | [] |
| top_k | the `k` values with the most plays, as text, most first, equals in order of their UTF-8 bytes | [] |
| distinct | how many different values, exactly; windows to 90d | 0 |
| approx_distinct | how many different values, HyperLogLog (2^12 registers, 1.6 % standard error) | 0 |
| percentiles | at each of `at` (0..1), KLL (k = 200, rank error 1.65 %) | null |
| histogram | plays below the first of `edges`, from each edge to the next (left edge in), from the last on | zeros |
| hours | 24 shares of plays, by hour of the day in UTC, midnight first | 24 zeros |
| entropy | Shannon entropy of the values' shares of plays, in bits, to 12 decimals | 0 |
| trend | log2((count in [t - w, t) + 1) / (count in [t - 2w, t - w) + 1)) | 0 |
| decayed | sum over *all* plays before t of 2^-((t - input) / w): w is the half-life, input an instant | 0 |
| streak | days in a row with a play, the day that ends at t the last of them; w and 62 days at most | 0 |
| days_since_first | (t - first play before t) in days; window "lifetime" | null |
| days_since_last | (t - last play before t) in days; window "lifetime" | null |

As an outcome, each is the same of the plays in [t, t + h), but for these, which are reversed in time:

| operation | value |
|---|---|
| trend | log2((count in [t, t + h) + 1) / (count in [t + h, t + 2h) + 1)), so known at t + 2h |
| decayed | sum over the plays in [t, t + h) of 2^-((input - t) / h): h is the half-life, and the end |
| streak | days of 24 hours in a row with a play, the day that begins at t the first of them; 62 days at most |
| days_since_first | (last play in [t, t + h) - t) in days: the other end of the plays |
| days_since_last | (first play in [t, t + h) - t) in days: until the next |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from schemas.parts import Part, PlayInput

LIFETIME = "lifetime"
NUMBERS = ("int", "bigint", "double")
# Their values are of whole days, or of values, which partials do not keep.
NOT_AT_LABEL_TIME = ("distinct", "streak")

Parts = Callable[[PlayInput, str], list[Part]]


class DeclarationError(ValueError):
    """A feature that cannot be computed as declared."""

    # of the command: what is wrong is in a user's file
    exit_code = 2


def window_days(window: str) -> int:
    """The length of a window such as '7d', in days."""
    if not (window.endswith("d") and window[:-1].isdecimal() and int(window[:-1]) > 0):
        raise DeclarationError(f"window {window!r} is none; write days as '7d', or 'lifetime'")
    return int(window[:-1])


@dataclass(frozen=True)
class Operation:
    """What an operation needs and gives."""

    # of an input and a window
    parts: Parts
    # may hold {T}, the input's, and {S}, that of its sum
    type: str = "bigint"
    unit: str = ""
    # the value of no plays, None being null
    empty_value: Any = None
    # none for any
    input_types: tuple[str, ...] = ()
    # days of its longest window, 0 where it has none but "lifetime"
    longest: int = 3650
    allows_lifetime: bool = True
    # of a declaration, which must have them
    options: tuple[str, ...] = ()
    # its parts hold what single listeners did, so its table must be one that a listener can be erased from
    personal: bool = False
    # the windows that the parts of a window are merged over: a trend needs the window before its own as well
    total_windows: Callable[[str], tuple[str, ...]] = lambda window: (window,)
    # what a value of all time does while nothing is played: stays, grows by a day each day, or is halved each half-life
    idle: str = "same"
    # whether a day without a play ends it, however long its window
    ends_with_a_day: bool = False
    # which rules make the value of the merged parts: a mended one gets the next number, and its columns are stale
    rules: int = 1


def _of_kinds(*kinds: str) -> Parts:
    return lambda source, _: [source.part(kind) for kind in kinds]


def _sum(source: PlayInput, expression: str = "") -> Part:
    return source.part("exact" if source.type == "double" else "sum", expression)


def _mean(source: PlayInput, _: str) -> list[Part]:
    return [_sum(source), source.part("count")]


def _variance(source: PlayInput, window: str) -> list[Part]:
    squares = "exact_squares" if source.type == "double" else "squares"
    return [source.part(squares), *_mean(source, window)]


def _ratio(source: PlayInput, _: str) -> list[Part]:
    # a play of which one side alone is known counts on neither, or the two sums would be of different plays
    above = f"if({source.per} is null, null, {source.input})"
    below = f"if({source.input} is null, null, {source.per})"
    return [_sum(source, above), _sum(source, below)]


def _nearest_plays(kind: str) -> Parts:
    return lambda source, _: [source.part(kind, detail=str(source.k or 1))]


OPERATIONS: dict[str, Operation] = {
    "count": Operation(_of_kinds("count"), empty_value=0),
    "sum": Operation(lambda source, _: [_sum(source)], "{S}", empty_value=0, input_types=NUMBERS),
    "mean": Operation(_mean, "double", input_types=NUMBERS),
    "min": Operation(_of_kinds("min"), "{T}", input_types=NUMBERS),
    "max": Operation(_of_kinds("max"), "{T}", input_types=NUMBERS),
    # by rules 1, of a double without values it was 0
    "variance": Operation(_variance, "double", input_types=NUMBERS, rules=2),
    "rate": Operation(_of_kinds("true", "count"), "double", "0..1", input_types=("boolean",)),
    "ratio": Operation(_ratio, "double", input_types=NUMBERS, options=("per",)),
    # these hold ids of plays, to order those of one instant, and values of single plays
    "first": Operation(_nearest_plays("earliest"), "{T}", personal=True),
    "last": Operation(_nearest_plays("latest"), "{T}", personal=True),
    "last_k": Operation(
        _nearest_plays("latest"), "array<{T}>", empty_value=(), options=("k",), personal=True
    ),
    # its part keeps every value, not k: the fifth of two days can be the first of both
    "top_k": Operation(_of_kinds("items"), "array<string>", empty_value=(), options=("k",)),
    # No part: it would be a set, as large as the plays. Counted from the plays of the window, which is short for that.
    "distinct": Operation(lambda _, __: [], empty_value=0, longest=90, allows_lifetime=False),
    "approx_distinct": Operation(_of_kinds("hll"), empty_value=0),
    "percentiles": Operation(_of_kinds("kll"), "array<double>", input_types=NUMBERS, options=("at",)),
    # as many zeros as the edges of a declaration make: see Feature.empty_value
    "histogram": Operation(
        lambda source, _: [source.part("histogram", detail=" ".join(repr(float(e)) for e in source.edges))],
        "array<bigint>",
        empty_value=(0,),
        input_types=NUMBERS,
        options=("edges",),
    ),
    "hours": Operation(_of_kinds("hours"), "array<double>", "0..1", (0.0,) * 24, input_types=("timestamp",)),
    "entropy": Operation(_of_kinds("items"), "double", "bits", 0.0),
    # twice the longest window is still 3650 days
    "trend": Operation(
        _of_kinds("count"),
        "double",
        "doublings",
        0.0,
        longest=1825,
        allows_lifetime=False,
        total_windows=lambda window: (window, f"{2 * window_days(window)}d"),
    ),
    # all plays count, however little; the window is the half-life
    "decayed": Operation(
        lambda source, window: [source.part("decayed", detail=window)],
        "double",
        empty_value=0.0,
        input_types=("timestamp",),
        allows_lifetime=False,
        total_windows=lambda _: (LIFETIME,),
        idle="halved",
    ),
    # of a bigint's 63 bits besides its sign one stays free, as a streak is computed from the bits + 1
    "streak": Operation(
        _of_kinds("heard_on"), "int", "days", 0, longest=62, allows_lifetime=False, ends_with_a_day=True
    ),
    "days_since_first": Operation(
        _of_kinds("min"), "double", "days", input_types=("timestamp",), longest=0, idle="days"
    ),
    "days_since_last": Operation(
        _of_kinds("max"), "double", "days", input_types=("timestamp",), longest=0, idle="days"
    ),
}
# What an operation needs for windows that begin at a label, where that differs. A decayed sum gets an end, or it would
# never be known. A day's weights from its end on cannot be turned into those from its beginning, and a bit for a day
# does not say when in the day: the parts of both are folded from events, and are in no table.
AHEAD: dict[str, Operation] = {
    "decayed": replace(
        OPERATIONS["decayed"],
        parts=lambda source, window: [source.part("decayed_ahead", detail=window)],
        total_windows=lambda window: (window,),
    ),
    "streak": replace(OPERATIONS["streak"], parts=_of_kinds("extent")),
    "days_since_first": replace(OPERATIONS["days_since_first"], parts=_of_kinds("max"), longest=3650),
    "days_since_last": replace(OPERATIONS["days_since_last"], parts=_of_kinds("min"), longest=3650),
}
