"""Horizontal bars, as a table of which a column is drawn: so a label of any length breaks lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from expectations.charts.markup import make, make_figure, say_nothing, shorten
from expectations.charts.scales import Scale, Words, to_finite
from expectations.pages import NOTHING
from expectations.wording import format_number

LABEL = 120


def draw_bars(
    title: str, values: Mapping[str, Any], words: Words = format_number, whole: float | None = None
) -> Markup:
    """A row per label, in the order given; values below 0 and those that are not finite have no bar.

    Args:
        words: how a value is written.
        whole: the value of a full bar; the largest where not given.
    """
    if not values:
        return say_nothing(title)
    known = [each for each in map(to_finite, values.values()) if each is not None and each > 0]
    scale = Scale(0.0, whole or max(known, default=1.0), 0.0, 100.0)
    rows = (
        _draw_row(shorten(label, LABEL), to_finite(value), scale, words) for label, value in values.items()
    )
    return make_figure(title, make("table", {"class": "bars"}, make("tbody", {}, *rows)))


def _draw_row(label: str, value: float | None, scale: Scale, words: Words) -> Markup:
    # of the other cells it only repeats the number, so that a screen reader passes over it
    about = {
        "viewBox": "0 0 100 10",
        "preserveAspectRatio": "none",
        "aria-hidden": "true",
        "class": "series-1",
    }
    width = scale.place(value) if value else 0.0
    bar = make("svg", about, make("rect", {"width": width, "height": 10}))
    return make(
        "tr",
        {},
        make("th", {"scope": "row"}, label),
        make("td", {"class": "bar"}, bar),
        make("td", {"class": "number"}, NOTHING if value is None else words(value)),
    )
