"""What the page of embeddings shows: trainings over time, and the newest of them as a space."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from markupsafe import Markup

from expectations.charts.bars import draw_bars
from expectations.charts.histograms import draw_histogram
from expectations.charts.lines import Limits, draw_lines
from expectations.charts.points import Point, draw_points
from expectations.charts.scales import Words
from expectations.column_profiles import bin_of
from expectations.site.files import EMBEDDINGS, INDEX
from expectations.site.page import Page
from expectations.site.ranges import choose_ranges
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

# Artists that a cluster is named by.
NAMED_ARTISTS = 2

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
class Track:
    """A track; `artist` and `title` are None where no catalogue has them."""

    track_id: str
    title: str | None
    artist: str | None

    @property
    def name(self) -> str:
        if self.title is None:
            return self.track_id
        return self.title if self.artist is None else f"{self.title} \N{EN DASH} {self.artist}"


@dataclass(frozen=True)
class Neighbourhood:
    """The nearest tracks of one, the nearest first, with their cosines."""

    track: Track
    plays: int
    nearest: Sequence[tuple[Track, float]]


@dataclass(frozen=True)
class Sample:
    """Tracks of some buckets of the newest day; hashes choose who is in a bucket, so it is a random sample."""

    tracks: int
    of: int
    norms: Sequence[float]
    # by source of the vector: tracks, and their plays in the window of the training
    sources: Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class TrackMap:
    """Vectors on a plane, in clusters; `share` is the part of their variance that it shows."""

    points: Sequence[Point]
    share: float


@dataclass(frozen=True)
class Codebook:
    """Of a day and a level: how many tracks have each code."""

    day: date
    level: int
    tracks: Sequence[int]

    @property
    def effective(self) -> float:
        """Codes in use, as their perplexity: 2 to the entropy of their shares; a collapsed book has few."""
        counts = np.array([count for count in self.tracks if count > 0], np.float64)
        shares = counts / counts.sum() if len(counts) else counts
        return float(np.exp(-(shares * np.log(shares)).sum())) if len(counts) else 0.0


@dataclass(frozen=True)
class EmbeddingFacts:
    """What a root holds of its embeddings; `day` and what follows are of the newest version that was published."""

    versions: Sequence[Version]
    bounds: Sequence[Bound] = ()
    day: date | None = None
    version_id: str | None = None
    sample: Sample | None = None
    neighbourhoods: Sequence[Neighbourhood] = ()
    map: TrackMap | None = None
    codebooks: Sequence[Codebook] = ()


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
            yield day, f"refused: {'; '.join(version.reasons)}"
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


def draw_sample(sample: Sample) -> Iterator[Markup]:
    """Lengths of vectors, and where vectors come from."""
    bins = Counter(bin_of([norm for norm in sample.norms if norm == norm]).tolist())
    ranges = choose_ranges([bins])
    yield draw_histogram("Length of in + out", ranges.count(bins))
    for place, what in enumerate(("Tracks", "Plays")):
        counts = {source: pair[place] for source, pair in sample.sources.items()}
        total = sum(counts.values())
        shares = {source: count / total for source, count in counts.items()} if total else {}
        yield draw_bars(f"{what} by source of their vector", shares, format_percent, 1.0)


def draw_codebooks(codebooks: Sequence[Codebook]) -> Iterator[Markup]:
    """Codes in use by level: of the newest day, and over days as the share of all codes."""
    if not codebooks:
        return
    newest = max(each.day for each in codebooks)
    levels = sorted({each.level for each in codebooks})
    used = {
        f"level {each.level + 1}": sum(count > 0 for count in each.tracks) / len(each.tracks)
        for each in sorted(codebooks, key=lambda each: each.level)
        if each.day == newest
    }
    yield draw_bars("Codes that any track has", used, format_percent, 1.0)
    series = {
        f"level {level + 1}": {
            each.day: each.effective / len(each.tracks) for each in codebooks if each.level == level
        }
        for level in levels
    }
    yield draw_lines("Codes in use, by their perplexity", series, words=format_percent)


def draw_map(track_map: TrackMap) -> Markup:
    return draw_points("Tracks by cluster of their vectors", track_map.points)


def name_clusters(clusters: Sequence[int], artists: Sequence[str | None]) -> list[str]:
    """Of each track, the name of its cluster: a number, 1 for the largest, and its most frequent artists."""
    sizes = Counter(clusters)
    names = {}
    for number, cluster in enumerate(sorted(sizes, key=lambda each: (-sizes[each], each)), 1):
        own = Counter(
            artist for artist, each in zip(artists, clusters, strict=True) if each == cluster and artist
        )
        most = sorted(own, key=lambda artist: (-own[artist], artist))[:NAMED_ARTISTS]
        names[cluster] = ": ".join(filter(None, (str(number), ", ".join(most))))
    return [names[cluster] for cluster in clusters]


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


def make_embeddings_page(facts: EmbeddingFacts) -> Page:
    newest = next((each for each in facts.versions if each.version_id == facts.version_id), None)
    return Page(
        EMBEDDINGS,
        "site/embeddings.html",
        "Embeddings",
        {
            "facts": facts,
            "newest": newest,
            "spaces": list_spaces(facts.versions),
            "measures": list(draw_measures(facts.versions, facts.bounds)),
            "bounds": list(_list_bounds(facts)),
            "sample": list(draw_sample(facts.sample)) if facts.sample else [],
            "codebooks": list(draw_codebooks(facts.codebooks)),
            "map": draw_map(facts.map) if facts.map else None,
        },
        (("All tables", INDEX),),
    )


def list_spaces(versions: Iterable[Version]) -> list[Space]:
    """The newest first, with all trainings of each."""
    by_space: dict[str, list[Version]] = {}
    for version in versions:
        by_space.setdefault(version.space_id, []).append(version)
    return [Space(*each) for each in reversed(by_space.items())]


def _list_bounds(facts: EmbeddingFacts) -> Iterator[BoundRow]:
    """Those whose measure is recorded with trainings."""
    version = facts.versions[-1] if facts.versions else None
    for bound in facts.bounds:
        key = (bound.measure, THIS, GATE)
        if version and any(key in each.metrics for each in facts.versions):
            yield BoundRow(bound, version.metrics.get(key), version.applies(bound))
