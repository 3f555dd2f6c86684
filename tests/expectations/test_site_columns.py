"""Pages of features and of embeddings: ranges that hold every value, drift as the measures have it, and no input that
breaks a page."""

from __future__ import annotations

import math
import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expectations.charts.points import Point
from expectations.column_drift import Comparison
from expectations.column_profiles import INSTANT, NUMBER, TEXT, ColumnProfile, bin_of
from expectations.site.embeddings import (
    Codebook,
    EmbeddingFacts,
    Neighbourhood,
    Sample,
    Track,
    TrackMap,
    make_embeddings_page,
    name_clusters,
)
from expectations.site.facts import RootFacts
from expectations.site.features import (
    FeatureFacts,
    draw_drift,
    draw_values,
    find_trends,
    list_movements,
    make_feature_page,
)
from expectations.site.ranges import choose_ranges
from expectations.site.site import LONGEST_PAGE, Site
from expectations.site.trainings import Version, draw_measures, list_spaces, select_daily
from expectations.suite import Bound, SoftBound
from expectations.training_bounds import BOUNDS as TRAINING_BOUNDS
from expectations.wording import format_number, format_percent
from jobs.site.embeddings import DAYS_SHOWN, MAP_TRACKS
from reference.html_pages import Page

LAST = date(2026, 11, 20)
DAYS = [LAST - timedelta(days=n) for n in reversed(range(28))]
EVIL = "</td></svg><script>alert('x')</script>\"&<b>{{ 1 }}"


def count(values):
    return Counter(bin_of(values).tolist()) if len(values) else Counter()


def make_profile(values, kind=NUMBER, **more):
    return ColumnProfile(kind, len(values), mean=sum(values) / len(values), bins=count(values), **more)


def make_text(**top_values):
    return ColumnProfile(
        TEXT, sum(top_values.values()), distinct_values=len(top_values), top_values=top_values
    )


def make_feature(profiles, column="plays_count_7d", meaning="plays, 7d", **more):
    references = {day: day - timedelta(days=28) for day in DAYS}
    about = (("owner", "us"), ("SQL", "count(x)"))
    return FeatureFacts("user_features", column, meaning, about, DAYS, profiles, references, **more)


def render(*pages):
    """Each page as text, by its file, in a site of nothing else."""
    facts = RootFacts("Segue", datetime(2026, 11, 21, tzinfo=UTC), DAYS, ())
    texts = dict(Site(facts, others=pages).render())
    return [texts[page.file] for page in pages]


def find_figure(markups, title):
    (figure,) = (
        figure for figure in map(ET.fromstring, map(str, markups)) if figure.findtext("figcaption") == title
    )
    return figure


def read_rows(figure):
    return [["".join(cell.itertext()) for cell in row] for row in figure.iter("tr")][1:]


# --- ranges


@settings(deadline=None)
@given(st.lists(st.floats(width=64) | st.integers(-40, 40), max_size=30))
def test_ranges_hold_every_finite_value_once(values):
    known = [float(value) for value in values if not math.isnan(value)]
    bins = count(known)
    ranges = choose_ranges([bins])
    # the outermost bin ends at infinity, and has no place on an axis
    drawn = [value for value in known if abs(value) < 1.7e308]
    bars = ranges.count(bins)
    assert len(bars) <= max(24, 2 * 33 + 1)
    assert sum(bar.rows for bar in bars) == pytest.approx(len(drawn), abs=1e-6)
    assert all(a < b for a, b in pairwise(ranges.edges))


def test_small_whole_numbers_have_a_range_each():
    bars = choose_ranges([count([0, 0, 3, 1])]).count(count([0, 0, 3, 1]))
    assert [(bar.low, bar.high, bar.rows) for bar in bars] == [(0, 0, 2), (1, 1, 1), (2, 2, 0), (3, 3, 1)]


def test_ranges_widen_where_a_few_values_are_far_larger():
    even = choose_ranges([count([n / 100 for n in range(1, 400)])]).edges
    widths = [b - a for a, b in pairwise(even)]
    assert widths == pytest.approx([widths[0]] * len(widths))
    draws = random.Random(1)
    uneven = choose_ranges([count([0, *(draws.lognormvariate(5, 3) for _ in range(999))])])
    assert uneven.edges[0] == 0
    assert all(b - a < d - c for (a, b), (c, d) in pairwise(pairwise(uneven.edges)))


