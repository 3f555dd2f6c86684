"""Values are where they should be, gaps are gaps, all is said in words, and no text or number breaks the markup."""

from __future__ import annotations

import math
import re
from datetime import date, timedelta
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expectations.charts.bars import draw_bars
from expectations.charts.curves import Spot, draw_curves
from expectations.charts.histograms import SHADES, Bar, draw_histogram, draw_strip, list_shares
from expectations.charts.lines import draw_lines, draw_sparkline
from expectations.charts.points import Point, draw_points
from expectations.charts.scales import Scale, label_ticks
from expectations.pages import NOTHING
from expectations.wording import format_number, format_percent

DAY = date(2026, 11, 1)
TOP, BOTTOM = 8.0, 168.0
EVIL = "</td></svg><script>alert('x')</script>\"&<b>\x00\ud800 {{ 1 }}"


def by_day(*values):
    return {DAY + timedelta(days=n): value for n, value in enumerate(values)}


def parse(markup):
    """Raises where it is no well-formed XML."""
    return ET.fromstring(str(markup))


def list_dots(figure, series=1):
    """Place and text of each dot of a series."""
    (group,) = figure.findall(f".//g[@class='series-{series}']")
    return [
        (float(dot.get("cx")), float(dot.get("cy")), dot.findtext("title")) for dot in group.findall("circle")
    ]


def find_path(figure, name):
    (path,) = figure.findall(f".//path[@class='{name}']")
    return path.get("d")


def read_rows(figure, name="values"):
    (table,) = figure.findall(f".//table[@class='{name}']")
    return [["".join(cell.itertext()) for cell in row] for row in table.iter("tr")]


# --- lines


def test_line_has_its_maximum_at_the_top_and_zero_at_the_bottom():
    figure = parse(draw_lines("Rows", {"rows": by_day(0, 50, 200, 100)}))
    assert [y for _, y, _ in list_dots(figure)] == [BOTTOM, 128.0, TOP, 88.0]


def test_line_that_moves_little_begins_at_its_minimum():
    figure = parse(draw_lines("Ratio", {"x": by_day(1.01, 1.03, 1.02)}, from_zero=False))
    assert [y for _, y, _ in list_dots(figure)] == [BOTTOM, TOP, 88.0]


def test_days_are_as_far_apart_as_they_are():
    values = {DAY: 1, DAY + timedelta(days=1): 1, DAY + timedelta(days=4): 1}
    xs = [x for x, _, _ in list_dots(parse(draw_lines("Rows", {"rows": values})))]
    assert xs[2] - xs[0] == pytest.approx(4 * (xs[1] - xs[0]), abs=0.3)


@pytest.mark.parametrize("gap", [None, math.nan, math.inf, -math.inf, 10**400])
def test_line_is_broken_where_a_day_has_no_finite_value(gap):
    figure = parse(draw_lines("Rows", {"rows": by_day(1, 2, gap, 4, 5)}))
    assert re.sub(r"[^ML]", "", find_path(figure, "line")) == "MLML"
    assert len(list_dots(figure)) == 4
    assert ["2026-11-03", "\N{EN DASH}"] in read_rows(figure)
    assert "no value on 1 of 5 days" in figure.findtext(".//desc")


def test_line_is_broken_where_a_day_is_missing():
    values = {day: 1 for day in by_day(*range(7)) if day.day != 4}
    figure = parse(draw_lines("Rows", {"rows": values}))
    assert re.sub(r"[^ML]", "", find_path(figure, "line")) == "MLLMLL"


def test_days_before_the_first_value_are_shown_where_they_are_wanted():
    figure = parse(draw_lines("Rows", {"rows": by_day(1, 2)}, days=(date(2026, 10, 1), date(2026, 11, 2))))
    assert [text.text for text in figure.iter("text")][-2:] == ["2026-10-01", "2026-11-02"]
    assert len(read_rows(figure)) == 1 + 33


def test_line_says_its_values_in_words_and_in_a_table_the_newest_first():
    figure = parse(draw_lines("Nulls", {"nulls": by_day(0.5, 0.25, 1)}, words=format_percent))
    assert figure.findtext("figcaption") == figure.findtext(".//svg/title") == "Nulls"
    assert figure.find(".//svg").get("role") == "img"
    assert figure.findtext(".//desc") == (
        "nulls: 50 % on 2026-11-01, 100 % on 2026-11-03, lowest 25 % on 2026-11-02, highest 100 % on 2026-11-03"
    )
    assert read_rows(figure) == [["Day", "nulls"], *([f"2026-11-0{n}", text] for n, text in TABLE)]


TABLE = [(3, "100 %"), (2, "25 %"), (1, "50 %")]


