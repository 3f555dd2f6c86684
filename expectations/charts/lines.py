"""Lines over days: gaps where a day has no value, and a band for what is expected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from markupsafe import Markup

from expectations.charts.axes import (
    BOTTOM,
    RIGHT,
    SIZE,
    TOP,
    draw_days,
    draw_rectangle,
    draw_ticks,
    list_days,
    measure_ticks,
)
from expectations.charts.markup import (
    format_unit,
    make,
    make_drawing,
    make_figure,
    make_legend,
    make_table,
    name_series,
    say_nothing,
    shorten,
)
from expectations.charts.scales import Scale, Words, to_finite
from expectations.pages import NOTHING
from expectations.wording import format_limits, format_number

# The first and the last day keep off the ends, so that their dots are whole.
MARGIN = 3.0
SMALL = (96.0, 24.0)
# Characters of the name of a series.
NAME = 60

# Of a series, values by day; null, NaN and infinity are gaps.
Values = Mapping[date, Any]
Finite = Mapping[date, float]
# Both allowed; None is no limit.
Limits = tuple[float | None, float | None]


@dataclass(frozen=True)
class _Frame:
    """Days from left to right, and values upwards."""

    days: Sequence[date]
    left: float
    right: float
    y: Scale

    def x(self, day: date) -> float:
        first, last = self.days[0].toordinal(), self.days[-1].toordinal()
        return Scale(first, last, self.left + MARGIN, self.right - MARGIN).place(day.toordinal())

    def draw_line(self, values: Finite) -> Markup:
        """From day to day; it begins again after a day without a value."""
        commands = (
            f"{'L' if day - timedelta(days=1) in values else 'M'}"
            f"{format_unit(self.x(day))} {format_unit(self.y.place(value))}"
            for day, value in values.items()
        )
        return make("path", {"class": "line", "d": "".join(commands)})

    def draw_dot(self, day: date, value: float, text: str = "") -> Markup:
        about = [make("title", {}, text)] if text else []
        radius = 2.0 if len(self.days) <= 31 else 1.2
        return make("circle", {"cx": self.x(day), "cy": self.y.place(value), "r": radius}, *about)

    def draw_mark(self, day: date, note: str) -> Markup:
        path = f"M{format_unit(self.x(day))} {format_unit(TOP)}V{format_unit(BOTTOM)}"
        return make("path", {"class": "mark", "d": path}, make("title", {}, f"{day}: {note}"))

    def draw_band(self, limits: Mapping[date, Limits]) -> Markup:
        """A rectangle per day with limits, as wide as half the way to either neighbour."""
        half = max(MARGIN, (self.right - self.left) / max(1, len(self.days) - 1) / 2)
        rectangles = []
        for day in (day for day in self.days if day in limits):
            low, high = map(to_finite, limits[day])
            top = TOP if high is None else self.y.place(high)
            bottom = BOTTOM if low is None else self.y.place(low)
            left, right = max(self.left, self.x(day) - half), min(self.right, self.x(day) + half)
            rectangles.append(draw_rectangle(left, top, right, bottom))
        return make("path", {"class": "band", "d": "".join(rectangles)})


def draw_lines(
    title: str,
    series: Mapping[str, Values],
    expected: Mapping[date, Limits] | None = None,
    marks: Mapping[date, str] | None = None,
    words: Words = format_number,
    from_zero: bool = True,
    days: tuple[date, date] | None = None,
) -> Markup:
    """A figure of one or more series of up to 90 days, with all values in a table.

    Args:
        series: values by day, by name.
        expected: the limits of each day, drawn as a band behind.
        marks: what happened on a day, drawn as a line from top to bottom.
        words: how a value is written.
        from_zero: otherwise the axis begins at the smallest value, for what moves little.
        days: the first and the last, where these are not the first and the last day of a value.
    """
    # two names can begin alike
    known = [(shorten(name, NAME), _select_finite(values)) for name, values in series.items()]
    if not any(values for _, values in known):
        return say_nothing(title)
    limits, notes = dict(expected or {}), dict(marks or {})
    all_days = list_days((day for _, values in known for day in values), days)
    frame = _make_frame(all_days, known, limits, words, from_zero)
    drawing = make_drawing(
        SIZE,
        title,
        "; ".join(_describe(name, values, all_days, words) for name, values in known),
        *([frame.draw_band(limits)] if limits else []),
        *draw_ticks(frame.y, frame.left, words),
        *draw_days(all_days, frame.left),
        *(frame.draw_mark(day, note) for day, note in notes.items() if day in all_days),
        *(_draw_series(frame, place, *each, words) for place, each in enumerate(known)),
    )
    table = make_table(
        [
            "Day",
            *(name for name, _ in known),
            *(["Expected"] if limits else []),
            *(["Note"] if notes else []),
        ],
        [[*_list_cells(day, known, limits, notes, words)] for day in reversed(all_days)],
    )
    return make_figure(title, drawing, _make_legend([name for name, _ in known], limits), table)


def draw_sparkline(title: str, values: Values, words: Words = format_number) -> Markup:
    """A line as small as a word, without axes; its description has the first, the last and the extreme values."""
    known = _select_finite(values)
    days = list_days(known, (min(values), max(values)) if values else None)
    y = Scale.of(known.values(), SMALL[1] - MARGIN, MARGIN)
    frame = _Frame(days, 0.0, SMALL[0], y)
    shapes = [frame.draw_line(known), *(frame.draw_dot(day, known[day]) for day in [*known][-1:])]
    description = _describe("", known, days, words)
    return make_drawing(SMALL, title, description, *(shapes if known else []), name="sparkline")


def _select_finite(values: Values) -> dict[date, float]:
    pairs = ((day, to_finite(values[day])) for day in sorted(values))
    return {day: value for day, value in pairs if value is not None}


def _make_frame(
    days: Sequence[date],
    series: Sequence[tuple[str, Finite]],
    limits: Mapping[date, Limits],
    words: Words,
    from_zero: bool,
) -> _Frame:
    values = [value for _, each in series for value in each.values()]
    edges = (to_finite(edge) for pair in limits.values() for edge in pair)
    y = Scale.of([*values, *(edge for edge in edges if edge is not None)], BOTTOM, TOP, from_zero)
    return _Frame(days, measure_ticks(y, words), RIGHT, y)


def _draw_series(frame: _Frame, place: int, name: str, values: Finite, words: Words) -> Markup:
    dots = (
        frame.draw_dot(day, value, f"{name}, {day}: {words(value)}".removeprefix(", "))
        for day, value in values.items()
    )
    return make("g", {"class": name_series(place)}, frame.draw_line(values), *dots)


def _make_legend(series: Sequence[str], limits: Mapping[date, Limits]) -> Markup | None:
    entries = [(name_series(place), name) for place, name in enumerate(series)] if len(series) > 1 else []
    entries += [("band", "expected")] if limits else []
    return make_legend(entries) if entries else None


def _describe(name: str, values: Finite, days: Sequence[date], words: Words) -> str:
    """First, last, lowest and highest value of a series, and how many days have none."""
    if not values:
        return f"{name}: no values".removeprefix(": ")
    first, last = min(values), max(values)
    lowest, highest = min(values, key=values.__getitem__), max(values, key=values.__getitem__)
    gaps = len(days) - len(values)
    parts = (
        f"{words(values[first])} on {first}, {words(values[last])} on {last}",
        f"lowest {words(values[lowest])} on {lowest}, highest {words(values[highest])} on {highest}",
        f"no value on {gaps} of {len(days)} days" if gaps else "",
    )
    return f"{name}: {', '.join(filter(None, parts))}".removeprefix(": ")


def _list_cells(
    day: date,
    series: Sequence[tuple[str, Finite]],
    limits: Mapping[date, Limits],
    notes: Mapping[date, str],
    words: Words,
) -> Iterator[str]:
    yield str(day)
    yield from (words(values[day]) if day in values else NOTHING for _, values in series)
    if limits:
        yield format_limits(*limits[day], words) if day in limits else NOTHING
    if notes:
        yield notes.get(day, NOTHING)
