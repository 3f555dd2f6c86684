"""Elements whose texts are escaped, and the figure around a drawing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from markupsafe import Markup, escape

from expectations.pages import show_unseen

# What XML has no place for, escaped or not.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# As many have a colour of their own in charts.css.
SERIES = 7
OTHERS = "others"
# Characters of a title.
TITLE = 120

Attributes = Mapping[str, object]
Rows = Iterable[Sequence[str]]


def make(tag: str, attributes: Attributes, *children: str) -> Markup:
    """An element; texts that are no markup are escaped, and numbers of attributes are written to a tenth, which is a
    tenth of a pixel on a phone."""
    names = "".join(f' {name}="{_to_text(value)}"' for name, value in attributes.items())
    # closed by a tag of its own: to HTML the slash of `<path/>` is nothing
    return Markup(f"<{tag}{names}>{''.join(map(_escape, children))}</{tag}>")


def make_drawing(
    size: tuple[float, float], title: str, description: str, *shapes: Markup, name: str = "plot"
) -> Markup:
    """An image of that width and height, with its title and what it shows in words; `name` is its class."""
    box = " ".join(map(format_unit, (0, 0, *size)))
    about = {"class": name, "viewBox": box, "role": "img"}
    return make(
        "svg", about, make("title", {}, shorten(title, TITLE)), make("desc", {}, description), *shapes
    )


def make_figure(
    title: str, drawing: Markup, legend: Markup | None = None, table: Markup | None = None
) -> Markup:
    """A drawing under its title, with a legend, and its values to unfold."""
    values = [] if table is None else [make("details", {}, make("summary", {}, "Values"), table)]
    rest = [drawing, *([] if legend is None else [legend]), *values]
    return make("figure", {"class": "chart"}, make("figcaption", {}, shorten(title, TITLE)), *rest)


def say_nothing(title: str, why: str = "No values.") -> Markup:
    """In the place of a drawing that would be empty."""
    return make_figure(title, make("p", {"class": "soft"}, why))


def make_legend(entries: Iterable[tuple[str, str]]) -> Markup:
    """Of classes, each with the words for it. As text beside the drawing: there it breaks lines, and is read."""
    items = (
        make("li", {}, make("span", {"class": f"swatch {name}"}), make("span", {}, words))
        for name, words in entries
    )
    return make("ul", {"class": "legend"}, *items)


def make_table(head: Sequence[str], rows: Rows) -> Markup:
    """Values in words; the first column names the row."""
    names = make("tr", {}, *(make("th", {"scope": "col"}, name) for name in head))
    lines = (
        make("tr", {}, make("th", {"scope": "row"}, row[0]), *(make("td", {}, each) for each in row[1:]))
        for row in rows
    )
    return make("table", {"class": "values"}, make("thead", {}, names), make("tbody", {}, *lines))


def name_series(place: int) -> str:
    """The class of the series at a place: the first ones have a colour each."""
    return f"series-{place + 1}" if place < SERIES else OTHERS


def shorten(text: str, most: int) -> str:
    """At most so many characters, as a title of a track can have thousands."""
    return text if len(text) <= most else text[: most - 1] + "…"


def format_unit(value: float) -> str:
    """A coordinate or a length."""
    return f"{round(value, 1) + 0.0:.1f}".removesuffix(".0")  # no -0


def _to_text(value: object) -> str:
    return format_unit(value) if isinstance(value, int | float) else _escape(str(value))


def _escape(text: str) -> str:
    # what is markup is itself already
    if isinstance(text, Markup):
        return text
    return str(escape(_FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", show_unseen(text))))