def test_band_covers_what_is_expected_and_goes_to_the_end_where_there_is_no_limit():
    limits = {DAY: (50, 100), DAY + timedelta(days=1): (50, None), DAY + timedelta(days=2): (None, 100)}
    figure = parse(draw_lines("Rows", {"rows": by_day(0, 200, 10)}, expected=limits))
    ys = [
        (float(top), float(bottom))
        for top, bottom in re.findall(r"M\S+ (\S+?)H\S+?V(\S+?)H", find_path(figure, "band"))
    ]
    assert ys == [(88.0, 128.0), (TOP, 128.0), (88.0, BOTTOM)]
    assert [row[-1] for row in read_rows(figure)] == ["Expected", "at most 100", "at least 50", "50 to 100"]
    assert [each.text for each in figure.findall(".//li/span") if each.text] == ["expected"]


def test_mark_is_on_its_day_with_its_words():
    figure = parse(draw_lines("Rows", {"rows": by_day(1, 2, 3)}, marks={DAY + timedelta(days=1): "refused"}))
    x = list_dots(figure)[1][0]
    assert find_path(figure, "mark").startswith(f"M{x:g} ")
    assert ["2026-11-02", "2", "refused"] in read_rows(figure)


def test_several_lines_have_a_legend_and_none_has_a_line_without_values():
    figure = parse(draw_lines("Hits", {"this": by_day(1, 2), "that": by_day(3, 4), "none": {}}))
    assert [y for _, y, _ in list_dots(figure, 2)] == [48.0, TOP]
    assert [each.text for each in figure.findall(".//li/span") if each.text] == ["this", "that", "none"]
    assert "none: no values" in figure.findtext(".//desc")


def test_a_single_day_has_one_label_and_no_values_have_words():
    assert [t.text for t in parse(draw_lines("Rows", {"rows": by_day(5)})).iter("text")].count(str(DAY)) == 1
    for nothing in (draw_lines("Rows", {"rows": {}}), draw_lines("Rows", {}), draw_histogram("Rows", [])):
        assert "No values." in "".join(parse(nothing).itertext())


def test_sparkline_goes_from_its_lowest_to_its_highest_value():
    drawing = parse(draw_sparkline("rows", by_day(30, 10, None, 20)))
    assert drawing.tag == "svg" and drawing.get("role") == "img" and drawing.findtext("title") == "rows"
    ys = [float(y) for y in re.findall(r"[ML]\S+ ([\d.]+)", find_path(drawing, "line"))]
    assert ys == [3.0, 21.0, 12.0]
    assert "lowest 10 on 2026-11-02" in drawing.findtext("desc")
    assert "no values" in parse(draw_sparkline("rows", {})).findtext("desc")


# --- axes


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_ticks_lie_within_the_range_and_are_few(a, b):
    scale = Scale.of([a, b], BOTTOM, TOP)
    ticks = scale.choose_ticks()
    slack = 1e-9 * max(abs(scale.low), abs(scale.high))
    assert 1 <= len(ticks) <= 5
    assert all(scale.low - slack <= tick <= scale.high + slack for tick in ticks)
    assert all(len(label) <= 13 for label in label_ticks(ticks, format_number))
    assert scale.place(scale.high) == TOP and scale.place(scale.low) == BOTTOM


def test_ticks_are_round():
    assert Scale(0, 1_234_567, 0, 1).choose_ticks() == [0, 500_000, 1_000_000]
    assert Scale(0.93, 1.04, 0, 1).choose_ticks() == pytest.approx([0.95, 1.0])


def test_labels_of_ticks_differ_and_leave_room():
    assert label_ticks([1000.1, 1000.2], format_number) == ["1,000.1", "1,000.2"]
    assert label_ticks([0.0, 5e12], format_number) == ["0", "5e+12"]


def test_labels_do_not_overlap():
    figure = parse(draw_lines("Rows", {"rows": by_day(0, 7.0, 123_456.0)}))
    ys = sorted(float(text.get("y")) for text in figure.iter("text") if text.get("class") == "end")
    assert all(b - a >= 12 for a, b in pairwise(ys))
    xs = [float(text.get("x")) for text in figure.iter("text") if text.text in ("0", "100,000")]
    assert min(xs) > 6 * len("100,000"), "a label begins left of the drawing"


# --- histograms


def make_bars(*rows):
    return [Bar(n, n + 1, each) for n, each in enumerate(rows)]


def list_rectangles(figure):
    (group,) = figure.findall(".//g[@class='series-1']")
    paths = (path.get("d") for path in group.findall("path"))
    return [tuple(map(float, re.findall(r"-?[\d.]+", path)[:4])) for path in paths]


