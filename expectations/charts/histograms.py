"""Histograms: of one day with a reference behind, and of many days as a strip."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from markupsafe import Markup

from expectations.charts.axes import (
    BOTTOM,
    RIGHT,
    SIZE,
    TOP,
    draw_days,
    draw_ends,
    draw_rectangle,
    draw_ticks,
    list_days,
    measure_left,
    measure_ticks,
    write_text,
)
from expectations.charts.markup import (
    format_unit,
    make,
    make_drawing,
    make_figure,
    make_legend,
    make_table,
    say_nothing,
)
from expectations.charts.scales import LINE, Scale, Words, to_finite
from expectations.pages import NOTHING
from expectations.wording import format_limits, format_number, format_percent

# Of a strip, from a trace to the most.
SHADES = 5


@dataclass(frozen=True)
class Bar:
    """So many rows have a value from `low` to `high`; the bars of a chart are in the order of their values."""

    low: float
    high: float
    rows: float


def list_shares(bars: Sequence[Bar]) -> list[float]:
    """Of each bar, the share of all rows; zeros where there are none."""
    rows = [max(0.0, to_finite(bar.rows) or 0.0) for bar in bars]
    most = max(rows, default=0.0)
    # of the most first, as a sum of large numbers can be infinite
    total = math.fsum(each / most for each in rows) if most else 0.0
    return [each / most / total if total else 0.0 for each in rows]


def draw_histogram(
    title: str,
    bars: Sequence[Bar],
    reference: Sequence[Bar] = (),
    names: tuple[str, str] = ("rows", "reference"),
    words: Words = format_number,
) -> Markup:
    """Shares of rows by range of values, each range drawn as wide as the next.

    Args:
        reference: bars of the same ranges, drawn as an outline over those.
        names: of the bars and of the reference.
        words: how a value is written.
    """
    shares, behind = list_shares(bars), list_shares(reference)
    if not any(shares):
        return say_nothing(title)
    known = [shares, behind] if behind else [shares]
    y = Scale.of([*shares, *behind], BOTTOM, TOP, from_zero=True)
    x = Scale(0, len(bars), measure_ticks(y, format_percent), RIGHT)
    drawing = make_drawing(
        SIZE,
        title,
        "; ".join(_describe(bars, each, name, words) for name, each in zip(names, known, strict=False)),
        *draw_ticks(y, x.start, format_percent),
        make("g", {"class": "series-1"}, *_draw_bars(x, y, bars, shares, words)),
        *([_draw_outline(x, y, behind)] if behind else []),
        *draw_ends(x.start, words(bars[0].low), words(bars[-1].high)),
    )
    legend = make_legend([("series-1", names[0]), ("outline", names[1])]) if behind else None
    rows = (
        [
            format_limits(bar.low, bar.high, words),
            _format_rows(bar.rows),
            *(format_percent(each[place]) for each in known),
        ]
        for place, bar in enumerate(bars)
    )
    table = make_table(["Values", names[0], "Share", *names[1 : len(known)]], rows)
    return make_figure(title, drawing, legend, table)


def draw_strip(title: str, histograms: Mapping[date, Sequence[Bar]], words: Words = format_number) -> Markup:
    """A column per day, its cells the darker the more of the day's rows they have; all days have the same ranges."""
    shares = {day: list_shares(histograms[day]) for day in sorted(histograms)}
    most = max((share for column in shares.values() for share in column), default=0.0)
    if not most:
        return say_nothing(title)
    bars, days = max(histograms.values(), key=len), list_days(shares)
    ends = words(bars[0].low), words(bars[-1].high)
    left = measure_left(ends)
    drawing = make_drawing(
        SIZE,
        title,
        _describe_strip(histograms, shares, words),
        *(
            write_text(left - 5, y, "end", end)
            for y, end in zip((BOTTOM, TOP + LINE * 0.75), ends, strict=True)
        ),
        *_draw_cells(days, shares, most, left, len(bars)),
        *draw_days(days, left),
    )
    entries = [
        (f"shade-{n}", f"up to {format_percent(most * (n / SHADES) ** 2)}") for n in range(1, SHADES + 1)
    ]
    rows = (
        (str(day), *_name_fullest(histograms[day], shares[day], words))
        for day in sorted(shares, reverse=True)
    )
    table = make_table(["Day", "Rows", "Most are", "Share"], rows)
    return make_figure(title, drawing, make_legend(entries), table)


