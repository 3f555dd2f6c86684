"""Impressions and plays at the edges of windows; and the cards of a project with impressions, as its files say them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from reference.rows import Row, bucket, day
from reference.worlds import AROUND, MIDNIGHT, World, session_play
from schemas.attributions import AttributionRule
from schemas.declarations import FeatureGroup
from schemas.impressions import IMPRESSIONS
from schemas.project_declarations import load_declarations

HOUR = timedelta(hours=1)
LAST_TOUCH = AttributionRule("last_touch_1d", "1d")
# of both kinds of items, of what was in view, within minutes
SEEN = AttributionRule("seen_30m", "30m", {"track": "track_id", "artist": "artist_id"}, where="seen")
RULES = (LAST_TOUCH, SEEN)


def is_seen(impression: Row) -> bool:
    return impression["seen"] is True


def impression(**overrides: Any) -> Row:
    """A row of `impressions`, all of it unless overridden, without `available_at`."""
    row = {column.name: None for column in IMPRESSIONS.columns} | {
        "impression_id": "i1",
        "request_id": "r1",
        "user_id": "u1",
        "shown_at": MIDNIGHT + 12 * HOUR,
        "surface": "home",
        "position": 1,
        "item_type": "track",
        "item_id": "t1",
        "source": "test",
    }
    if unknown := overrides.keys() - row.keys():
        raise KeyError(f"no column {sorted(unknown)}")
    row |= overrides
    return row | {"bucket": bucket(row["user_id"]), "ds": day(row["shown_at"])}


def shown_and_played(seed: int, worlds: int) -> tuple[World, World]:
    """Impressions and rows of `sessions` of so many worlds, each a listener: its number is in the id.

    Impressions lie around one, or two, windows of `RULES` before a play, many at one instant, some twice under two ids.
    """
    rng = Random(seed)
    impressions, plays = World(), World()
    for number in range(worlds):
        user = f"world {number}"
        own = [_play(rng, user, n) for n in range(rng.randint(1, 4))]
        instants = [_before(rng, rng.choice(own)["played_at"]) for _ in range(rng.randint(1, 3))]
        for n in range(rng.randint(1, 6)):
            impressions.append(_impression(rng, user, n, rng.choice(instants)))
        if rng.random() < 0.2:
            impressions.append(impressions[-1] | {"impression_id": f"{user} again"})
        plays += own
    rng.shuffle(impressions)
    rng.shuffle(plays)
    return impressions, plays


def _play(rng: Random, user: str, n: int) -> Row:
    # two may begin at one instant, and half an hour apart the one's impressions lie around the other
    at = MIDNIGHT + rng.choice((0, 0, 12, 12.5, 24)) * HOUR + rng.choice(AROUND)
    return session_play(
        play_id=f"{user} {n}",
        user_id=user,
        played_at=at,
        track_id=rng.choice(("t1", "t2", "same")),
        artist_id=rng.choice((None, "a1", "same")),
        ms_played=rng.choice((None, 0, 180_000)),
        skipped=rng.choice((None, True, False)),
    )


def _before(rng: Random, played_at: datetime) -> datetime:
    window = rng.choice((timedelta(0), timedelta(0), SEEN.length, LAST_TOUCH.length, HOUR, -HOUR))
    return played_at - window + rng.choice(AROUND)


def _impression(rng: Random, user: str, n: int, shown_at: datetime) -> Row:
    return impression(
        impression_id=f"{user} {rng.choice('abc')}{n}",
        request_id=f"{user} {n}",
        user_id=user,
        shown_at=shown_at,
        # an artist of the name of a track is another item
        item_type=rng.choice(("track", "track", "artist", "playlist")),
        item_id=rng.choice(("t1", "t2", "a1", "same", "same")),
        seen=rng.choice((None, True, True, False)),
        shelf_position=rng.choice((None, 1, 2)),
        position=rng.choice((1, 2)),
        propensity=rng.choice((None, 0.5)),
    )


# --- a project with them


# As JSON, from another system than the plays.
SOURCE = """
name = "cards"
format = "json"

[impressions]
impression_id = "card"
request_id = "request"
user_id = "who"
shown_at = "at"
surface = "surface"
position = "place + 1"
item_type = "'track'"
item_id = "track"
policy_id = "'uniform'"
propensity = "chance"
candidate_count = "2"
"""
REJECT = (
    '{"card": "never", "request": "r", "who": "u", "at": "2026-01-06T10:00:00Z", "place": 0, "track": "t", '
    '"chance": 0}'
)


def read_example() -> str:
    """What the page of the docs declares."""
    page = Path(__file__).parents[2] / "docs" / "impressions.md"
    return page.read_text(encoding="utf-8").partition("```text\n")[2].partition("```")[0]


def declare() -> dict[str, FeatureGroup]:
    """The groups of the example, by table."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "a.py").write_text(read_example())
        return {group.table: group for group in load_declarations([folder], ()).groups}


def cards(plays: Sequence[Row]) -> list[Row]:
    """Of some plays: what they played was shown before, beside another track, and often twice at one instant."""
    chosen = sorted(plays, key=lambda row: (row["played_at"], row["play_id"]))[::7][:60]
    rows = []
    for n, play in enumerate(chosen):
        # some a day before or later, which led to nothing
        at = play["played_at"] - timedelta(minutes=[1, 30, 60, 1440, 1441, -1][n % 6])
        tracks = [play["track_id"], chosen[n - 1]["track_id"]]
        for place, track in enumerate(tracks[:: 1 if n % 2 else -1]):
            rows.append(
                impression(
                    impression_id=f"card {n} {place}",
                    request_id=f"request {n}",
                    user_id=play["user_id"],
                    shown_at=at,
                    surface=["home", "search"][n % 2],
                    position=place + 1,
                    item_id=track,
                    policy_id="uniform",
                    propensity=0.5,
                    candidate_count=2,
                    source="cards",
                )
            )
    return rows


def write_cards(folder: Path, rows: Sequence[Row], *extra: str) -> None:
    """One delivery."""
    names = {"impression_id": "card", "request_id": "request", "user_id": "who", "surface": "surface"}
    names |= {"item_id": "track", "propensity": "chance"}
    lines = [
        json.dumps(
            {short: row[name] for name, short in names.items()}
            | {"at": row["shown_at"].isoformat(), "place": row["position"] - 1}
        )
        for row in rows
    ]
    folder.mkdir(parents=True)
    (folder / "part.json").write_text("\n".join([*lines, *extra]) + "\n", encoding="utf-8")
