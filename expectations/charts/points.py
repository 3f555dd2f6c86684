"""Points on a plane, coloured by group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from expectations.charts.markup import (
    OTHERS,
    SERIES,
    make,
    make_drawing,
    make_figure,
    make_legend,
    name_series,
    say_nothing,
    shorten,
)
from expectations.charts.scales import Scale, to_finite

# With its label a point is some 90 bytes, of other scripts 150: so many are 300 kB of a page at most.
MOST_POINTS, LABEL = 2_000, 30
SIDE, EDGE = 360.0, 8.0


@dataclass(frozen=True)
class Point:
    """`label` says what it is, to whoever points at it; a `group` of "" is none."""

    x: float
    y: float
    group: str
    label: str


def draw_points(title: str, points: Sequence[Point], most: int = MOST_POINTS) -> Markup:
    """A square in which distances are the same in all directions, and a legend of the most frequent groups.

    Points whose place is not finite are left out, and so are those after the first `most`.
    """
    known = [point for point in points if None not in (to_finite(point.x), to_finite(point.y))][:most]
    if not known:
        return say_nothing(title)
    sizes = Counter(point.group for point in known if point.group)
    # equally large ones by name, so that the same points give the same colours
    groups = sorted(sizes, key=lambda group: (-sizes[group], group))[:SERIES]
    classes = {group: name_series(place) for place, group in enumerate(groups)}
    drawing = make_drawing(
        (SIDE, SIDE),
        title,
        _describe(len(known), {group: sizes[group] for group in groups}),
        *_draw_groups(known, classes),
        name="points",
    )
    entries = [(name, f"{shorten(group, LABEL)} ({sizes[group]:,})") for group, name in classes.items()]
    rest = len(known) - sum(sizes[group] for group in groups)
    entries += [(OTHERS, f"{OTHERS} ({rest:,})")] if rest else []
    return make_figure(title, drawing, make_legend(entries))


def _draw_groups(points: Sequence[Point], classes: dict[str, str]) -> list[Markup]:
    """An element per group, those without a colour at the back."""
    x, y = _make_scales(points)
    dots: dict[str, list[Markup]] = {OTHERS: [], **{name: [] for name in classes.values()}}
    for point in points:
        about = make("title", {}, shorten(point.label, LABEL))
        dot = make("circle", {"cx": x.place(point.x), "cy": y.place(point.y), "r": 2.2}, about)
        dots[classes.get(point.group, OTHERS)].append(dot)
    return [make("g", {"class": name}, *own) for name, own in dots.items() if own]


def _make_scales(points: Sequence[Point]) -> tuple[Scale, Scale]:
    """With one length for a unit on both, the middle of the points in the middle."""
    ends = [(min(values), max(values)) for values in ([p.x for p in points], [p.y for p in points])]
    reach = max(high / 2 - low / 2 for low, high in ends) or 1.0
    middles = [low / 2 + high / 2 for low, high in ends]
    (left, right), (low, high) = ((middle - reach, middle + reach) for middle in middles)
    return Scale(left, right, EDGE, SIDE - EDGE), Scale(low, high, SIDE - EDGE, EDGE)


def _describe(points: int, sizes: dict[str, int]) -> str:
    largest = ", ".join(f"{shorten(group, LABEL)} {size:,}" for group, size in sizes.items())
    return f"{points:,} points; the largest groups: {largest}" if largest else f"{points:,} points"
