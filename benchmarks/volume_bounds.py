"""Measures the gate's bounds on a day's volume: how often a whole day is outside, and how often half a day is.

    python benchmarks/volume_bounds.py                  # of made-up series alone
    python benchmarks/volume_bounds.py --data FOLDER    # with its folders triplej, classic_rock and nowplaying

Daily counts of three real sources and of made-up ones are judged as an ingest judges them. triple j is as it is, gaps
of its scraper included: a day with five hours of silence is no whole day, and is counted apart. A week of 25 stations
(classic rock) is drawn again for each week, station by station; sessions without times (nowplaying) are dealt to
days. Half a day is each play with a chance of a half, in place of the day's own.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from expectations.plays import SUITE
from jobs.volume import compare_with_weekdays
from segue import show

Counts = NDArray[np.int64]

FIRST = date(2024, 1, 1)
# Of made-up listening: Friday and Saturday are the full days.
WEEK = np.array([1, 1, 1.02, 1.05, 1.2, 1.35, 1.1])
MEASURES = ("weekday_share", "fullest_weekday_share")
BOUNDS = [each for each in SUITE.bounds if each.name in MEASURES]
SILENCE = timedelta(hours=5)


@dataclass(frozen=True)
class Series:
    """Plays by day, and which of the days are whole."""

    plays: Counts
    whole: NDArray[np.bool_]


def read_triplej(folder: Path) -> Series:
    times = read_triplej_times(folder)
    days = [min(times) + timedelta(days=n) for n in range((max(times) - min(times)).days + 1)]
    return Series(
        np.array([len(times[day]) for day in days]),
        np.array([find_silence(day, times[day]) < SILENCE for day in days]),
    )


def read_triplej_times(folder: Path) -> dict[date, list[datetime]]:
    """Of each day of UTC."""
    text = read_text(folder / "triplej" / "playlist_20140929.csv.gz", "mac_roman")
    times: dict[date, list[datetime]] = defaultdict(list)
    for row in csv.DictReader(io.StringIO(text, newline="")):
        if row["date"]:
            local = datetime.strptime(f"{row['date']} {row['time']}", "%d/%m/%Y %H:%M:%S").replace(tzinfo=UTC)
            times[(local - timedelta(hours=10)).date()].append(local - timedelta(hours=10))
    return times


def read_text(path: Path, encoding: str = "utf-8") -> str:
    with gzip.open(path) as file:
        return file.read().decode(encoding, "replace")


def find_silence(day: date, times: list[datetime]) -> timedelta:
    """The longest one of a day, up to its ends."""
    midnight = datetime.combine(day, datetime.min.time(), UTC)
    instants = [midnight, *sorted(times), midnight + timedelta(days=1)]
    return max(after - before for before, after in pairwise(instants))


def draw_classic_rock(folder: Path, random: np.random.Generator, weeks: int, stations: int) -> Series:
    text = read_text(folder / "classic_rock" / "classic_rock_raw_data.csv.gz")
    counts: Counter[tuple[str, int]] = Counter()
    for row in csv.DictReader(io.StringIO(text)):
        values = {name.strip().lower(): value for name, value in row.items()}
        counts[values["callsign"], datetime.fromtimestamp(int(values["time"]), UTC).weekday()] += 1
    names = sorted({name for name, _ in counts})
    week = np.array([[counts[name, day] for day in range(7)] for name in names])
    drawn = [
        week[random.integers(0, len(names), stations), day].sum() for _ in range(weeks) for day in range(7)
    ]
    return _whole(np.array(drawn))


def deal_nowplaying(folder: Path, random: np.random.Generator, weeks: int, sessions: float) -> Series:
    lengths = [
        len(line.split()) for line in read_text(folder / "nowplaying" / "sessions.txt.gz").splitlines()
    ]
    days = random.poisson(sessions * np.tile(WEEK, weeks))
    return _whole(np.array([random.choice(lengths, count).sum() for count in days]))


def make_up(
    random: np.random.Generator, weeks: int, mean: float, variation: float = 0, growth: float = 0
) -> Series:
    """Poisson counts of a rate with a week in it; `variation` of the rate from day to day makes them negative binomial.

    `growth` is that of a week. One day in fifty is a holiday with 70 % of its plays.
    """
    rate = mean * np.tile(WEEK / WEEK.mean(), weeks) * (1 + growth) ** (np.arange(7 * weeks) / 7)
    rate *= np.where(random.random(len(rate)) < 0.02, 0.7, 1)
    if variation:
        rate *= random.gamma(1 / variation**2, variation**2, len(rate))
    return _whole(random.poisson(rate))


def _whole(plays: Counts) -> Series:
    return Series(plays, np.ones(len(plays), bool))


def judge(plays: Counts, n: int, count: int) -> bool | None:
    """Whether an ingest would warn of day `n` with `count` plays; None where there are no weeks before."""
    by_day = {FIRST + timedelta(days=k): int(plays[k]) for k in range(max(0, n - 56), n)}
    volume = compare_with_weekdays({**by_day, FIRST + timedelta(days=n): count}, FIRST + timedelta(days=n))
    if volume is None:
        return None
    numbers = {"has_weekdays": 1.0, **volume.measures()}
    return not all(bound.check(numbers).success for bound in BOUNDS)


def measure(series: Series, random: np.random.Generator) -> tuple[object, ...]:
    """Days judged; shares outside of whole days, of halved ones, and of those that are not whole."""
    outside: dict[str, list[bool]] = {"whole": [], "half": [], "gaps": []}
    for n in range(28, len(series.plays)):
        verdict = judge(series.plays, n, int(series.plays[n]))
        if verdict is None:
            continue
        outside["whole" if series.whole[n] else "gaps"].append(verdict)
        if series.whole[n]:
            half = judge(series.plays, n, int(random.binomial(series.plays[n], 0.5)))
            outside["half"].append(bool(half))
    shares = {name: f"{np.mean(each):.1%}" if each else "-" for name, each in outside.items()}
    return round(float(np.median(series.plays))), len(outside["whole"]), *shares.values()


def list_series(
    folder: Path | None, random: np.random.Generator, weeks: int
) -> Iterator[tuple[str, Callable[[], Series]]]:
    if folder:
        yield "triple j, as it is", lambda: read_triplej(folder)
        for stations in (25, 5, 1):
            yield (
                f"classic rock, {stations} stations",
                lambda n=stations: draw_classic_rock(folder, random, weeks, n),
            )
        for sessions in (800, 80, 8):
            yield (
                f"nowplaying, {sessions} sessions",
                lambda n=sessions: deal_nowplaying(folder, random, weeks, n),
            )
    for mean in (100_000, 10_000, 1_000, 100, 30, 15):
        yield f"Poisson of {mean:,}", lambda n=mean: make_up(random, weeks, n)
    for mean, variation in ((5_000, 0.1), (5_000, 0.15), (60, 0.15), (5_000, 0.2)):
        name = f"negative binomial of {mean:,}, {variation:.0%}"
        yield name, lambda n=mean, v=variation: make_up(random, weeks, n, v)
    yield "growing by 5 % a week, 8 %", lambda: make_up(random, 60, 3_000, 0.08, 0.05)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="of real data")
    parser.add_argument("--weeks", type=int, default=150)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    random = np.random.default_rng(args.seed)
    rows = [(name, *measure(make(), random)) for name, make in list_series(args.data, random, args.weeks)]
    header = ("series", "plays a day", "days", "whole, outside", "half, outside", "with gaps, outside")
    print(show.format_table(header, rows))


if __name__ == "__main__":
    main()