def test_bars_stand_for_their_shares():
    figure = parse(draw_histogram("Plays", make_bars(10, 40, 0, 50)))
    heights = [(bottom - top) / (BOTTOM - TOP) for _, top, _, bottom in list_rectangles(figure)]
    assert heights == pytest.approx([0.2, 0.8, 1.0], abs=0.001)
    assert read_rows(figure)[2:4] == [["1 to 2", "40", "40 %"], ["2 to 3", "0", "0 %"]]
    assert figure.findtext(".//desc") == "rows: values from 0 to 4, most of them 3 to 4 (50 %)"


def test_reference_has_the_same_scale_whatever_its_rows():
    figure = parse(draw_histogram("Plays", make_bars(1, 1), make_bars(3_000, 1_000)))
    path = find_path(figure, "outline")
    assert [float(y) for y in re.findall(r"V([\d.]+)", path)] == pytest.approx([TOP, 114.7, BOTTOM], abs=0.05)
    assert list_rectangles(figure)[0][1] == pytest.approx(61.3, abs=0.05)
    assert read_rows(figure)[1] == ["0 to 1", "1", "50 %", "75 %"]


@given(st.lists(st.integers(0, 10**15), min_size=1, max_size=40))
def test_shares_sum_to_all_rows(rows):
    shares = list_shares(make_bars(*rows))
    assert math.fsum(shares) == pytest.approx(1 if any(rows) else 0)
    total = sum(rows)
    for share, each in zip(shares, rows, strict=True):
        assert share == pytest.approx(each / total if total else 0)


def test_strip_has_a_column_for_each_day_and_the_fullest_cell_is_darkest():
    days = {DAY: make_bars(0, 100), DAY + timedelta(days=2): make_bars(50, 50)}
    figure = parse(draw_strip("Plays", days))
    (darkest,) = (path.get("d") for path in figure.iter("path") if path.get("class") == f"shade-{SHADES}")
    (lighter,) = (path.get("d") for path in figure.iter("path") if path.get("class") == f"shade-{SHADES - 1}")
    # of three days, the one in the middle has none
    assert (darkest.count("M"), lighter.count("M")) == (1, 2)
    assert darkest.startswith(f"M{left_of(figure):g} 8H")
    assert read_rows(figure)[1:] == [
        ["2026-11-03", "100", "0 to 1", "50 %"],
        ["2026-11-01", "100", "1 to 2", "100 %"],
    ]


def left_of(figure):
    return min(float(text.get("x")) for text in figure.iter("text") if text.text == str(DAY))


# --- points and bars


def test_points_are_as_far_apart_as_they_are_and_the_largest_groups_have_colours():
    points = [
        Point(0, 0, "a", "one"),
        Point(10, 5, "a", "two"),
        Point(0, 5, "b", "three"),
        Point(5, 0, "", "x"),
    ]
    figure = parse(draw_points("Map", points))
    (one, two) = list_dots(figure, 1)
    ((x, y, text),) = list_dots(figure, 2)
    assert (one[2], two[2], text) == ("one", "two", "three")
    assert two[0] - one[0] == pytest.approx(2 * (one[1] - two[1]), abs=0.2)
    assert (x, y) == (one[0], two[1])
    assert [each.text for each in figure.findall(".//li/span") if each.text] == [
        "a (2)",
        "b (1)",
        "others (1)",
    ]


def test_colours_do_not_depend_on_the_order_of_points():
    points = [Point(n, n * n % 7, f"group {n % 9}", "") for n in range(90)]
    legends = {
        tuple(each.text for each in parse(draw_points("Map", order)).findall(".//li/span") if each.text)
        for order in (points, points[::-1])
    }
    assert legends == {(*(f"group {n} (10)" for n in range(7)), "others (20)")}


def test_points_that_are_nowhere_and_too_many_are_left_out():
    points = [Point(math.nan, 1, "a", ""), Point(1, math.inf, "a", ""), *[Point(1, 1, "", "same")] * 5]
    assert "3 points" in parse(draw_points("Map", points, most=3)).findtext(".//desc")
    assert "No values." in "".join(parse(draw_points("Map", points[:2])).itertext())


def test_horizontal_bars_stand_for_their_values():
    figure = parse(draw_bars("Plans", {"free": 50, "premium": 200, "none": None, "odd": -3}))
    assert [rect.get("width") for rect in figure.iter("rect")] == ["25", "100", "0", "0"]
    assert read_rows(figure, "bars")[1:3] == [["premium", "", "200"], ["none", "", "\N{EN DASH}"]]
    half = parse(draw_bars("Used", {"level 1": 0.5}, format_percent, whole=1.0))
    assert [rect.get("width") for rect in half.iter("rect")] == ["50"]


# --- whatever comes


