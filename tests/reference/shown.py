"""Impressions and plays at the edges of windows, and what a project with impressions declares."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from reference.rows import Row, bucket, day
from reference.worlds import AROUND, MIDNIGHT, World, session_play
from schemas.attributions import AttributionRule
from schemas.catalogue_columns import CatalogueColumns, collect_catalogue_columns
from schemas.contract import Column
from schemas.impressions import IMPRESSIONS

HOUR = timedelta(hours=1)
LAST_TOUCH = AttributionRule("last_touch_1d", "1d")
# of both kinds of items, of what was in view, within minutes
SEEN = AttributionRule("seen_30m", "30m", {"track": "track_id", "artist": "artist_id"}, where="seen")
RULES = (LAST_TOUCH, SEEN)
CATALOGUE_COLUMNS = (
    Column("album_id", "string", "the album that it first came out on"),
    Column("playlists", "array<string>", "those that it is on"),
)
with collect_catalogue_columns():
    CatalogueColumns(CATALOGUE_COLUMNS)
    # by what the catalogue says of the track
    CONTENTS = AttributionRule(
        "contents_1d", "1d", {"track": "track_id", "album": "album_id", "playlist": "playlists"}
    )
    PLAYLISTS = AttributionRule("playlists_30m", "30m", {"playlist": "playlists"})
ALL_RULES = (*RULES, CONTENTS, PLAYLISTS)


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


def add_contents(plays: World, seed: int) -> World:
    """The plays with `CATALOGUE_COLUMNS`; the catalogue says something of most tracks, and of some twice."""
    rng, added = Random(seed), World()
    for play in plays:
        playlists = rng.choice((None, [], ["same"], ["a1", "same", "a1"], ["t2", None, "same"]))
        added.append(play | {"album_id": rng.choice((None, "a1", "t1", "same")), "playlists": playlists})
    return added


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
        item_type=rng.choice(("track", "track", "artist", "playlist", "album")),
        item_id=rng.choice(("t1", "t2", "a1", "same", "same")),
        seen=rng.choice((None, True, True, False)),
        shelf_position=rng.choice((None, 1, 2)),
        position=rng.choice((1, 2)),
        propensity=rng.choice((None, 0.5)),
    )


def read_example() -> str:
    """What the page of the docs declares."""
    page = Path(__file__).parents[2] / "docs" / "impressions.md"
    return page.read_text(encoding="utf-8").partition("```text\n")[2].partition("```")[0]
