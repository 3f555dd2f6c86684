"""Curves over numbers, with intervals: what is known by how many days, and what came of what was predicted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from expectations.charts.axes import BOTTOM, RIGHT, SIZE, TOP, draw_ticks, measure_ticks, write_text
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
from expectations.charts.scales import LINE, Scale, Words, label_ticks, to_finite
from expectations.pages import NOTHING
from expectations.wording import format_number

# The first and the last point keep off the ends, so that their dots are whole.
MARGIN = 4.0
# Characters of the name of a curve.
NAME = 60


@dataclass(frozen=True)
class Spot:
    """A point of a curve, with its interval where it has one; what is not finite is not drawn."""

    x: float
    y: float | None
    low: float | None = None
    high: float | None = None

    @property
    def is_finite(self) -> bool:
        return to_finite(self.x) is not None and to_finite(self.y) is not None

    @property
    def interval(self) -> tuple[float, float] | None:
        low, high = to_finite(self.low), to_finite(self.high)
        return None if low is None or high is None else (low, high)


Curves = Mapping[str, Sequence[Spot]]


def draw_curves(
    title: str, curves: Curves, axis: str, words: Words = format_number, diagonal: bool = False
) -> Markup:
    """A figure of curves by name, their points in the order of x, with all values in a table.

    Args:
        axis: what x is, in a word or two.
        words: how a y is written.
        diagonal: a line on which y equals x, for predictions.
    """
    known = {
        shorten(name, NAME): sorted((spot for spot in spots if spot.is_finite), key=lambda spot: spot.x)
        for name, spots in curves.items()
    }
    spots = [spot for each in known.values() for spot in each]
    if not spots:
        return say_nothing(title)
    x, y = _make_scales(spots, words, diagonal)
    drawing = make_drawing(
        SIZE,
        title,
        "; ".join(_describe(name, each, axis, words) for name, each in known.items()),
        *draw_ticks(y, x.start - MARGIN, words),
        *_draw_axis(x, axis, all(float(spot.x).is_integer() for spot in spots)),
        *([_draw_diagonal(x, y)] if diagonal else []),
        *(_draw_curve(x, y, place, *each, axis, words) for place, each in enumerate(known.items())),
    )
    legend = [(name_series(place), name) for place, name in enumerate(known)] if len(known) > 1 else []
    rows = [_list_cells(name, spot, words) for name, each in known.items() for spot in each]
    table = make_table(["Curve", axis, "Value", "Interval"], rows)
    return make_figure(title, drawing, make_legend(legend) if legend else None, table)


def _make_scales(spots: Sequence[Spot], words: Words, diagonal: bool) -> tuple[Scale, Scale]:
    places, values = [spot.x for spot in spots], [spot.y or 0.0 for spot in spots]
    values += [end for spot in spots for end in spot.interval or ()]
    y = Scale.of([*values, *(places if diagonal else [])], BOTTOM, TOP, from_zero=True)
    x = Scale.of(places, measure_ticks(y, words) + MARGIN, RIGHT - MARGIN, from_zero=True)
    return x, y


def _draw_axis(x: Scale, axis: str, is_whole: bool) -> Iterator[Markup]:
    """Labels of round values, and in the place of the last what they are."""
    # there is no half of a day that was observed
    ticks = [tick for tick in x.choose_ticks() if tick.is_integer() or not is_whole]
    for tick, label in zip(ticks[:-1] or ticks, label_ticks(ticks, format_number), strict=False):
        yield write_text(x.place(tick), BOTTOM + LINE + 5, "middle", label)
    yield write_text(RIGHT, BOTTOM + LINE + 5, "end", axis)


def _draw_diagonal(x: Scale, y: Scale) -> Markup:
    low, high = max(x.low, y.low), min(x.high, y.high)
    ends = (f"{format_unit(x.place(end))} {format_unit(y.place(end))}" for end in (low, high))
    return make("path", {"class": "mark", "d": f"M{'L'.join(ends)}"})


def _draw_curve(
    x: Scale, y: Scale, place: int, name: str, spots: Sequence[Spot], axis: str, words: Words
) -> Markup:
    path = "L".join(f"{format_unit(x.place(spot.x))} {format_unit(y.place(spot.y or 0.0))}" for spot in spots)
    line = [make("path", {"class": "line", "d": f"M{path}"})] if path else []
    return make("g", {"class": name_series(place)}, *line, *_draw_spots(x, y, name, spots, axis, words))


def _draw_spots(
    x: Scale, y: Scale, name: str, spots: Sequence[Spot], axis: str, words: Words
) -> Iterator[Markup]:
    for spot in spots:
        about = make("title", {}, f"{name}, {axis} {format_number(spot.x)}: {_describe_spot(spot, words)}")
        if spot.interval:
            low, high = (format_unit(y.place(end)) for end in spot.interval)
            yield make("path", {"class": "line", "d": f"M{format_unit(x.place(spot.x))} {low}V{high}"})
        yield make("circle", {"cx": x.place(spot.x), "cy": y.place(spot.y or 0.0), "r": 2.2}, about)


def _describe_spot(spot: Spot, words: Words) -> str:
    interval = f", {_format_interval(spot, words)}" if spot.interval else ""
    return f"{words(spot.y)}{interval}"


def _format_interval(spot: Spot, words: Words) -> str:
    return " to ".join(words(end) for end in spot.interval) if spot.interval else NOTHING


def _describe(name: str, spots: Sequence[Spot], axis: str, words: Words) -> str:
    """Each point in words, up to a screenful."""
    texts = [f"{_describe_spot(spot, words)} at {axis} {format_number(spot.x)}" for spot in spots[:12]]
    return f"{name}: {'; '.join(texts) or 'no values'}"


def _list_cells(name: str, spot: Spot, words: Words) -> list[str]:
    return [name, format_number(spot.x), words(spot.y), _format_interval(spot, words)]
