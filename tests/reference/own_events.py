"""A project with an entity and an event table of its own: what it declares, and what the files of its searches say."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from reference.rows import Row, day
from schemas.declarations import FeatureGroup
from schemas.event_tables import EventTable
from schemas.project_declarations import load_declarations

TABLES = """
from schemas.catalogue_columns import CatalogueColumns
from schemas.contract import Column
from schemas.event_tables import EventTable

SEARCHES = EventTable(
    "searches",
    "What listeners searched for.",
    (
        Column("search_id", "string", "identifies the search"),
        Column("user_id", "string", "who searched"),
        Column("searched_at", "timestamp", "when", "UTC"),
        Column("query", "string", "what was typed"),
        Column("results", "int", "tracks that were found", check=">= 0"),
    ),
    key="search_id",
    event_time="searched_at",
)
GENRES = CatalogueColumns((Column("genre", "string", "what kind of music it is"),))
"""
# For the section [tracks] of the source of plays: a genre by the number of the artist, unknown for some.
GENRE = "nullif(substring(artist_id, 4, 1), '0')"
GROUPS = """
from schemas.declarations import LIFETIME, Feature, FeatureGroup
from schemas.starting_set import *

ALBUMS = FeatureGroup(
    "album_features",
    ("album",),
    "How each album begins sessions.",
    (
        Feature("plays", "count", "play_id", "sessions", ("7d", LIFETIME)),
        Feature("listeners", "distinct", "user_id", "different listeners", ("7d",)),
        Feature("titles", "top_k", "title", "first tracks", ("7d",), k=2),
        Feature("genres", "top_k", "genre", "genres of first tracks", ("7d",), k=1),
        Feature("skips", "rate", "skipped", "share of first tracks that were skipped", ("7d",)),
    ),
    where="position = 1",
)
RELEASE_YEARS = FeatureGroup(
    "user_year_features",
    ("user_id", "release_year"),
    "What a listener plays of each year.",
    (Feature("plays", "count", "play_id", "plays", ("7d",)),),
    daily=False,
    source="plays",
    derived_keys={"release_year": "year(released_on)"},
)
SEARCHERS = FeatureGroup(
    "search_features",
    ("user_id",),
    "What listeners search for.",
    (
        Feature("searches", "count", "search_id", "searches", ("1d", LIFETIME)),
        Feature("results", "mean", "results", "tracks found", ("7d",)),
        Feature("queries", "distinct", "query", "different queries", ("7d",)),
        Feature("queries", "last_k", "query", "newest queries", ("7d",), k=2),
        Feature("searches", "days_since_last", "searched_at", "time since the last search", (LIFETIME,)),
    ),
    source="searches",
)
"""
# Its searches come as JSON, from another system than its plays.
SOURCE = """
name = "search-log"
format = "json"

[searches]
search_id = "id"
user_id = "who"
searched_at = "at"
query = "text"
results = "found"
"""
FIRST = datetime(2026, 1, 6, 12, tzinfo=UTC)
HOUR, US = timedelta(hours=1), timedelta(microseconds=1)


def declare() -> tuple[EventTable, dict[str, FeatureGroup]]:
    """The same declarations here, for oracles; the groups by table."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("a.py", TABLES), ("b.py", GROUPS)):
            Path(folder, name).write_text(text)
        declared = load_declarations([folder], ())
    (searches,) = declared.event_tables
    return searches, {group.table: group for group in declared.groups}


def search(id_: str, user: str, at: datetime, query: str | None, results: int | None) -> Row:
    return {"search_id": id_, "user_id": user, "searched_at": at, "query": query, "results": results}


def midnight(days: int) -> datetime:
    return FIRST.replace(hour=0) + timedelta(days=days)


def on_time(users: Sequence[str]) -> list[Row]:
    """Valid ones, each once."""
    first, second, third = users[:3]
    return [
        search("s1", first, FIRST, "jazz", 10),
        # two at one instant: the id decides which is newer
        search("s3", first, FIRST + HOUR, "harbour", 0),
        search("s2", first, FIRST + HOUR, "rodeo", None),
        search("s4", first, FIRST + 5 * HOUR, "jazz", 3),
        # of no query that is known
        search("s5", second, FIRST, None, 7),
        # the last of a day, and the first of the next
        search("s6", second, midnight(1) - US, "late", 1),
        search("s7", second, midnight(1), "early", 2),
        # a day without any search lies between
        search("s8", third, midnight(3) + HOUR, "comet", 4),
    ]


def late(users: Sequence[str]) -> list[Row]:
    """Delivered once features of their day were published."""
    return [search("s9", users[0], FIRST - HOUR, "first of all", 5)]


# Lines that are no search, and why.
REJECTS = {
    '{"id": "r1", "who": null, "at": "2026-01-06T10:00:00Z", "text": "x", "found": 1}': [
        "user_id is missing"
    ],
    '{"id": "r2", "who": "u", "at": "soon", "text": "x", "found": 1}': ["searched_at is no timestamp"],
    '{"id": "r3", "who": "u", "at": "2026-01-06T10:00:00Z", "text": "x", "found": -1}': [
        "results is not >= 0"
    ],
}


def to_line(row: Row) -> str:
    names = {"search_id": "id", "user_id": "who", "query": "text", "results": "found"}
    return json.dumps(
        {short: row[name] for name, short in names.items()} | {"at": row["searched_at"].isoformat()}
    )


def write_searches(folder: Path, rows: Sequence[Row], extra: Sequence[str] = ()) -> Path:
    """One delivery."""
    folder.mkdir(parents=True)
    (folder / "part.json").write_text("\n".join([*map(to_line, rows), *extra]) + "\n", encoding="utf-8")
    return folder


def published(rows: Sequence[Row]) -> list[Row]:
    """Rows of the table, as clients see them."""
    return [row | {"source": "search-log", "ds": day(row["searched_at"])} for row in rows]


def genre_of(track: Row) -> str | None:
    """The Python twin of GENRE."""
    digit = (track.get("artist_id") or "")[3:4]
    return None if digit in ("", "0") else digit


def join_catalogue(plays: Sequence[Row], tracks: Sequence[Row]) -> list[Row]:
    """Plays with what the catalogue says of their track, by a loop."""
    by_id = {track["track_id"]: track for track in tracks}
    rows = []
    for play in plays:
        track = by_id.get(play["track_id"], {})
        released = track.get("released_on")
        of_track = {name: track.get(name) for name in ("title", "album", "explicit", "released_on")}
        derived = {"release_year": None if released is None else str(released.year), "genre": genre_of(track)}
        rows.append({**play, **of_track, **derived})
    return rows
