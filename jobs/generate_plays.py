"""Makes up any number of plays, of listeners whose tastes are known, with faults that are counted.

    DIR/plays/delivered=YYYY-MM-DD/*.csv   as a source would send them: late, twice, broken too
    DIR/tracks/*.csv                       the catalogue
    DIR/source.toml                        how the files are laid out, for the steps that read them
    DIR/impressions/, DIR/impressions.toml what was shown before sessions, where --slate says how much
    DIR/truth/                             quality, intent and discoveries, where --discoveries or --background say so
    DIR/truth.json                         settings, exact counts, and how well one could recommend

Equal settings give equal files, however many machines write them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.sql import functions as F

from features.synthetic import catalogue, delivery, listening
from features.synthetic.discoveries import RETURN_DAYS
from features.synthetic.perfect_recommender import Tastes, compute_hit_rates
from features.synthetic.world import World, WorldError
from jobs.arguments import parse_day
from jobs.errors import WrongUsage
from jobs.generated_discoveries import TRUTH, write_discoveries, write_intents
from jobs.generated_impressions import describe_source, write_impressions
from jobs.publishing.warehouse import Warehouse
from jobs.session import open_session
from jobs.settings_flags import add_flags, from_flags
from segue.parser import CommandParser

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# The largest world has a billion tracks: a thousand tasks, and files.
TRACKS_PER_FILE = 1_000_000
# A line goes out as one field named like the whole header: so every file begins with the header,
# and broken lines stay broken, as nothing is quoted.
RAW_LINE_OPTIONS = {"header": "true", "sep": "\u0001", "quote": ""}


@dataclass(frozen=True)
class GenerationRequest:
    """The arguments, checked against each other."""

    world: World
    out: str
    bug: delivery.ClientBug | None
    only_day: date | None
    files_per_day: int

    def __post_init__(self) -> None:
        for day in (self.only_day, self.bug.day if self.bug else None):
            if day is not None:
                self.world.day_number(day)  # raises WorldError for a day that the world does not have
        if self.bug and self.only_day not in (None, self.bug.day):
            raise WrongUsage(
                f"--only-day {self.only_day} leaves no day to spoil; give --spoil-day the same day"
            )
        if self.files_per_day < 1:
            raise WrongUsage(f"--files-per-day is {self.files_per_day}, must be at least 1")


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    out = os.path.expanduser(args.out).rstrip("/")
    if Path(out).is_file():
        raise WrongUsage(f"--out {args.out} is a file, expected a folder; give another name")
    try:
        bug = delivery.ClientBug(args.spoil_day, args.spoil_share) if args.spoil_day else None
        request = GenerationRequest(from_flags(args, World), out, bug, args.only_day, args.files_per_day)
    except WorldError as error:
        raise WrongUsage(str(error)) from None
    place = Warehouse(out)
    before = _read_truth(request, place) if request.only_day else {}
    # Spark's log is a file of this machine
    log = None if "://" in out else Path(place.path("logs", "spark.log"))
    truth = generate(open_session("segue generate-plays", log), request, before)
    place.write(place.path("source.toml"), _source_toml())
    if request.world.slate:
        place.write(place.path("impressions.toml"), describe_source())
    # last: counts that are there are of plays that are there
    place.write(place.path("truth.json"), json.dumps(truth, indent=1))
    print(_format_summary(request, truth))
    return 0


def generate(spark: SparkSession, request: GenerationRequest, before: dict[str, Any]) -> dict[str, Any]:
    """Writes plays and tracks, or only one day of plays; returns the truth about all that is there now."""
    world, users = request.world, spark.range(request.world.users)
    days = _write_plays(request, users)
    if request.only_day:
        return before | _summarise_days(before["days"] | days)
    # everything about a track follows from its number, so the catalogue is made without the plays
    numbers = spark.range(0, world.tracks, 1, 1 + world.tracks // TRACKS_PER_FILE)
    tracks = catalogue.generate_tracks(world, numbers)
    tracks.select(*catalogue.DELIVERY_FIELDS).write.mode("overwrite").csv(
        f"{request.out}/tracks", header=True
    )
    if world.background:
        write_intents(world, users, request.out)
    return {
        "settings": world.model_dump(mode="json"),
        "perfect_recommender": _evaluate_perfect_recommender(world, users, tracks),
        "bots": world.bot_count,
        **({"impressions": write_impressions(world, users, request.out)} if world.slate else {}),
        **({TRUTH: write_discoveries(world, users, tracks, request.out)} if world.discoveries else {}),
        **_summarise_days(days),
    }


def _write_plays(request: GenerationRequest, users: DataFrame) -> dict[str, dict[str, Any]]:
    """Writes the lines and returns the counts of each day of delivery."""
    world = request.world
    lines = delivery.deliver(
        world, listening.generate_plays(world, users, session_days(request)), request.bug
    )
    if request.only_day:
        lines = lines.where(F.col("delivered") == request.only_day)
    # persisted, since they are needed twice: the counts are of the very lines that were written
    lines = lines.repartition("delivered", F.pmod("play", F.lit(request.files_per_day))).persist()
    try:
        (
            # with the line, which is unique but for exact copies: equal settings give equal files
            lines.sortWithinPartitions("delivered", "played_at", "line")
            .select("delivered", F.col("line").alias(",".join(delivery.DELIVERY_FIELDS)))
            .write.partitionBy("delivered")
            .mode("overwrite")
            # dynamic replaces only the folders of the days that are written
            .option("partitionOverwriteMode", "dynamic" if request.only_day else "static")
            .options(**RAW_LINE_OPTIONS)
            .csv(f"{request.out}/plays")
        )
        return _day_counts(lines)
    finally:
        lines.unpersist()


def session_days(request: GenerationRequest) -> range:
    """Days whose sessions can be delivered on the requested days."""
    if request.only_day is None:
        return range(request.world.days)
    day = request.world.day_number(request.only_day)
    returns = RETURN_DAYS if request.world.discoveries else 0
    # one more for a session that went on past midnight, and one for a line that comes again the next day
    return range(max(0, day - returns - delivery.MAX_DELAY_DAYS - 1 - 1), day + 1)


def _day_counts(lines: DataFrame) -> dict[str, dict[str, Any]]:
    """Counts of the lines by day of delivery, in the words of truth.json."""
    counts_by_day: dict[str, Counter[str]] = {}
    # at most 13 kinds x late or not x bot or not for each day: small enough for the driver
    for row in lines.groupBy("delivered", "kind", "late", "is_bot").count().collect():
        counts = counts_by_day.setdefault(str(row["delivered"]), Counter())
        counts.update({"rows": row["count"], row["kind"]: row["count"]})
        counts["late"] += row["count"] * row["late"]
        counts["bot_plays"] += row["count"] * (row["kind"] == delivery.PLAY and row["is_bot"])
    return {
        day: {
            "rows": counts["rows"],
            "plays": counts[delivery.PLAY],
            "duplicates": counts[delivery.DUPLICATE],
            "late": counts["late"],
            "spoiled": counts[delivery.SPOILED],
            "bot_plays": counts["bot_plays"],
            "broken": {kind: counts[kind] for kind in delivery.CORRUPTION_KINDS},
        }
        for day, counts in sorted(counts_by_day.items())
    }


def _summarise_days(days: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {"totals": _sum_counts(list(days.values())), "days": dict(sorted(days.items()))}


def _sum_counts(counts: list[dict[str, Any]]) -> dict[str, Any]:
    # those of broken lines are by kind, one level deeper
    return {
        name: _sum_counts([c[name] for c in counts])
        if isinstance(value, dict)
        else sum(c[name] for c in counts)
        for name, value in counts[0].items()
    }


def _evaluate_perfect_recommender(world: World, users: DataFrame, tracks: DataFrame) -> dict[str, Any]:
    # any negative day means "before the first one", so only new tracks need theirs
    release_day = np.full(world.tracks, -1)
    new = tracks.where("release_day >= 0").select("track", "release_day").toArrow()
    release_day[new["track"].to_numpy()] = new["release_day"].to_numpy()
    expected = listening.expected_tastes(world, users).toArrow()
    tastes = Tastes(*(expected[f.name].to_numpy() for f in fields(Tastes)))
    rates = compute_hit_rates(world, release_day, tastes)
    # six digits: the last bits depend on the order in which Spark adds
    return {
        "hit_rate_at_10": round(float(rates.all_plays.mean()), 6),
        "hit_rate_at_10_without_repeats": round(float(rates.without_repeats.mean()), 6),
        "hit_rate_at_10_by_day": rates.all_plays.round(6).tolist(),
    }


def _read_truth(request: GenerationRequest, place: Warehouse) -> dict[str, Any]:
    """The truth.json of the run that wrote all days.

    Raises:
        WrongUsage: there was none, or it was of another world.
    """
    try:
        with place.files.open_input_stream(place.inner(place.path("truth.json"))) as file:
            truth: dict[str, Any] = json.loads(file.read())
    except FileNotFoundError:
        raise WrongUsage(f"--only-day: no truth.json in {request.out}; write all days there first") from None
    # of settings that came later, the world of then had the default
    then = World().model_dump(mode="json") | truth["settings"]
    now = request.world.model_dump(mode="json")
    # else truth.json would count days of two worlds as one
    differ = [f"{name} was {then[name]}, is {now[name]}" for name in now if now[name] != then[name]]
    if differ:
        raise WrongUsage(f"--only-day: {request.out} is another world: {'; '.join(differ)}")
    return truth


def _source_toml() -> str:
    """Our columns by our names."""
    lines = ['name = "segue"', 'format = "csv"']
    for section, columns in {"plays": delivery.DELIVERY_FIELDS, "tracks": catalogue.DELIVERY_FIELDS}.items():
        lines += ["", f"[{section}]", *(f'{column} = "{column}"' for column in columns)]
    return "\n".join([*lines, ""])


def _format_summary(request: GenerationRequest, truth: dict[str, Any]) -> str:
    world, totals, perfect = request.world, truth["totals"], truth["perfect_recommender"]["hit_rate_at_10"]
    rewritten = f"{request.only_day} written again; now " if request.only_day else ""
    lines = [
        f"{rewritten}{totals['plays']:,} plays by {world.users:,} listeners ({truth['bots']:,} bots) of "
        f"{world.tracks:,} tracks, {world.days} days to {world.day(world.days - 1)}",
        f"{totals['late']:,} plays late, {totals['duplicates']:,} lines double, "
        f"{sum(totals['broken'].values()):,} broken, {totals['spoiled']:,} spoiled",
        f"a recommender that knew every taste would have HR@10 {perfect:.3f}",
        *_describe_rewards(truth.get(TRUTH)),
    ]
    labels = ["generate-plays"] + [""] * (len(lines) - 1)
    return "\n".join(f"  {label:<24}{line}" for label, line in zip(labels, lines, strict=True))


def _describe_rewards(known: dict[str, Any] | None) -> Iterator[str]:
    if known is None:
        return
    yield f"{known['discoveries']:,} discoveries, played on {known['mean']:.2f} days in {RETURN_DAYS + 1}"
    shares = (f"{known[name][n]:.3f}" for name in ("known", "by_line") for n in (0, 1, 7))
    yield (
        "of that, who knew quality and intent would explain R² {}, {} after a day, {} after seven; a line through "
        "completed, saved and returns {}, {}, {}"
    ).format(*shares)


def _parser() -> argparse.ArgumentParser:
    description = (__doc__ or "").split("\n\n")[0]
    # no --root and no --run-id: what is written is no table, and a source has to read it like any other
    parser = CommandParser(prog="segue run generate-plays", description=description)
    add = parser.add_argument
    add("--out", required=True, help="folder to write to; a path that Spark can write")
    add("--only-day", type=parse_day, help="write this day of delivery again, and leave the others")
    add("--spoil-day", type=parse_day, help="day of delivery on which a client has a bug")
    add("--spoil-share", type=float, default=0.4, help="share of that day it hits (%(default)s)")
    add("--files-per-day", type=int, default=1, help="at most so many (%(default)s)")
    add_flags(parser, World)
    return parser


if __name__ == "__main__":
    sys.exit(main())
