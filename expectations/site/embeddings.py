"""What the page of embeddings shows: trainings over time, and the newest of them as a space."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from markupsafe import Markup

from expectations.charts.bars import draw_bars
from expectations.charts.histograms import draw_histogram
from expectations.charts.lines import draw_lines
from expectations.charts.points import Point, draw_points
from expectations.column_profiles import bin_of
from expectations.site.files import EMBEDDINGS, INDEX
from expectations.site.page import Page
from expectations.site.ranges import choose_ranges
from expectations.site.trainings import Version, draw_measures, list_bounds, list_spaces
from expectations.suite import Bound
from expectations.wording import format_percent

# Artists that a cluster is named by.
NAMED_ARTISTS = 2


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
            "bounds": list(list_bounds(facts.versions, facts.bounds)),
            "sample": list(draw_sample(facts.sample)) if facts.sample else [],
            "codebooks": list(draw_codebooks(facts.codebooks)),
            "map": draw_map(facts.map) if facts.map else None,
        },
        (("All tables", INDEX),),
    )