def _draw_bars(
    x: Scale, y: Scale, bars: Sequence[Bar], shares: Sequence[float], words: Words
) -> Iterator[Markup]:
    gap = 1.0 if len(bars) <= 60 else 0.0
    for place, (bar, share) in enumerate(zip(bars, shares, strict=True)):
        if share:
            path = draw_rectangle(x.place(place), y.place(share), x.place(place + 1) - gap, BOTTOM)
            text = f"{format_limits(bar.low, bar.high, words)}: {_format_rows(bar.rows)}, {format_percent(share)}"
            yield make("path", {"d": path}, make("title", {}, text))


def _draw_outline(x: Scale, y: Scale, shares: Sequence[float]) -> Markup:
    steps = (
        f"V{format_unit(y.place(share))}H{format_unit(x.place(place + 1))}"
        for place, share in enumerate(shares)
    )
    start = f"M{format_unit(x.start)} {format_unit(BOTTOM)}"
    return make("path", {"class": "outline", "d": f"{start}{''.join(steps)}V{format_unit(BOTTOM)}"})


def _draw_cells(
    days: Sequence[date], shares: Mapping[date, Sequence[float]], most: float, left: float, bars: int
) -> Iterator[Markup]:
    """A path per shade."""
    x, y = Scale(0, len(days), left, RIGHT), Scale(0, bars, BOTTOM, TOP)
    cells: dict[int, list[str]] = {}
    for column, day in enumerate(days):
        for row, share in enumerate(shares.get(day, ())):
            if share:
                # by the root: what a few rows have is to be seen beside what most have
                shade = max(1, math.ceil(SHADES * math.sqrt(share / most) - 1e-9))
                corners = x.place(column), y.place(row + 1), x.place(column + 1), y.place(row)
                cells.setdefault(shade, []).append(draw_rectangle(*corners))
    for shade, paths in sorted(cells.items()):
        yield make("path", {"class": f"shade-{shade}", "d": "".join(paths)})


def _name_fullest(bars: Sequence[Bar], shares: Sequence[float], words: Words) -> tuple[str, str, str]:
    """All rows, the range that most of them are in, and their share."""
    if not any(shares):
        return "0", NOTHING, NOTHING
    place = shares.index(max(shares))
    rows = sum(to_finite(bar.rows) or 0.0 for bar in bars)
    return (
        _format_rows(rows),
        format_limits(bars[place].low, bars[place].high, words),
        format_percent(shares[place]),
    )


def _format_rows(value: float) -> str:
    # a bar may have a part of a bin that lies in several
    rows = to_finite(value)
    return NOTHING if rows is None else format_number(round(rows))


def _describe(bars: Sequence[Bar], shares: Sequence[float], name: str, words: Words) -> str:
    _, most, share = _name_fullest(bars, shares, words)
    return (
        f"{name}: values from {words(bars[0].low)} to {words(bars[-1].high)}, most of them {most} ({share})"
    )


def _describe_strip(
    histograms: Mapping[date, Sequence[Bar]], shares: Mapping[date, Sequence[float]], words: Words
) -> str:
    ends = sorted({min(shares), max(shares)})
    most = ((day, *_name_fullest(histograms[day], shares[day], words)) for day in ends)
    return "; ".join(f"{day}: most of {rows} rows are {where} ({share})" for day, rows, where, share in most)