def test_days_have_the_same_ranges_and_sum_to_their_rows():
    days = [[1.5, 2.5, 99.0], [1000.25] * 4]
    ranges = choose_ranges(map(count, days))
    counts = [[bar.rows for bar in ranges.count(count(day))] for day in days]
    assert [sum(rows) for rows in counts] == pytest.approx([3, 4])
    assert [(a, b) for a, b in pairwise(ranges.edges)] == [
        (bar.low, bar.high) for bar in ranges.count(Counter())
    ]


# --- features


def make_days(shift=0.0):
    """The same values each day, `shift` times as large on the last."""
    draws = random.Random(2)
    values = [draws.lognormvariate(3, 1) for _ in range(500)]
    every_day = {DAYS[0] - timedelta(days=n) for n in range(1, 29)} | {*DAYS}
    profiles = {day: make_profile(values) for day in sorted(every_day)}
    return profiles | {LAST: make_profile([value * (1 + shift) for value in values])}


def test_feature_page_has_the_newest_values_with_the_reference_behind():
    profiles = make_days(shift=1)
    figure = find_figure(draw_values(make_feature(profiles)), f"Values on {LAST}")
    now, before = profiles[LAST].bins, profiles[LAST - timedelta(28)].bins
    ranges = choose_ranges([*(profiles[day].bins for day in DAYS), before])
    wanted = [
        [format_number(round(bar.rows)), format_percent(bar.rows / 500), format_percent(reference.rows / 500)]
        for bar, reference in zip(ranges.count(now), ranges.count(before), strict=True)
    ]
    assert [row[1:] for row in read_rows(figure)] == wanted
    assert figure.find(".//path[@class='outline']") is not None


def test_drift_is_what_the_measures_say():
    facts = make_feature(make_days(shift=1))
    comparison = Comparison(facts.profiles[LAST], facts.profiles[LAST - timedelta(28)])
    assert facts.drift == dict.fromkeys(DAYS[:-1], 0) | {LAST: comparison.psi} and comparison.psi > 0.25
    reference, week = list_movements(facts)
    assert (reference.psi, reference.js, reference.chance) == (
        comparison.psi,
        comparison.js,
        comparison.chance,
    )
    assert (reference.earlier, week.earlier) == (LAST - timedelta(28), LAST - timedelta(7))
    index, _ = draw_drift(facts)
    newest = read_rows(ET.fromstring(index))[0]
    allowed = f"at most {format_number(facts.limits.psi + comparison.chance)}"
    assert newest == [str(LAST), format_number(comparison.psi), format_number(comparison.psi), allowed]


def test_text_is_shown_by_its_most_frequent_values():
    profiles = {day: make_text(free=60, premium=40) for day in DAYS} | {LAST: make_text(free=20, premium=60)}
    facts = make_feature(profiles, column="plan")
    bars, shares = draw_values(facts)
    assert [["".join(cell.itertext()) for cell in row] for row in ET.fromstring(bars).iter("tr")] == [
        ["free", "", "20"],
        ["premium", "", "60"],
    ]
    assert read_rows(ET.fromstring(shares))[:2] == [
        [str(LAST), "25 %", "75 %"],
        [str(LAST - timedelta(1)), "60 %", "40 %"],
    ]
    (week,) = list_movements(facts)
    assert week.largest == "free: 60 % to 25 %"
    (still,) = list_movements(make_feature({day: make_text(free=60) for day in DAYS}, column="plan"))
    assert (still.largest, still.psi) == ("", 0)


def test_days_on_which_too_few_listeners_had_a_value_say_nothing_of_its_share():
    hidden = ColumnProfile(TEXT, 90, distinct_values=2, top_values={"free": 60})
    profiles = {LAST: make_text(free=60, premium=40), DAYS[-2]: hidden, DAYS[-3]: make_text(free=60)}
    *_, shares = draw_values(make_feature(profiles, column="plan"))
    rows = {row[0]: row[1:] for row in read_rows(ET.fromstring(shares))}
    assert [rows[str(day)] for day in DAYS[:-4:-1]] == [
        ["60 %", "40 %"],
        ["66.67 %", "\N{EN DASH}"],
        ["100 %", "0 %"],
    ]


def make_unlike_profiles():
    """Two days each, whose values nothing compares: too many different ones to be listed, then too few listeners."""
    unlisted = ColumnProfile(TEXT, 5000, distinct_values=3000)
    yield unlisted, make_text(x=4990, y=10)
    yield ColumnProfile(NUMBER, 15), make_profile([5.0] * 25)
    yield make_profile([5.0] * 25), ColumnProfile(NUMBER, 15)


