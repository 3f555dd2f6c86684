"""The frame of a chart: its size, its ticks on the left, and the labels below."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta

from markupsafe import Markup

from expectations.charts.markup import format_unit, make
from expectations.charts.scales import CHARACTER, LINE, LONGEST, Scale, Words, label_ticks

# As wide as a phone, so that texts are of the same size there as on a screen with several charts side by side.
SIZE = (360.0, 190.0)
TOP, BOTTOM, RIGHT = 8.0, 168.0, 352.0
# Of the plot, room for the labels of ticks included.
LEFT = 30.0


def list_days(known: Iterable[date], ends: tuple[date, date] | None = None) -> list[date]:
    """Every day from the first to the last."""
    known = list(known)
    if not known and ends is None:
        return []
    first, last = ends or (min(known), max(known))
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def measure_left(labels: Iterable[str]) -> float:
    """Where a plot begins, so that there is room for the labels of its ticks."""
    longest = max(map(len, labels), default=0)
    return max(LEFT, min(longest, LONGEST) * CHARACTER + 8)


def measure_ticks(y: Scale, words: Words) -> float:
    return measure_left(label_ticks(y.choose_ticks(), words))


def draw_ticks(y: Scale, left: float, words: Words) -> Iterator[Markup]:
    """A line and a label for each round value."""
    ticks = y.choose_ticks()
    for tick, label in zip(ticks, label_ticks(ticks, words), strict=True):
        place = y.place(tick)
        yield make(
            "path",
            {"class": "grid", "d": f"M{format_unit(left)} {format_unit(place)}H{format_unit(RIGHT)}"},
        )
        yield write_text(left - 5, place + LINE / 3, "end", label)


def draw_ends(left: float, first: str, last: str) -> Iterator[Markup]:
    """Labels below the two ends of a plot; one in the middle where they are the same."""
    y = BOTTOM + LINE + 5
    if first == last:
        yield write_text((left + RIGHT) / 2, y, "middle", first)
    else:
        yield write_text(left, y, "start", first)
        yield write_text(RIGHT, y, "end", last)


def draw_days(days: Sequence[date], left: float) -> Iterator[Markup]:
    return draw_ends(left, str(days[0]), str(days[-1]))


def write_text(x: float, y: float, anchor: str, text: str) -> Markup:
    """`anchor` is the part of the text that is at x: start, middle or end."""
    return make("text", {"x": x, "y": y, "class": anchor}, text)


def draw_rectangle(left: float, top: float, right: float, bottom: float) -> str:
    """As a command of a path, of which one holds many: an element for each would be five times as long."""
    x, y, right_x, bottom_y = map(format_unit, (left, top, right, bottom))
    return f"M{x} {y}H{right_x}V{bottom_y}H{x}z"