def draw_all(text, values):
    days = by_day(*values)
    finite = [value for value in values if isinstance(value, int | float)]
    bars = [Bar(n, n + 1, value) for n, value in enumerate(finite)]
    yield draw_lines(text, {text: days, "other": days}, {DAY: (0.5, None)}, {DAY: text}, from_zero=False)
    yield draw_sparkline(text, days)
    yield draw_histogram(text, bars, bars[::-1], (text, text))
    yield draw_strip(text, {DAY: bars, DAY + timedelta(days=3): bars})
    yield draw_points(text, [Point(value, 1, text, text) for value in finite])
    yield draw_bars(text, {text: values[0] if values else None})


NUMBERS = st.none() | st.floats() | st.integers(-(10**400), 10**400) | st.booleans()


@settings(max_examples=60, deadline=None)
@given(st.text(), st.lists(NUMBERS, max_size=8))
def test_any_text_and_any_value_give_well_formed_markup_with_finite_places(text, values):
    for markup in draw_all(text, values):
        for element in parse(markup).iter():
            for name in ("d", "cx", "cy", "x", "y", "width", "r"):
                assert not re.search("nan|inf|e", element.get(name, "")), (name, element.get(name))


def test_numbers_whose_sum_no_float_holds_are_drawn():
    for markup in draw_all("large", [1.7e308, 1.7e308, -1.7e308, 5e-324]):
        parse(markup)


def test_a_hostile_text_is_shown_and_never_markup():
    for markup in draw_all(EVIL, [1, 2, math.nan]):
        assert not {"script", "b"} & {element.tag for element in parse(markup).iter()}
        assert "<script" not in markup and "alert('x')" in "".join(parse(markup).itertext())
        assert "\\x00\N{REPLACEMENT CHARACTER}" in markup and "\ud800" not in markup


def test_characters_that_are_not_seen_are_codes():
    figure = parse(draw_bars("a\u202eb", {"\x07": 1}))
    assert figure.findtext("figcaption") == r"a\u202eb" and figure.findtext(".//th") == r"\x07"


def test_what_is_cut_says_so():
    figure = parse(draw_points("Map", [Point(0, 0, "g" * 500, "t" * 500)]))
    assert list_dots(figure)[0][2] == "t" * 29 + "…"
    assert len(draw_bars("t" * 9_000, {})) < 400


# --- curves


def test_curve_has_points_in_the_order_of_x_with_their_intervals():
    spots = [Spot(30, 0.8, 0.7, 1.0), Spot(0, 0.2), Spot(15, 0.5, 0.4, 0.6)]
    figure = parse(draw_curves("R²", {"saved": spots}, "days observed"))
    dots = list_dots(figure)
    places = [x for x, _, _ in dots]
    assert places == sorted(places)
    assert places[1] == pytest.approx((places[0] + places[2]) / 2, abs=0.1)
    assert [y for _, y, _ in dots] == [136.0, 88.0, 40.0]
    assert dots[2][2] == "saved, days observed 30: 0.8, 0.7 to 1"
    paths = [path.get("d") for path in figure.findall(".//path[@class='line']")]
    assert [path.split(" ")[1] for path in paths[1:]] == ["104V72", "56V8"]
    assert read_rows(figure)[1:] == [
        ["saved", "0", "0.2", NOTHING],
        ["saved", "15", "0.5", "0.4 to 0.6"],
        ["saved", "30", "0.8", "0.7 to 1"],
    ]


def test_points_that_are_not_finite_are_no_part_of_a_curve():
    curves = {
        "a": [Spot(1, math.nan), Spot(2, 3.0, math.nan, 4.0)],
        "b": [Spot(math.inf, 1.0), Spot(1, None)],
    }
    figure = parse(draw_curves("R²", curves, "days"))
    assert len(list_dots(figure)) == 1
    assert list_dots(figure, 2) == []
    assert "no values" in figure.findtext(".//desc")
    assert figure.findall(".//svg") and not parse(draw_curves("R²", {"b": curves["b"]}, "days")).findall(
        ".//svg"
    )


def test_days_have_no_labels_between_them():
    figure = parse(draw_curves("R²", {"a": [Spot(0, 0.3), Spot(1, 0.4)]}, "days"))
    labels = [text.text for text in figure.findall(".//text") if text.get("class") != "end"]
    assert labels == ["0"]


def test_diagonal_goes_where_what_came_is_what_was_predicted():
    figure = parse(
        draw_curves("Calibration", {"a": [Spot(1, 2.0), Spot(4, 4.0)]}, "predicted", diagonal=True)
    )
    (x, y, _) = list_dots(figure)[-1]
    assert find_path(figure, "mark").endswith(f"L{x:g} {y:g}")


def test_texts_of_curves_are_escaped():
    figure = parse(draw_curves(EVIL, {EVIL: [Spot(1, 1.0)], "b": [Spot(1, 2.0)]}, EVIL))
    assert not figure.findall(".//script")
