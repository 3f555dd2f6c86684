"""What a profile is, in loops over rows: the definition that numpy is held to."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date
from fractions import Fraction
from statistics import pstdev
from typing import Any

from expectations.column_profiles import ColumnProfile
from reference.rows import Row
from schemas import Contract

SMALLEST = 2.0**-1022


def find_bin(value: float) -> int:
    """As the value is written in base 16, `0x1.8p+3`: its power of two, and the first digit of what is left."""
    if value < 0:
        return -find_bin(-value)
    if value < SMALLEST:
        return 0
    if math.isinf(value):
        return find_bin(1.7976931348623157e308) + 1
    digits, _, power = float(value).hex().removeprefix("0x1.").partition("p")
    return (int(power) + 1022) * 16 + int(digits[0], 16) + 1


def profile(
    rows: Sequence[Row], contract: Contract, day: date | None, name: str, least: int
) -> ColumnProfile:
    """Of one column of one day."""
    of_day = [{**row, "value": row[name]} for row in rows if not contract.by_day or row["ds"] == day]
    known = [row for row in of_day if row["value"] is not None]
    kind = contract.column(name).type
    counts: dict[str, Any] = {"rows": len(of_day), "nulls": len(of_day) - len(known)}
    if kind in ("string", "boolean"):
        return _profile_texts(known, contract, least, counts)
    if kind == "timestamp":
        numbers, name_of_kind = [row["value"].astimezone(UTC).hour for row in known], "instant"
    elif kind.startswith("array"):
        numbers, name_of_kind = [len(row["value"]) for row in known], "length"
    else:
        numbers, name_of_kind = [float(row["value"]) for row in known], "number"
    counts["nans"] = sum(math.isnan(number) for number in numbers)
    if contract.personal and count_listeners(known, contract) < least:
        return ColumnProfile(name_of_kind, **counts)
    numbers = [number for number in numbers if not math.isnan(number)]
    counts["bins"] = dict(Counter(find_bin(number) for number in numbers))
    finite = [Fraction(number) for number in numbers if not math.isinf(number)]
    if finite and kind != "timestamp":
        counts["mean"], counts["spread"] = float(sum(finite) / len(finite)), float(pstdev(finite))
        counts["minimum"], counts["maximum"] = float(min(finite)), float(max(finite))
    return ColumnProfile(name_of_kind, **counts)


def _profile_texts(
    known: Sequence[Row], contract: Contract, least: int, counts: dict[str, Any]
) -> ColumnProfile:
    by_value: dict[str, list[Row]] = {}
    for row in known:
        text = {True: "true", False: "false"}.get(row["value"], row["value"])
        by_value.setdefault(text, []).append(row)
    shown = {value: len(rows) for value, rows in by_value.items() if count_listeners(rows, contract) >= least}
    ranked = sorted(shown, key=lambda value: (-shown[value], value))[:20]
    top = {value: shown[value] for value in ranked}
    return ColumnProfile("text", **counts, distinct_values=len(by_value), top_values=top)


def count_listeners(rows: Sequence[Row], contract: Contract) -> int:
    """Whose rows these are; where nothing says it, or each listener has one, the rows."""
    if not contract.personal or set(contract.key) - {"ds"} == {"user_id"}:
        return len(rows)
    return len({row["user_id"] for row in rows} - {None})
