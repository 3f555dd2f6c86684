"""Limits and results in words that the report and an error message can show."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

# What rows do that break an expectation.
_VIOLATIONS = {
    "expect_column_values_to_not_be_null": "are null",
    "expect_column_values_to_be_finite": "are NaN or infinite",
    "expect_column_values_to_be_within": "are outside",
}
_EXPECTED = {
    "expect_column_values_to_not_be_null": "not null",
    "expect_column_values_to_be_finite": "no NaN, no infinity",
    "expect_one_value_per_day": "one value per day",
}
_NOT_EVALUATED = "could not be evaluated"
_DISTINGUISHING_ARGUMENTS = ("condition", "share", "value")


def format_number(value: Any) -> str:
    """With thousands separators, and at most four significant digits of a fraction."""
    if isinstance(value, float):
        # from 2**53 on digits are of the binary form, and can be hundreds
        whole = (value.is_integer() or abs(value) >= 1_000) and abs(value) < 2**53
        return f"{value:,.0f}" if whole else f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def count_words(count: int, noun: str) -> str:
    """1 warning, 2 warnings, 3 batches."""
    plural = "es" if noun.endswith("ch") else "s"
    return f"{count:,} {noun}{'' if count == 1 else plural}"


def format_percent(share: float) -> str:
    # what is not quite none or all never reads as if it were
    if 0 < share < 0.0001:
        return "under 0.01 %"
    if 0.9999 < share < 1:
        return "over 99.99 %"
    return f"{100 * share:.2f}".rstrip("0").rstrip(".") + " %"


def format_limits(low: Any, high: Any, words: Callable[[Any], str] = format_number) -> str:
    """Limits, both allowed; None is no limit."""
    if low is None:
        return "anything" if high is None else f"at most {words(high)}"
    if high is None:
        return f"at least {words(low)}"
    return words(low) if low == high else f"{words(low)} to {words(high)}"


def format_observed(value: Any, low: Any, high: Any, is_share: bool = False) -> str:
    """A number; one that is beyond a limit has as many digits as tell it from the limit."""
    words = format_percent if is_share else format_number
    text, limits = words(value), [limit for limit in (low, high) if limit is not None]
    if text not in map(words, limits) or not isinstance(value, int | float):
        return text
    holds = (low is None or low <= value) and (high is None or value <= high)
    # 17 digits tell any two doubles apart
    for digits in () if holds else range(5, 18):
        longer, *others = (_format_digits(each, digits, is_share) for each in (value, *limits))
        if longer not in others:
            return longer
    return text


def _format_digits(value: float, digits: int, is_share: bool) -> str:
    return f"{100 * value:.{digits}g} %" if is_share else f"{value:,.{digits}g}"


def expectation_name(kind: str, kwargs: Mapping[str, Any]) -> str:
    # a suite can hold several conditions on one column: what distinguishes them is part of the name
    return ": ".join([kind, *(str(kwargs[key]) for key in _DISTINGUISHING_ARGUMENTS if key in kwargs)])


def describe_expected(kind: str, kwargs: Mapping[str, Any]) -> str:
    """What an expectation requires, where its author did not describe it."""
    if kind in _EXPECTED:
        return _EXPECTED[kind]
    if "min_value" in kwargs or "max_value" in kwargs:
        return format_limits(kwargs.get("min_value"), kwargs.get("max_value"), _formatter(kwargs))
    arguments = (f"{key} {value}" for key, value in kwargs.items() if key not in ("batch_id", "column"))
    return ", ".join(arguments) or kind.replace("_", " ")


def describe_observed(kind: str, kwargs: Mapping[str, Any], result: Mapping[str, Any], rows: int) -> str:
    """What was observed in a batch of so many rows."""
    value = result.get("observed_value")
    if "unexpected_count" in result:
        count = result["unexpected_count"] or 0
        # the smallest and largest value, where an expectation looked for them and the column has any
        extremes = format_limits(*value) if isinstance(value, list) and value[0] is not None else None
        if extremes and not count:
            return extremes
        violations = _format_violations(count, rows, _VIOLATIONS.get(kind, "break it"))
        return f"{extremes}; {violations}" if extremes else violations
    if kind == "expect_one_value_per_day":
        return f"{format_number(value) if value else 'no'} more values than days"
    if value is None:
        return "no value"
    return format_observed(value, kwargs.get("min_value"), kwargs.get("max_value"), "share" in kwargs)


def describe_failure(column: str | None, expected: str, observed: str) -> str:
    """An expectation that did not hold, in one line."""
    where = f"{column}: " if column else ""
    return f"{where}expected {expected}; observed {observed}"


def describe_crash(exception_info: Mapping[str, Any]) -> str | None:
    """Why an expectation could not be evaluated, in one line; None if it was."""
    # Great Expectations gives one such mapping, or one for each metric by its id
    infos = [exception_info, *(info for info in exception_info.values() if isinstance(info, Mapping))]
    messages = [str(info.get("exception_message")) for info in infos if info.get("raised_exception")]
    if not messages:
        return None
    # literals are redacted, as a value that Spark complains of can be somebody's id
    return f"{_NOT_EVALUATED}: " + re.sub(r"'[^']*'", "'…'", messages[0].strip().splitlines()[0])[:240]


def is_evaluated(result: Mapping[str, Any]) -> bool:
    """Whether there was a value to hold against what a result expects."""
    return not result["observed"].startswith(_NOT_EVALUATED)


def _formatter(kwargs: Mapping[str, Any]) -> Callable[[Any], str]:
    return format_percent if "share" in kwargs else format_number


def _format_violations(count: int, rows: int, breaks: str) -> str:
    if rows == 0:
        return "no rows"
    if count == 0:
        return f"none of {format_number(rows)} rows {breaks}"
    return f"{format_number(count)} of {format_number(rows)} rows {breaks} ({format_percent(count / rows)})"
