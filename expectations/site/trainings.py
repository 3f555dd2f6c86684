"""Trainings over days: what they measured, what the gate allows, and their spaces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from markupsafe import Markup

from expectations.charts.lines import Limits, draw_lines
from expectations.charts.scales import Words
from expectations.suite import Bound
from expectations.wording import format_percent

ACCEPTED = "accepted"
THIS, ALL, GATE = "this", "all", "gate"
# Metrics that are shown, by title: of what, and of which segment, each by its name in the legend.
_HITS = "next.hr@10"
_MEASURES: Mapping[str, tuple[Words, Mapping[str, tuple[str, str, str]]]] = {
    "Next tracks found among ten": (
        format_percent,
        {
            "this version": (_HITS, THIS, ALL),
            "popularity": (_HITS, "popularity", ALL),
            "co-occurrence": (_HITS, "cooccurrence", ALL),
        },
    ),
    "The same by how often a track is played": (
        format_percent,
        {name: (_HITS, THIS, name) for name in ("head", "torso", "tail")},
    ),
    "Next tracks found among ten similar ones": (format_percent, {"hits": ("similar.hr@10", THIS, ALL)}),
    "Tracks that are no track's neighbour": (format_percent, {"share": ("hubness.orphans", THIS, ALL)}),
    "How much more popular neighbours are than their tracks": (
        format_percent,
        {"lift": ("popularity.lift", THIS, ALL)},
    ),
}

Metrics = Mapping[tuple[str, str, str], float]


@dataclass(frozen=True)
class Version:
    """One training, as `embedding_versions` has it; its metrics by name, of what, and segment."""

    version_id: str
    space_id: str
    ds: date
    start: str
    status: str
    reasons: Sequence[str]
    tracks: int
    plays: int
    metrics: Metrics

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Version:
        metrics = {(each["name"], each["of"], each["segment"]): each["value"] for each in row["metrics"]}
        return cls(**{**row, "metrics": metrics})

    @property
    def accepted(self) -> bool:
        return self.status == ACCEPTED

    def applies(self, bound: Bound) -> bool:
        """Whether a bound meant anything for it."""
        return bound.applies_if is None or self.metrics.get((bound.applies_if, THIS, GATE)) != 0


@dataclass(frozen=True)
class Space:
    """The trainings that compare with each other, the newest last."""

    space_id: str
    versions: Sequence[Version]

    @property
    def refused(self) -> int:
        return sum(not version.accepted for version in self.versions)


@dataclass(frozen=True)
class BoundRow:
    """A bound of the gate, and what the newest training came to, where that is on record."""

    bound: Bound
    newest: float | None
    applies: bool


def select_daily(versions: Iterable[Version]) -> dict[date, Version]:
    """By day the training that counts: the one that was accepted, or else the last."""
    by_day: dict[date, Version] = {}
    for version in versions:
        if version.accepted or version.ds not in by_day or not by_day[version.ds].accepted:
            by_day[version.ds] = version
    return dict(sorted(by_day.items()))


def draw_measures(versions: Sequence[Version], bounds: Sequence[Bound]) -> Iterator[Markup]:
    """Measures over trainings, those with a bound of the gate with its limits."""
    daily = select_daily(versions)
    if not daily:
        return
    marks, ends = dict(_list_marks(daily)), (min(daily), max(daily))
    for title, (words, names) in _MEASURES.items():
        series = {name: _follow(daily, *key) for name, key in names.items()}
        if any(series.values()):
            yield draw_lines(title, series, marks=marks, words=words, days=ends)
    learned = {day: each.tracks for day, each in daily.items()}
    yield draw_lines("Tracks learned", {"tracks": learned}, marks=marks)
    for measure in dict.fromkeys(bound.measure for bound in bounds):
        values = _follow(daily, measure, THIS, GATE)
        if values:
            own = [bound for bound in bounds if bound.measure == measure]
            limits = dict(_list_limits(daily, own))
            yield draw_lines(measure, {measure: values}, limits, marks, from_zero=False, days=ends)


def _follow(daily: Mapping[date, Version], name: str, of: str, segment: str) -> dict[date, float]:
    key = (name, of, segment)
    return {day: each.metrics[key] for day, each in daily.items() if key in each.metrics}


def _list_marks(daily: Mapping[date, Version]) -> Iterator[tuple[date, str]]:
    """Days on which a training was refused, or a space begins."""
    spaces: set[str] = set()
    for day, version in daily.items():
        if not version.accepted:
            yield day, "refused"
        elif version.space_id not in spaces:
            spaces.add(version.space_id)
            yield day, f"space {version.space_id} begins"


def _list_limits(daily: Mapping[date, Version], bounds: Sequence[Bound]) -> Iterator[tuple[date, Limits]]:
    """Of a day, the narrowest of those that apply."""
    for day, version in daily.items():
        own = [bound for bound in bounds if version.applies(bound)]
        if own:
            yield (
                day,
                (
                    max((each.low for each in own if each.low is not None), default=None),
                    min((each.high for each in own if each.high is not None), default=None),
                ),
            )


def list_spaces(versions: Iterable[Version]) -> list[Space]:
    """The newest first, with all trainings of each."""
    by_space: dict[str, list[Version]] = {}
    for version in versions:
        by_space.setdefault(version.space_id, []).append(version)
    return [Space(*each) for each in reversed(by_space.items())]


def list_bounds(versions: Sequence[Version], bounds: Iterable[Bound]) -> Iterator[BoundRow]:
    """Those whose measure is recorded with trainings."""
    version = versions[-1] if versions else None
    for bound in bounds:
        key = (bound.measure, THIS, GATE)
        if version and any(key in each.metrics for each in versions):
            yield BoundRow(bound, version.metrics.get(key), version.applies(bound))