@pytest.mark.parametrize(("before", "now"), make_unlike_profiles())
def test_values_that_cannot_be_compared_have_no_index(before, now):
    ages = {0: now, 7: before, 28: before}
    feature = make_feature({LAST - timedelta(days=age): each for age, each in ages.items()})
    assert feature.drift == {} and list(draw_drift(feature)) == [], (
        "an index of 0 would say that nothing moved"
    )
    assert find_trends([feature])["user_features"].drift == {}
    assert [(each.psi, each.js, each.largest) for each in list_movements(feature)] == [(None, None, "")] * 2
    (text,) = render(make_feature_page(feature))
    assert text.count(">not compared<") == 2, "one for each day that it would be compared with"


def test_a_day_that_cannot_be_compared_is_a_gap():
    days = make_days()
    odd = LAST - timedelta(days=3)
    feature = make_feature(days | {odd: ColumnProfile(NUMBER, 15)})
    assert {*make_feature(days).drift} - {*feature.drift} == {odd}
    (psi, *_) = draw_drift(feature)
    rows = {row[0]: row[1:] for row in read_rows(find_figure([psi], "Population stability index"))}
    with_number = {day for day, cells in rows.items() if any(map(str.isdigit, "".join(cells)))}
    assert with_number == {str(day) for day in DAYS if day != odd}, (
        "all days but the one of too few listeners"
    )


def test_instants_are_hours():
    facts = make_feature({day: make_profile([0, 13, 13, 23], INSTANT) for day in DAYS})
    rows = read_rows(find_figure(draw_values(facts), f"Values on {LAST}"))
    assert (len(rows), rows[13][:3]) == (24, ["13:00 UTC", "2", "50 %"])


def test_a_column_of_too_few_listeners_or_without_a_profile_has_a_page_all_the_same():
    bare = make_feature({day: ColumnProfile(NUMBER, 12, nulls=3) for day in DAYS})
    none = make_feature({}, column="other")
    texts = [Page(text).text for text in render(make_feature_page(bare), make_feature_page(none))]
    assert "Without a value25 %" in texts[0]
    assert "No profile of it is on record for the days shown." in texts[1]


def test_feature_page_says_what_the_feature_is_and_links_to_the_catalogue():
    facts = make_feature(make_days(), catalogue="../catalogue/tables/user_features.html#plays_count_7d")
    (text,) = render(make_feature_page(facts))
    page = Page(text)
    assert "plays_count_7d plays, 7d A column of user_features" in page.text
    assert "ownerus SQLcount(x)" in page.text
    assert "../../catalogue/tables/user_features.html#plays_count_7d" in page.addresses
    assert len(text.encode()) < 200_000 and page.tags.count("svg") == page.tags.count("figcaption") == 8


def test_tables_get_nulls_and_drift_of_their_columns():
    drifting = make_feature(make_days(shift=1))
    empty = make_feature({day: ColumnProfile(NUMBER, 10, nulls=5) for day in DAYS}, column="skips_rate_7d")
    trends = find_trends([drifting, empty])["user_features"]
    assert trends.nulls == {"skips_rate_7d": dict.fromkeys(DAYS, 0.5)}
    assert trends.drift["plays_count_7d"] == drifting.drift
    assert trends.measure == "Population stability index of each day, from 28 days before."


# --- embeddings


def make_version(n, status="accepted", space="s1", **metrics):
    return Version(
        f"v{n}", space, DAYS[n], "warm", status, [] if status == "accepted" else ["worse"], 100 + n, 1000,
        {(name.replace("__", "@"), "this", "gate"): value for name, value in metrics.items()},
    )  # fmt: skip


BOUNDS = (
    Bound("overlap@10", "far", low=0.5, applies_if="is_warm"),
    SoftBound("overlap@10", "less far", low=0.65, applies_if="is_warm", title="overlap.warning"),
)


def test_measures_have_the_narrowest_of_the_bounds_that_apply():
    versions = [
        make_version(0, overlap__10=0.7, is_warm=1.0),
        make_version(1, overlap__10=0.9, is_warm=0.0),
        make_version(2, status="rejected", overlap__10=0.4, is_warm=1.0),
    ]
    rows = read_rows(find_figure(draw_measures(versions, BOUNDS), "overlap@10"))
    assert rows == [
        [str(DAYS[2]), "0.4", "at least 0.65", "refused"],
        [str(DAYS[1]), "0.9", "\N{EN DASH}", "\N{EN DASH}"],
        [str(DAYS[0]), "0.7", "at least 0.65", "space s1 begins"],
    ]


def test_of_a_day_the_accepted_training_counts_and_the_last_of_them():
    trainings = [
        make_version(0),
        make_version(0, "rejected"),
        make_version(1, "rejected"),
        make_version(1, "rejected"),
    ]
    daily = select_daily(trainings)
    assert [
        each is other for each, other in zip(daily.values(), (trainings[0], trainings[3]), strict=True)
    ] == [True] * 2


