"""Elements whose texts are escaped, and the figure around a drawing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from xml.etree import ElementTree as ET

from markupsafe import Markup

# What XML has no place for, escaped or not.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# As many have a colour of their own in charts.css.
SERIES = 7
OTHERS = "others"
MISSING = "\N{EN DASH}"

Attributes = Mapping[str, object]
Rows = Iterable[Sequence[str]]


def make(tag: str, attributes: Attributes, *children: ET.Element | str) -> ET.Element:
    """An element; numbers of attributes are written to a tenth, which is a tenth of a pixel on a phone."""
    element = ET.Element(tag, {name: _to_text(value) for name, value in attributes.items()})
    for child in children:
        if isinstance(child, str):
            assert not len(element), "a text comes before the elements"
            element.text = _clean(child)
        else:
            element.append(child)
    return element


def write(element: ET.Element) -> Markup:
    """For a page of HTML; it is well-formed XML, too."""
    # to HTML an element without content is not closed by its own slash
    return Markup(ET.tostring(element, encoding="unicode", short_empty_elements=False))


def make_drawing(
    size: tuple[float, float], title: str, description: str, *shapes: ET.Element, name: str = "plot"
) -> ET.Element:
    """An image of that width and height, with its title and what it shows in words; `name` is its class."""
    box = " ".join(map(format_unit, (0, 0, *size)))
    about = {"class": name, "viewBox": box, "role": "img"}
    return make("svg", about, make("title", {}, title), make("desc", {}, description), *shapes)


def make_figure(
    title: str, drawing: ET.Element, legend: ET.Element | None = None, table: ET.Element | None = None
) -> Markup:
    """A drawing under its title, with a legend, and its values to unfold."""
    values = [] if table is None else [make("details", {}, make("summary", {}, "Values"), table)]
    rest = [drawing, *([] if legend is None else [legend]), *values]
    return write(make("figure", {"class": "chart"}, make("figcaption", {}, title), *rest))


def say_nothing(title: str, why: str = "No values.") -> Markup:
    """In the place of a drawing that would be empty."""
    return make_figure(title, make("p", {"class": "soft"}, why))


def make_legend(entries: Iterable[tuple[str, str]]) -> ET.Element:
    """Of classes, each with the words for it. As text beside the drawing: there it breaks lines, and is read."""
    items = (
        make("li", {}, make("span", {"class": f"swatch {name}"}), make("span", {}, words))
        for name, words in entries
    )
    return make("ul", {"class": "legend"}, *items)


def make_table(head: Sequence[str], rows: Rows) -> ET.Element:
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
    return format_unit(value) if isinstance(value, int | float) else _clean(str(value))


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
