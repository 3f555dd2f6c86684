"""SQL of instants by the values that are seen of a column: numbers since 1970, ISO, and dates of other notations."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from jobs.column_values import NEARLY_ALL, PLAIN, Mapped, cast_number, has_fractions, round_number, trim

# Digits of a count since 1970, of years from 2001 on (one less from 1973 on): seconds, and their thousandths; the SQL
# of whole ones, and how many microseconds one is.
EPOCHS = {
    10: ("timestamp_seconds({})", "1e6"),
    13: ("timestamp_millis({})", "1e3"),
    16: ("timestamp_micros({})", "1"),
    19: ("timestamp_micros({} div 1000)", "1e-3"),
}
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}", re.ASCII)
_ZONE = re.compile(r" ?(Z|UTC|GMT|[+-]\d\d(:?\d\d)?)$", re.ASCII)
_MINUTE = rf"{_DATE.pattern}[T ]\d{{1,2}}:\d\d"
# What a cast of SQL reads, but for a zone right after minutes.
_ISO = re.compile(rf"{_DATE.pattern}|{_MINUTE}(:\d\d(\.\d+)?)?({_ZONE.pattern.removesuffix('$')})?", re.ASCII)
_ZONED_MINUTE = re.compile(_MINUTE + _ZONE.pattern, re.ASCII)
_ADD_SECONDS = "regexp_replace({}, '([T ][0-9]+:[0-9]+) ?([A-Z+-].*)$', '$1:00$2')"
# Digits without a mark, which are no counts.
DIGITS_OF_DAY = r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
_DIGITS_OF_MINUTE = DIGITS_OF_DAY + r"(?:[01]\d|2[0-3])[0-5]\d"
_TIME_OF_DAY = r"\d{1,2}:\d\d(?P<seconds>:\d\d)?(?P<half> ?[AaPp][Mm])?"
_CLOCK = re.compile(_TIME_OF_DAY, re.ASCII)
# 31/12/2026 or 12/31/2026; 31 Dec 2026; 2026/12/31
_BY_MARKS = re.compile(rf"(\d{{1,2}})([/.-])(\d{{1,2}})\2\d{{4}}(,?) {_TIME_OF_DAY}", re.ASCII)
_BY_MONTH = re.compile(rf"\d{{1,2}} [A-Z][a-z]{{2}} \d{{4}}(,?) {_TIME_OF_DAY}", re.ASCII)
_BY_YEAR = re.compile(rf"\d{{4}}([/.])\d{{1,2}}\1\d{{1,2}}(,?) {_TIME_OF_DAY}", re.ASCII)
_BY_DIGITS = re.compile(rf"{DIGITS_OF_DAY}(,?) {_TIME_OF_DAY}", re.ASCII)
_DAY = re.compile(
    rf"\d{{1,4}}([/.-])\d{{1,2}}\1\d{{1,4}}|\d{{1,2}} [A-Z][a-z]{{2}} \d{{4}}|{DIGITS_OF_DAY}", re.ASCII
)
NO_ZONE = "without a zone: taken as UTC"
NO_TIME = "days without a time: taken as midnight, UTC"
_DIGITS = (
    (re.compile(DIGITS_OF_DAY, re.ASCII), "yyyyMMdd", NO_TIME),
    (re.compile(_DIGITS_OF_MINUTE, re.ASCII), "yyyyMMddHHmm", NO_ZONE),
    (re.compile(_DIGITS_OF_MINUTE + r"[0-5]\d", re.ASCII), "yyyyMMddHHmmss", NO_ZONE),
)


def are_times_of_day(values: Sequence[Any]) -> bool:
    return bool(values) and all(_CLOCK.fullmatch(str(value).strip()) for value in values)


def are_days(values: Sequence[Any]) -> bool:
    return bool(values) and all(_DAY.fullmatch(str(value).strip()) for value in values)


def map_instant(column: str, values: Sequence[Any]) -> Mapped:
    if not values:
        return Mapped(column, "no value was seen in it")
    if all(isinstance(value, datetime) for value in values):
        return Mapped(column, "" if all(value.tzinfo for value in values) else NO_ZONE)
    texts = [str(value).strip() for value in values]
    # what most values are: the others will be rejects, which is what a reject is for
    numbers, dates = PLAIN.select(texts), list(filter(_ISO.fullmatch, texts))
    if found := _find_digits(texts):
        text = trim(column, values) if isinstance(values[0], str) else f"cast({column} as string)"
        return Mapped(f"try_to_timestamp({text}, '{found[0]}')", found[1])
    if 2 * len(numbers) > len(texts):
        return _map_epoch(column, numbers)
    if 2 * len(dates) > len(texts):
        return _map_iso(column, dates)
    if pattern := _find_pattern(texts):
        return Mapped(f"try_to_timestamp({trim(column, values)}, '{pattern}')", NO_ZONE)
    return Mapped(
        f"try_to_timestamp({column}, 'd/MM/yyyy H:mm')", f"write how times are written; seen: {texts[0]}"
    )


def _map_iso(column: str, dates: Sequence[str]) -> Mapped:
    if any(map(_ZONED_MINUTE.fullmatch, dates)):
        note = "seconds are put in before the zone: Spark reads no zone after minutes"
        return Mapped(_ADD_SECONDS.format(column), note).add(_note_iso(dates))
    return Mapped(column, _note_iso(dates))


def _note_iso(dates: Sequence[str]) -> str:
    if any(map(_DATE.fullmatch, dates)):
        return NO_TIME
    return "" if all(map(_ZONE.search, dates)) else NO_ZONE


def _find_digits(texts: Sequence[str]) -> tuple[str, str] | None:
    """The pattern that nearly all have, and what is to be said of it."""
    for expression, pattern, note in _DIGITS:
        if sum(map(bool, map(expression.fullmatch, texts))) >= NEARLY_ALL * len(texts):
            return pattern, note
    return None


def _map_epoch(column: str, texts: Sequence[str]) -> Mapped:
    unit = _find_unit(texts)
    note = "" if unit else f"write the unit of such numbers; seen: {texts[0]}"
    function, factor = unit or EPOCHS[10]
    if has_fractions(texts):
        return Mapped(f"timestamp_micros({round_number(cast_number(column), factor)})", note)
    return Mapped(function.format(f"try_cast({column} as bigint)"), note)


def _find_unit(texts: Sequence[str]) -> tuple[str, str] | None:
    """That of nearly all that have one; None where two are common, or most have none, as times from 5 on."""
    digits = [len(f"{abs(float(text)):.0f}") for text in texts]
    units = Counter(unit for n in digits if (unit := EPOCHS.get(n) or EPOCHS.get(n + 1)))
    if 2 * units.total() <= len(texts):
        return None
    unit, count = units.most_common(1)[0]
    return unit if count >= NEARLY_ALL * units.total() else None


def _find_pattern(texts: Sequence[str]) -> str:
    """That of nearly all; empty where there is none, or days cannot be told from months."""
    for expression, format_date in (
        (_BY_MARKS, _format_marks),
        (_BY_MONTH, _format_month),
        (_BY_YEAR, _format_year),
        (_BY_DIGITS, _format_digits),
    ):
        found = [match for text in texts if (match := expression.fullmatch(text))]
        if len(found) >= NEARLY_ALL * len(texts):
            dates = {format_date(match, found) for match in found}
            patterns = {date + time for date in dates if date for time in set(map(_format_time, found))}
            return patterns.pop() if len(patterns) == 1 else ""
    return ""


def _format_marks(match: re.Match[str], found: Sequence[re.Match[str]]) -> str:
    """Days are what is above 12 somewhere; empty where neither is."""
    first, second = (max(int(each[place]) for each in found) for place in (1, 3))
    if (first > 12) == (second > 12):
        return ""
    days = ("d", "M") if first > 12 else ("M", "d")
    return match[2].join((*days, "yyyy")) + match[4]


def _format_month(match: re.Match[str], _: Sequence[re.Match[str]]) -> str:
    return f"d MMM yyyy{match[1]}"


def _format_year(match: re.Match[str], _: Sequence[re.Match[str]]) -> str:
    return match[1].join(("yyyy", "M", "d")) + match[2]


def _format_digits(match: re.Match[str], _: Sequence[re.Match[str]]) -> str:
    return f"yyyyMMdd{match[1]}"


def _format_time(match: re.Match[str]) -> str:
    half = match["half"] or ""
    return f" h:mm[:ss]{' ' * half.startswith(' ')}a" if half else " H:mm[:ss]"
