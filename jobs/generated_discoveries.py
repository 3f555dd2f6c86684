"""What is known of generated discoveries and sessions, which no source would say: written beside the plays.

DIR/truth/tracks/*.csv        track_id, quality: the chance that a listener who discovers it plays it on the next day
DIR/truth/discoveries/*.csv   play_id, user_id, track_id, quality, background
DIR/truth/sessions/*.csv      user_id, started_at, background: the intent of each session
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset as pads
from pyarrow import csv
from pyspark.sql import functions as F

from features.synthetic import catalogue
from features.synthetic.discoveries import (
    POSITION,
    QUALITIES,
    draw_discoveries,
    is_background,
    quality_level,
    quality_of,
)
from features.synthetic.listening import SLOT_SHARES, format_play_id, generate_sessions
from features.synthetic.perfect_rewards import compute_perfect_rewards
from features.synthetic.world import DAY_MS, World
from jobs.errors import WrongUsage, first_line
from segue.storage import filesystem, join_path

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# Of truth.json; and the reward that it is of.
TRUTH, STICKINESS = "perfect_rewards", "sticky_59d"
USERS_PER_FILE = 50_000


def write_discoveries(world: World, users: DataFrame, tracks: DataFrame, out: str) -> dict[str, Any]:
    """The truth about them: how many, and what share of their stickiness can be known after 0, 1 … days."""
    sessions = generate_sessions(world, users, range(world.days))
    found = draw_discoveries(world, sessions, len(SLOT_SHARES)).where(F.col("at_ms") < world.days * DAY_MS)
    play = world.hash("play", F.col("user"), F.col("slot"), F.lit(POSITION))
    rows = found.select(
        format_play_id(play).alias("play_id"),
        _user_id(),
        catalogue.track_id(F.col("track")).alias("track_id"),
        quality_of(F.col("level")).alias("quality"),
        "background",
    )
    _write(_by_listener(world, rows), out, "discoveries")
    levels = tracks.select("track_id", quality_level(world, F.col("track")).alias("level"))
    qualities = levels.select("track_id", quality_of(F.col("level")).alias("quality"))
    _write(qualities, out, "tracks")
    # a catalogue of few tracks has other shares than those that it was drawn by
    counts = {row["level"]: row["count"] for row in levels.groupBy("level").count().collect()}
    shares = [counts.get(level, 0) / world.tracks for level in range(len(QUALITIES))]
    known = compute_perfect_rewards(world, shares)
    return {
        "discoveries": found.count(),
        "mean": round(known.mean, 6),
        "known": known.known.round(6).tolist(),
        "by_line": known.by_line.round(6).tolist(),
        "alone": {name: round(share, 6) for name, share in known.alone.items()},
    }


def write_intents(world: World, users: DataFrame, out: str) -> None:
    sessions = generate_sessions(world, users, range(world.days))
    started = F.timestamp_millis(F.col("start_ms") + world.epoch_ms)
    rows = sessions.select(
        _user_id(),
        F.date_format(started, "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'").alias("started_at"),
        is_background(world, F.col("user"), F.col("slot")).alias("background"),
    )
    _write(_by_listener(world, rows), out, "sessions")


def read_discoveries(folder: str) -> tuple[pa.Array, dict[str, Any]]:
    """Ids of the plays that are discoveries, and what can be known of them, as `write_discoveries` says it.

    Raises:
        WrongUsage: the folder has no such truth.
    """
    try:
        files, path = filesystem(folder)
        with files.open_input_stream(join_path(path, "truth.json")) as file:
            truth: dict[str, Any] = json.loads(file.read())[TRUTH]
        # an id of digits, or of digits and one e, would be taken for a number
        types = csv.ConvertOptions(column_types={"play_id": pa.string()})
        form = pads.CsvFileFormat(convert_options=types)
        rows = pads.dataset(join_path(path, "truth", "discoveries"), format=form, filesystem=files)
        return rows.to_table(columns=["play_id"])["play_id"].combine_chunks(), truth
    except (OSError, pa.ArrowException, ValueError, KeyError) as problem:
        text = f"--generated {folder}: no discoveries are there ({first_line(problem)})"
        raise WrongUsage(f"{text}; expected a folder of generate-plays with --discoveries") from None


def _by_listener(world: World, rows: DataFrame) -> DataFrame:
    return rows.repartition(1 + world.users // USERS_PER_FILE, "user_id")


def _user_id() -> Column:
    return catalogue.format_id("u", 6, F.col("user")).alias("user_id")


def _write(rows: DataFrame, out: str, name: str) -> None:
    # in one order: equal settings give equal files, however many machines write them
    rows.sortWithinPartitions(*rows.columns).write.mode("overwrite").csv(f"{out}/truth/{name}", header=True)
