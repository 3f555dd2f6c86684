"""The page of one feature: what it means, how its values are distributed, and how far they moved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property

from markupsafe import Markup

from expectations.charts.bars import draw_bars
from expectations.charts.histograms import draw_histogram, draw_strip
from expectations.charts.lines import draw_lines
from expectations.charts.markup import shorten
from expectations.charts.scales import Words
from expectations.column_drift import Comparison, Limits, share_nulls
from expectations.column_profiles import INSTANT, QUANTILES, ColumnProfile
from expectations.drift import find_largest_difference
from expectations.site.files import INDEX, feature_file, table_file
from expectations.site.page import Page
from expectations.site.ranges import choose_ranges
from expectations.site.table import TableTrends
from expectations.wording import format_limits, format_number, format_percent

WEEK = timedelta(weeks=1)
MEASURE = "Population stability index"
# Of `QUANTILES`, those that are drawn: the outermost would leave no room for the others.
_DRAWN = {0.05: "5 %", 0.25: "25 %", 0.5: "median", 0.75: "75 %", 0.95: "95 %"}
# Top values of the newest day that are followed over days; and characters of a value that are shown.
FOLLOWED, VALUE = 5, 24


@dataclass(frozen=True)
class FeatureFacts:
    """A column of a table, its profiles by day, and of each day shown the earlier one that it is compared with."""

    table: str
    column: str
    meaning: str
    # name and value, in the words of the catalogue
    about: Sequence[tuple[str, str]]
    days: Sequence[date]
    # of the days and of those that they are compared with, as far as there are any
    profiles: Mapping[date, ColumnProfile]
    references: Mapping[date, date] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    # where the catalogue has it, from the top folder of the site
    catalogue: str | None = None

    @cached_property
    def shown(self) -> dict[date, ColumnProfile]:
        return {day: self.profiles[day] for day in self.days if day in self.profiles}

    @property
    def newest(self) -> date | None:
        return max(self.shown, default=None)

    @cached_property
    def comparisons(self) -> dict[date, Comparison]:
        """Of each day shown with the earlier one, where the values of both are known."""
        return self.compare_each({day: self.references.get(day) for day in self.shown})

    @property
    def nulls(self) -> dict[date, float]:
        """By day the share of rows without a value."""
        return {day: share_nulls(each) for day, each in self.shown.items()}

    @property
    def drift(self) -> dict[date, float]:
        """By day the stability index, from the earlier day."""
        return {day: each.psi for day, each in self.comparisons.items()}

    def compare_each(self, earlier_days: Mapping[date, date | None]) -> dict[date, Comparison]:
        """By day; none of days that have nothing to be measured by."""
        pairs = {day: self.compare(day, earlier) for day, earlier in earlier_days.items()}
        return {day: each for day, each in pairs.items() if each and each.is_measured}

    def compare(self, day: date, earlier: date | None) -> Comparison | None:
        """None where either day has no profile, or the column was of another kind."""
        now, before = self.profiles.get(day), self.profiles.get(earlier) if earlier else None
        return Comparison(now, before) if now and before and now.kind == before.kind else None


@dataclass(frozen=True)
class Movement:
    """How far a day is from an earlier one, in numbers and words; without the numbers where values of one of them are
    not known."""

    earlier: date
    than: str
    psi: float | None
    chance: float | None
    js: float | None
    largest: str
    nulls: str


def make_feature_page(facts: FeatureFacts) -> Page:
    newest = facts.newest
    return Page(
        feature_file(facts.table, facts.column),
        "site/feature.html",
        facts.column,
        {
            "feature": facts,
            "newest": newest,
            "profile": facts.shown.get(newest) if newest else None,
            "movements": list(list_movements(facts)),
            "values": list(draw_values(facts)),
            "trends": list(draw_trends(facts)),
            "drift": list(draw_drift(facts)),
        },
        (("All tables", INDEX), (facts.table, table_file(facts.table))),
    )


def find_trends(features: Iterable[FeatureFacts]) -> dict[str, TableTrends]:
    """Of each table, what its own page shows of its columns."""
    by_table: dict[str, list[FeatureFacts]] = {}
    for each in features:
        by_table.setdefault(each.table, []).append(each)
    return {
        table: TableTrends(
            {each.column: each.nulls for each in own if any(each.nulls.values())},
            {each.column: each.drift for each in own if each.drift},
            f"{MEASURE} of each day, from {_describe_references(own[0])}.",
        )
        for table, own in by_table.items()
    }


def _describe_references(feature: FeatureFacts) -> str:
    distances = {(day - earlier).days for day, earlier in feature.references.items()}
    return f"{distances.pop()} days before" if len(distances) == 1 else "its reference day"


def draw_values(facts: FeatureFacts) -> Iterator[Markup]:
    """The newest day's values, and those of the days before."""
    newest = facts.newest
    if newest is None:
        return
    words = _choose_words(facts.shown[newest])
    earlier = facts.references.get(newest)
    reference = facts.profiles.get(earlier) if earlier else None
    histograms = [
        each.bins for each in (*facts.shown.values(), *([reference] if reference else [])) if each.bins
    ]
    if ranges := choose_ranges(histograms) if histograms else None:
        yield draw_histogram(
            f"Values on {newest}",
            ranges.count(facts.shown[newest].bins),
            ranges.count(reference.bins) if reference and reference.bins else (),
            (str(newest), f"reference, {earlier}"),
            words,
        )
        yield draw_strip(
            "Values by day", {day: ranges.count(each.bins) for day, each in facts.shown.items()}, words
        )
        yield draw_lines("Quantiles by day", _list_quantiles(facts.shown), words=words, from_zero=False)
    if top := facts.shown[newest].top_values:
        yield draw_bars(f"Most frequent values on {newest}", dict(top))
        yield draw_lines(
            "Shares of the most frequent values", _follow_top(facts, [*top]), words=format_percent
        )