def test_spaces_are_listed_the_newest_first():
    spaces = list_spaces([make_version(0), make_version(1, "rejected", "s2"), make_version(2, space="s2")])
    assert [(each.space_id, len(each.versions), each.refused) for each in spaces] == [
        ("s2", 2, 1),
        ("s1", 1, 0),
    ]


def test_clusters_are_numbered_by_their_size_and_named_by_their_artists():
    names = name_clusters([5, 5, 5, 2, 2, 9], ["b", "a", "a", None, None, "c"])
    assert names == ["1: a, b"] * 3 + ["2"] * 2 + ["3: c"]


def test_codes_in_use_are_their_perplexity():
    assert Codebook(LAST, 0, [5, 5, 5, 5]).effective == pytest.approx(4)
    assert Codebook(LAST, 0, [100, 0, 0, 0]).effective == pytest.approx(1)
    assert Codebook(LAST, 0, [0, 0]).effective == 0
    # 2 to the entropy of 1/2, 1/4, 1/4
    assert Codebook(LAST, 0, [2, 1, 1]).effective == pytest.approx(2**1.5)


def make_embeddings(text):
    track = Track(text, text * 50, text)
    return EmbeddingFacts(
        [make_version(0, overlap__10=0.7), make_version(1, "rejected", space=text, overlap__10=0.6)],
        (*BOUNDS, Bound("lost_tracks", "measured of staged rows alone", high=0)),
        DAYS[0],
        "v0",
        Sample(2, 9, [1.0, math.nan, 2.5], {text: (2, 30)}),
        [Neighbourhood(track, 30, [(track, 0.5)])],
        TrackMap([Point(0, 1, text, text), Point(1, 0, "", text * 99)], 0.25),
        [Codebook(DAYS[0], 0, [3, 0])],
    )


def test_page_of_embeddings_has_every_part_and_says_what_it_is_a_sample_of():
    (text,) = render(make_embeddings_page(make_embeddings("one")))
    page = Page(text)
    for words in (
        f"Readers of {DAYS[0]} get training v0, of space s1.",
        "Of a sample of 2 of 9 tracks, chosen by a hash of their ids.",
        "It shows 25 % of their variance",
        "✕ refused worse",
    ):
        assert words in page.text
    assert ["overlap.warning", "at least 0.65", "warning", "0.6", "less far"] in page.rows
    assert "lost_tracks" not in page.text


def test_page_of_embeddings_without_vectors_says_so():
    (text,) = render(make_embeddings_page(EmbeddingFacts([make_version(0)])))
    assert "No vectors are published yet." in Page(text).text and "Map" not in Page(text).text


def test_hostile_texts_are_shown_and_break_no_page():
    feature = make_feature(
        {day: make_text(**{EVIL: 50, "x" * 9_000: 50}) for day in DAYS}, column=EVIL, meaning=EVIL
    )
    for text in render(make_embeddings_page(make_embeddings(EVIL)), make_feature_page(feature)):
        page = Page(text)
        assert "alert('x')" in page.text and "b" not in page.tags and page.tags.count("script") == 1
        assert len(text.encode()) < 500_000


def test_page_of_many_trainings_and_tracks_is_not_too_long():
    """As many as are read of a root, each refused for a long reason, and titles that cost the most bytes."""
    measures = {bound.measure: 0.9 for bound in TRAINING_BOUNDS}
    metrics = {(name, "this", "gate"): value for name, value in measures.items()}
    metrics |= {("next.hr@10", of, "all"): 0.3 for of in ("this", "popularity", "cooccurrence")}
    metrics |= {("next.hr@10", "this", segment): 0.3 for segment in ("head", "torso", "tail")}
    versions = [
        Version(f"v{n}", "s1", LAST - timedelta(n), "warm", "rejected", ["&" * 400], 100, 1000, metrics)
        for n in reversed(range(DAYS_SHOWN.days))
    ]
    points = [Point(n, n % 7, f"{n % 7}: {'&' * 50}", "&" * 99) for n in range(MAP_TRACKS)]
    facts = EmbeddingFacts(
        versions, TRAINING_BOUNDS, LAST, "v0", Sample(1, 1, [1.0], {}), (), TrackMap(points, 0.1)
    )
    (text,) = render(make_embeddings_page(facts))
    assert len(text.encode()) < LONGEST_PAGE
    assert len(read_rows(find_figure(draw_measures(versions, TRAINING_BOUNDS), "cosine"))) == DAYS_SHOWN.days
