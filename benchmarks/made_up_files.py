"""Files of made-up plays, for benchmarks of whole flows, and the source that reads them; laid without Spark."""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pc_csv
from numpy.typing import NDArray

SOURCE = """
name = "test"
header = ["id", "who", "track", "artist", "at", "ms", "length"]
[plays]
play_id = "id"
user_id = "who"
track_id = "track"
artist_id = "artist"
played_at = "at"
ms_played = "ms"
track_ms = "length"
"""
# Rows in memory at a time.
CHUNK = 1_000_000


@dataclass(frozen=True)
class Listening:
    """`hot` is the share of plays that one track has, `bot` that of one listener; all others are drawn evenly."""

    first: date
    plays: int
    days: int = 1
    users: int = 1000
    tracks: int = 50_000
    hot: float = 0.0
    bot: float = 0.0
    seed: int = 1


def write_plays(path: Path, listening: Listening) -> None:
    """One CSV file without a header; plays in no order."""
    draw = np.random.default_rng(listening.seed)
    with path.open("wb") as file:
        for start in range(0, listening.plays, CHUNK):
            rows = _draw_rows(draw, listening, min(CHUNK, listening.plays - start))
            pc_csv.write_csv(rows, file, pc_csv.WriteOptions(include_header=False, quoting_style="none"))


def _draw_rows(draw: np.random.Generator, listening: Listening, count: int) -> pa.Table:
    first = listening.first
    midnight = int(datetime(first.year, first.month, first.day, tzinfo=UTC).timestamp())
    seconds = midnight + draw.integers(0, 86_400 * listening.days, count)
    tracks = _draw_skewed(draw, listening.tracks, listening.hot, count)
    ids = np.frombuffer(binascii.hexlify(draw.bytes(16 * count)), "S32").astype(str)
    return pa.table(
        {
            "id": pa.array(ids),
            "who": _name("u", _draw_skewed(draw, listening.users, listening.bot, count)),
            "track": _name("t", tracks),
            "artist": _name("a", tracks % 9000),
            "at": pc.strftime(pa.array(seconds, pa.timestamp("s", "UTC")), "%Y-%m-%dT%H:%M:%SZ"),
            "ms": pa.array(draw.integers(0, 240_000, count)),
            "length": pa.array(np.full(count, 240_000)),
        }
    )


def _draw_skewed(draw: np.random.Generator, kinds: int, share: float, count: int) -> NDArray[np.int64]:
    drawn = draw.integers(0, kinds, count)
    drawn[draw.random(count) < share] = 0
    return drawn


def _name(letter: str, numbers: NDArray[np.int64]) -> pa.Array:
    return pc.binary_join_element_wise(letter, pa.array(numbers).cast("string"), "")
