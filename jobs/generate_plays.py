"""Make up plays of any size, of listeners whose tastes are known, and say what is wrong with them.

    DIR/plays/delivered=YYYY-MM-DD/*.csv   as a source would send them: late, twice, broken too
    DIR/tracks/*.csv                       the catalogue
    DIR/source.toml                        how the files are laid out, for the steps that read them
    DIR/truth.json                         settings, exact counts, and how well one could recommend

Equal settings give equal files, however many machines write them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.sql import functions as F

from features import catalogue, listening
from features.damage import BROKEN, DUPLICATE, FIELDS, LATEST_DAYS, PLAY, SPOILED, Spoil, deliver
from features.ideal import Tastes, hit_rates
from features.ingest import TRACK_FIELDS
from features.world import World, WorldError
from jobs.errors import WrongUsage
from jobs.job import day_argument
from jobs.publishing.warehouse import Warehouse
from jobs.session import open_session

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

TRACKS_PER_FILE = 1_000_000
# A line goes out as one field named like the whole header: so every file begins with the header,
# and broken lines stay broken, as nothing is quoted.
AS_IS = {"header": "true", "sep": "\u0001", "quote": ""}


@dataclass(frozen=True)
class Asked:
    """The arguments, checked against each other."""

    world: World
    out: str
    spoil: Spoil | None
    only_day: date | None
    files_per_day: int

    def __post_init__(self) -> None:
        for day in (self.only_day, self.spoil.day if self.spoil else None):
            if day is not None:
                self.world.day_number(day)
        if self.spoil and self.only_day not in (None, self.spoil.day):
            raise WrongUsage(
                f"--only-day {self.only_day} leaves no day to spoil; give --spoil-day the same day"
            )
        if self.files_per_day < 1:
            raise WrongUsage(f"--files-per-day is {self.files_per_day}, must be at least 1")


def main(argv: Sequence[str] | None = None) -> int:
    try:
        asked = _asked(_parser().parse_args(argv))
    except WorldError as error:
        raise WrongUsage(str(error)) from None
    place = Warehouse(asked.out)
    before = _truth_before(asked, place) if asked.only_day else {}
    log = None if "://" in asked.out else Path(place.path("logs", "spark.log"))
    truth = generate(open_session("segue generate-plays", log), asked, before)
    _save(place, "source.toml", _source())
    _save(place, "truth.json", json.dumps(truth, indent=1))
    print(_summary(asked, truth))
    return 0


def generate(spark: SparkSession, asked: Asked, before: dict[str, Any]) -> dict[str, Any]:
    """Writes plays and tracks, or only one day of plays; returns the truth about all that is there now."""
    world, users = asked.world, spark.range(asked.world.users)
    days = _write_plays(asked, users)
    if asked.only_day:
        return before | _counts(before["days"] | days)
    numbers = spark.range(0, world.tracks, 1, 1 + world.tracks // TRACKS_PER_FILE)
    tracks = catalogue.tracks(world, numbers)
    tracks.select(*TRACK_FIELDS).write.mode("overwrite").csv(f"{asked.out}/tracks", header=True)
    return {
        "settings": _settings(world),
        "perfect_recommender": _perfect(world, users, tracks),
        "bots": world.bot_count,
        **_counts(days),
    }


def _write_plays(asked: Asked, users: DataFrame) -> dict[str, dict[str, Any]]:
    """Writes the lines and returns the counts of each day of delivery."""
    world = asked.world
    lines = deliver(world, listening.plays(world, users, session_days(asked)), asked.spoil)
    if asked.only_day:
        lines = lines.where(F.col("delivered") == asked.only_day)
    # Kept, since they are needed twice: the counts are of the very lines that were written.
    lines = lines.repartition("delivered", F.pmod("play", F.lit(asked.files_per_day))).persist()
    try:
        (
            lines.sortWithinPartitions("delivered", "played_at", "line")
            .select("delivered", F.col("line").alias(",".join(FIELDS)))
            .write.partitionBy("delivered")
            .mode("overwrite")
            .option("partitionOverwriteMode", "dynamic" if asked.only_day else "static")
            .options(**AS_IS)
            .csv(f"{asked.out}/plays")
        )
        return _day_counts(lines)
    finally:
        lines.unpersist()


def session_days(asked: Asked) -> range:
    """Days whose sessions can show on the days asked for: a day more for each thing that delays."""
    if asked.only_day is None:
        return range(asked.world.days)
    day = asked.world.day_number(asked.only_day)
    past_midnight, duplicate = 1, 1
    return range(max(0, day - LATEST_DAYS - past_midnight - duplicate), day + 1)


def _day_counts(lines: DataFrame) -> dict[str, dict[str, Any]]:
    by_day: dict[str, Counter[str]] = {}
    for row in lines.groupBy("delivered", "kind", "late", "is_bot").count().collect():
        seen = by_day.setdefault(str(row["delivered"]), Counter())
        seen.update({"rows": row["count"], row["kind"]: row["count"]})
        seen["late"] += row["count"] * row["late"]
        seen["bot_plays"] += row["count"] * (row["kind"] == PLAY and row["is_bot"])
    return {day: _named(seen) for day, seen in sorted(by_day.items())}


def _named(seen: Counter[str]) -> dict[str, Any]:
    return {
        "rows": seen["rows"],
        "plays": seen[PLAY],
        "duplicates": seen[DUPLICATE],
        "late": seen["late"],
        "spoiled": seen[SPOILED],
        "bot_plays": seen["bot_plays"],
        "broken": {how: seen[how] for how in BROKEN},
    }


def _counts(days: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {"totals": _total(days.values()), "days": dict(sorted(days.items()))}


def _total(counts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    each = list(counts)
    return {
        name: _total(c[name] for c in each) if isinstance(value, dict) else sum(c[name] for c in each)
        for name, value in each[0].items()
    }


def _perfect(world: World, users: DataFrame, tracks: DataFrame) -> dict[str, Any]:
    release_day = np.full(world.tracks, -1)
    new = tracks.where("release_day >= 0").select("track", "release_day").toArrow()
    release_day[new["track"].to_numpy()] = new["release_day"].to_numpy()
    tastes = listening.tastes(world, users).toArrow()
    rates = hit_rates(world, release_day, Tastes(*(tastes[f.name].to_numpy() for f in fields(Tastes))))
    return {
        "hit_rate_at_10": round(float(rates.all_plays.mean()), 6),
        "hit_rate_at_10_without_repeats": round(float(rates.without_repeats.mean()), 6),
        "hit_rate_at_10_by_day": rates.all_plays.round(6).tolist(),
    }


def _truth_before(asked: Asked, place: Warehouse) -> dict[str, Any]:
    """What the run that wrote all days said.

    Raises:
        WrongUsage: there was none, or it was of another world.
    """
    try:
        with place.files.open_input_stream(place.inner(place.path("truth.json"))) as file:
            truth: dict[str, Any] = json.loads(file.read())
    except FileNotFoundError:
        raise WrongUsage(f"--only-day: no truth.json in {asked.out}; write all days there first") from None
    now, then = _settings(asked.world), truth["settings"]
    differ = [f"{name} was {then.get(name)}, is {now[name]}" for name in now if now[name] != then.get(name)]
    if differ:
        raise WrongUsage(f"--only-day: {asked.out} is another world: {'; '.join(differ)}")
    return truth


def _save(place: Warehouse, name: str, text: str) -> None:
    with place.files.open_output_stream(place.inner(place.path(name))) as file:
        file.write(text.encode())


def _source() -> str:
    """Our columns by our names."""
    sections = {"plays": FIELDS, "tracks": TRACK_FIELDS}
    lines = [
        f"\n[{name}]\n" + "".join(f'{c} = "{c}"\n' for c in columns) for name, columns in sections.items()
    ]
    return 'name = "segue"\nformat = "csv"\n' + "".join(lines)


def _settings(world: World) -> dict[str, Any]:
    return asdict(world) | {"first_day": str(world.first_day)}


def _summary(asked: Asked, truth: dict[str, Any]) -> str:
    world, totals, perfect = asked.world, truth["totals"], truth["perfect_recommender"]["hit_rate_at_10"]
    rewritten = f"{asked.only_day} written again; now " if asked.only_day else ""
    lines = (
        f"{rewritten}{totals['plays']:,} plays by {world.users:,} listeners ({truth['bots']:,} bots) of "
        f"{world.tracks:,} tracks, {world.days} days to {world.day(world.days - 1)}",
        f"{totals['late']:,} plays late, {totals['duplicates']:,} lines double, "
        f"{sum(totals['broken'].values()):,} broken, {totals['spoiled']:,} spoiled",
        f"a recommender that knew every taste would have HR@10 {perfect:.3f}",
    )
    return "\n".join(
        f"  {name:<24}{line}" for name, line in zip(("generate-plays", "", ""), lines, strict=True)
    )


def _asked(args: argparse.Namespace) -> Asked:
    world = World(**{f.name: getattr(args, f.name) for f in fields(World)})
    spoil = Spoil(args.spoil_day, args.spoil_share) if args.spoil_day else None
    return Asked(world, args.out.rstrip("/"), spoil, args.only_day, args.files_per_day)


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="generate-plays", description=(__doc__ or "").split("\n\n")[0])
    made.add_argument("--out", required=True, help="folder to write to; a path that Spark can write")
    made.add_argument(
        "--only-day", type=day_argument, help="write this day of delivery again, and leave the others"
    )
    made.add_argument("--spoil-day", type=day_argument, help="day of delivery on which a client has a bug")
    made.add_argument(
        "--spoil-share", type=float, default=0.4, help="share of that day it hits (%(default)s)"
    )
    made.add_argument("--files-per-day", type=int, default=1, help="at most so many (%(default)s)")
    for f in fields(World):
        kind = day_argument if isinstance(f.default, date) else type(f.default)
        made.add_argument(
            f"--{f.name.replace('_', '-')}",
            type=kind,
            default=f.default,
            help=f"{f.metadata['meaning']} (%(default)s)",
        )
    return made


if __name__ == "__main__":
    sys.exit(main())