def draw_trends(facts: FeatureFacts) -> Iterator[Markup]:
    """Rows, nulls and different values by day."""
    shown, ends = facts.shown, (facts.days[0], facts.days[-1]) if facts.days else None
    yield draw_lines("Rows", {"rows": {day: each.rows for day, each in shown.items()}}, days=ends)
    yield draw_lines("Rows without a value", {"share": facts.nulls}, words=format_percent, days=ends)
    distinct = {day: each.distinct_values for day, each in shown.items()}
    if any(distinct.values()):
        yield draw_lines("Different values", {"values": distinct}, days=ends)
    means = {day: each.mean for day, each in shown.items()}
    if any(each is not None for each in means.values()):
        yield draw_lines("Mean", {"mean": means}, days=ends, from_zero=False)


def draw_drift(facts: FeatureFacts) -> Iterator[Markup]:
    """How far each day is from its reference and from a week before."""
    series = {
        "from the reference": facts.comparisons,
        "from a week before": facts.compare_each({day: day - WEEK for day in facts.shown}),
    }
    if not any(series.values()):
        return
    limits = {day: (None, facts.limits.psi + each.chance) for day, each in facts.comparisons.items()}
    for title, measure, expected in (
        (MEASURE, "psi", limits),
        ("Jensen-Shannon divergence, bits", "js", None),
    ):
        values = {
            name: {day: getattr(each, measure) for day, each in comparisons.items()}
            for name, comparisons in series.items()
        }
        yield draw_lines(title, values, expected)


def list_movements(facts: FeatureFacts) -> Iterator[Movement]:
    """Of the newest day."""
    newest = facts.newest
    if newest is None:
        return
    earlier_days = {"the reference": facts.references.get(newest), "a week before": newest - WEEK}
    for than, earlier in earlier_days.items():
        comparison = facts.compare(newest, earlier)
        if comparison and earlier:
            yield _describe_movement(comparison, earlier, than)


def _describe_movement(comparison: Comparison, earlier: date, than: str) -> Movement:
    nulls = [format_percent(share_nulls(each)) for each in (comparison.before, comparison.now)]
    without = " to ".join(nulls)
    if not comparison.is_measured:
        return Movement(earlier, than, None, None, None, "", without)
    psi, chance, js = comparison.psi, comparison.chance, comparison.js
    return Movement(earlier, than, psi, chance, js, _describe_largest(comparison), without)


def _describe_largest(comparison: Comparison) -> str:
    """The value, or the range of values, whose share moved most."""
    now, before = comparison.now, comparison.before
    if not now.bins or not before.bins:
        value, *shares = find_largest_difference(*comparison.histograms)
        return _format_largest(shorten(str(value), VALUE), *shares)
    ranges = choose_ranges([now.bins, before.bins])
    bars, bars_before = ranges.count(now.bins), ranges.count(before.bins)
    counts, reference = ({n: round(bar.rows) for n, bar in enumerate(each)} for each in (bars, bars_before))
    moved = find_largest_difference(counts, reference)
    bar = bars[moved[0] or 0]
    return _format_largest(format_limits(bar.low, bar.high, _choose_words(now)), *moved[1:])


def _format_largest(values: str, before: float, now: float) -> str:
    """Empty where nothing moved."""
    return "" if before == now else f"{values}: {format_percent(before)} to {format_percent(now)}"


def _list_quantiles(shown: Mapping[date, ColumnProfile]) -> dict[str, dict[date, float]]:
    quantiles = {day: dict(zip(QUANTILES, each.quantiles or (), strict=False)) for day, each in shown.items()}
    return {
        name: {day: values[share] for day, values in quantiles.items() if share in values}
        for share, name in _DRAWN.items()
    }


def _follow_top(facts: FeatureFacts, values: Sequence[str]) -> dict[str, dict[date, float]]:
    return {
        value: {
            day: share for day, each in facts.shown.items() if (share := _find_share(each, value)) is not None
        }
        for value in values[:FOLLOWED]
    }


def _find_share(profile: ColumnProfile, value: str) -> float | None:
    """None where the value is not listed, and may yet have rows: so few listeners had it."""
    rows = (profile.top_values or {}).get(value, 0)
    is_known = rows or (profile.top_values is not None and not profile.other_rows)
    return rows / profile.rows if profile.rows and is_known else None


def _choose_words(profile: ColumnProfile) -> Words:
    """Hours of the day are times, to a reader."""
    return _format_hour if profile.kind == INSTANT else format_number


def _format_hour(value: float) -> str:
    return f"{value:02.0f}:00 UTC"
