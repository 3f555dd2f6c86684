"""How often health is wrong about a quiet day, and how often it sees a bad one: of made-up months, and of real ones.

    python benchmarks/drift_alarms.py                  # of made-up days alone: about a minute
    python benchmarks/drift_alarms.py --data FOLDER    # with its folders triplej, classic_rock and nowplaying

Made-up days are those of the tests, with weeks, growth and another seed each: plays, sessions, features and candidates.
Of real histories there are counts and hours of plays. triple j is as it is, days with a silence of five hours left out:
its scraper stood still. A week of 25 stations (classic rock) is drawn again for each week, station by station; sessions
without times (nowplaying) are dealt to days. Bad days are half of the plays of a day, all of them ten hours later, and
all of them twice, each in place of a whole day's.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np

TOP = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP), str(TOP / "tests"), str(TOP / "benchmarks")]

from expectations.column_profiles import INSTANT, ColumnProfile, bin_of  # noqa: E402
from jobs.health.drift_settings import DriftSettings  # noqa: E402
from jobs.health.history import TableHistory, list_compared_days  # noqa: E402
from jobs.health.judgement import judge_table  # noqa: E402
from segue import show  # noqa: E402

FIRST = date(2024, 1, 1)
HISTORY, MONTH = 63, 30
SETTINGS = DriftSettings()


@dataclass(frozen=True)
class Day:
    """Plays of a day, by hour of it where that is known; `whole` is false where some are missing."""

    plays: int
    hours: tuple[int, ...] = ()
    whole: bool = True


# --- histories


def read_triplej(folder: Path) -> list[Day]:
    from volume_bounds import SILENCE, find_silence, read_triplej_times

    times = read_triplej_times(folder)
    days = [min(times) + timedelta(days=n) for n in range((max(times) - min(times)).days + 1)]
    return [
        Day(len(times[day]), _count_hours(times[day]), find_silence(day, times[day]) < SILENCE)
        for day in days
    ]


def _count_hours(times: Sequence[datetime]) -> tuple[int, ...]:
    counts = Counter(time.hour for time in times)
    return tuple(counts[hour] for hour in range(24))


def draw_classic_rock(folder: Path, random: np.random.Generator, weeks: int) -> list[Day]:
    from volume_bounds import read_text

    text = read_text(folder / "classic_rock" / "classic_rock_raw_data.csv.gz")
    counts: dict[tuple[str, int], Counter[int]] = defaultdict(Counter)
    for row in csv.DictReader(io.StringIO(text)):
        values = {name.strip().lower(): value for name, value in row.items()}
        moment = datetime.fromtimestamp(int(values["time"]), UTC)
        counts[values["callsign"], moment.weekday()][moment.hour] += 1
    names = sorted({name for name, _ in counts})
    days = []
    for n in range(7 * weeks):
        drawn = random.choice(names, len(names))
        hours = [sum(counts[name, n % 7][hour] for name in drawn) for hour in range(24)]
        days.append(Day(sum(hours), tuple(hours)))
    return days


def deal_nowplaying(folder: Path, random: np.random.Generator, weeks: int) -> list[Day]:
    from volume_bounds import deal_nowplaying as deal

    return [Day(int(count)) for count in deal(folder, random, weeks, 800).plays]


# --- bad days, in place of a whole one


def halve(day: Day, random: np.random.Generator) -> Day:
    hours = tuple(random.binomial(day.hours, 0.5).tolist()) if day.hours else ()
    return Day(sum(hours) if hours else int(random.binomial(day.plays, 0.5)), hours)


def shift(day: Day, random: np.random.Generator) -> Day:
    return Day(day.plays, (*day.hours[10:], *day.hours[:10]))


def double(day: Day, random: np.random.Generator) -> Day:
    return Day(2 * day.plays, tuple(2 * each for each in day.hours))


FAULTS = {"half": halve, "ten hours later": shift, "twice": double}


# --- judgement


def judge(days: Sequence[Day], n: int, today: Day) -> set[str]:
    """Kinds of what is news of day `n`, were it `today`."""
    known = {FIRST + timedelta(days=k): days[k] for k in range(max(0, n - HISTORY), n)}
    day = FIRST + timedelta(days=n)
    known[day] = today
    compared = list_compared_days(day, SETTINGS)
    profiles = {
        (each, "played_at"): ColumnProfile(INSTANT, of.plays, bins=_to_bins(of.hours))
        for each, of in known.items()
        if each in compared and of.hours and of.plays
    }
    history = TableHistory("plays", day, {each: of.plays for each, of in known.items()}, profiles)
    return {finding.kind for finding in judge_table(history, SETTINGS).news}


def _to_bins(hours: Sequence[int]) -> Mapping[int, int]:
    return {int(bin_of(hour)): count for hour, count in enumerate(hours) if count}


def measure(days: Sequence[Day], random: np.random.Generator) -> tuple[object, ...]:
    """Days places, alarms, the most of them in thirty days, and of each fault the share that is seen."""
    places = [n for n in range(HISTORY, len(days)) if days[n].whole]
    alarms = [n for n in places if judge(days, n, days[n])]
    worst = max((sum(n - MONTH < each <= n for each in alarms) for n in places), default=0)
    seen = []
    for name, spoil in FAULTS.items():
        if name == "ten hours later" and not days[places[0]].hours:
            seen.append("-")
            continue
        found = [bool(judge(days, n, spoil(days[n], random))) for n in places]
        seen.append(f"{np.mean(found):.0%}")
    return len(places), len(alarms), worst, *seen


def measure_made_up(seed: int, count: int) -> tuple[object, ...]:
    from reference.laid_days import DayHistories
    from reference.listening_days import ListeningDays

    histories, tables = (
        DayHistories(ListeningDays(seed)),
        ("plays", "sessions", "user_features", "candidates"),
    )
    places = range(HISTORY, count)
    alarms = [n for n in places for table in tables if judge_table(histories.read(table, n), SETTINGS).news]
    worst = max(sum(n - MONTH < each <= n for each in alarms) for n in places)
    return len(places), len(alarms), worst, *("-" for _ in FAULTS)


def list_series(folder: Path, random: np.random.Generator, weeks: int) -> Iterator[tuple[str, list[Day]]]:
    yield "triple j, as it is", read_triplej(folder)
    yield "classic rock, 25 stations", draw_classic_rock(folder, random, weeks)
    yield "nowplaying, 800 sessions", deal_nowplaying(folder, random, weeks)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="of real data")
    parser.add_argument("--seeds", type=int, default=5, help="made-up worlds (%(default)s)")
    parser.add_argument("--days", type=int, default=120, help="of each (%(default)s)")
    parser.add_argument("--weeks", type=int, default=60, help="of what is drawn or dealt (%(default)s)")
    args = parser.parse_args()
    rows = [(f"made up, seed {seed}", *measure_made_up(seed, args.days)) for seed in range(1, args.seeds + 1)]
    random = np.random.default_rng(1)
    rows += [
        (name, *measure(days, random))
        for name, days in (list_series(args.data, random, args.weeks) if args.data else ())
    ]
    header = ("series", "days", "alarms", "most in 30 days", *FAULTS)
    print(show.format_table(header, rows))


if __name__ == "__main__":
    main()
