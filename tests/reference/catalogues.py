"""What the rows of a catalogue become, in loops: their values, which row of a track stands, and what changed."""

from __future__ import annotations

import ast
import json
from calendar import monthrange
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from string import ascii_letters, digits, hexdigits
from typing import Any

from reference.rows import Row

MOST_MS = 24 * 60 * 60 * 1000
PLAIN = ("title", "artist_id", "artist_name", "album")
FIELDS = (*PLAIN, "track_ms", "explicit", "released", "released_on", "genres", "isrc", "recording_mbid")
TRUTHS = {"true": True, "t": True, "yes": True, "y": True, "1": True}
LIES = {"false": False, "f": False, "no": False, "n": False, "0": False}


class Invalid(Exception):
    """A text that is no value of its column."""


def read_date(text: str) -> str | None:
    """As precise as it is given; None where the text says that nothing is known."""
    if text in ("0000", "0000-00", "0000-00-00"):
        return None
    at = min((place for place in (text.find("T"), text.find(" ")) if place >= 0), default=len(text))
    day, rest = text[:at], text[at + 1 :]
    parts = day.split("-")
    if len(parts) > 3 or not all(each and set(each) <= set(digits) for each in parts):
        raise Invalid(text)
    if at < len(text) and (len(parts) < 3 or not rest or rest[0] not in digits):
        raise Invalid(text)
    if len(parts[0]) != 4 or any(len(each) > 2 for each in parts[1:]) or int(parts[0]) == 0:
        raise Invalid(text)
    numbers = [int(each) for each in parts] + [0, 0]
    year, month, day_of_month = numbers[:3]
    if month > 12 or (day_of_month and not month) or (month and day_of_month > monthrange(year, month)[1]):
        raise Invalid(text)
    known = [f"{year:04}", *(f"{each:02}" for each in (month, day_of_month) if each)]
    return "-".join(known)


def find_first_day(released: str) -> date:
    return date(*[int(each) for each in [*released.split("-"), "1", "1"][:3]])


def read_isrc(text: str) -> str:
    kept = "".join(c for c in text if c not in " \t\r\n\f\v:-\u2010\u2011\u2012\u2013\u2014\u2015")
    for code in (kept[4:] if kept[:4].lower() == "isrc" else "", kept):
        kinds = (code[:2], ascii_letters), (code[2:5], ascii_letters + digits), (code[5:], digits)
        if len(code) == 12 and all(set(part) <= set(kind) for part, kind in kinds):
            return code.upper()
    raise Invalid(text)


def read_mbid(text: str) -> str:
    lower = text.lower() if text.isascii() else text
    for prefix in ("https://musicbrainz.org/recording/", "http://musicbrainz.org/recording/"):
        lower = lower.removeprefix(prefix)
    parts = []
    for size in (8, 4, 4, 4, 12):
        # a hyphen may be missing, and none stands in front
        lower = lower[1:] if parts and lower[:1] == "-" else lower
        parts.append(lower[:size])
        lower = lower[size:]
    if (
        lower
        or [len(each) for each in parts] != [8, 4, 4, 4, 12]
        or not set("".join(parts)) <= set(hexdigits)
    ):
        raise Invalid(text)
    return "-".join(parts)


def read_genres(text: str) -> list[str] | None:
    names: Iterable[Any] = text.replace(";", "|").split("|")
    if text.startswith("["):
        try:
            names = json.loads(text)
        except ValueError:
            try:
                names = ast.literal_eval(text)
            except (SyntaxError, ValueError):
                raise Invalid(text) from None
    known: list[str] = []
    for name in names:
        plain = (name or "").strip(" \t\r\n\u00a0\u2003\u3000\u200b\u2060\ufeff")
        if plain and plain not in known:
            known.append(plain)
    return known or None


def read_ms(text: str) -> int:
    if not text.removeprefix("-").isdigit() or abs(int(text)) >= 2**63:
        raise Invalid(text)
    return int(text)


def read_flag(text: str) -> bool:
    values = TRUTHS | LIES
    if text.lower() not in values:
        raise Invalid(text)
    return values[text.lower()]


WRONG = {
    "track_ms": (read_ms, "track_ms is no bigint"),
    "explicit": (read_flag, "explicit is no boolean"),
    "genres": (read_genres, "genres is no list"),
    "isrc": (read_isrc, "isrc is no ISRC"),
    "recording_mbid": (read_mbid, "recording_mbid is no MusicBrainz id"),
}


def read_row(row: Mapping[str, str | None]) -> tuple[Row, set[str]]:
    """The values of a row of a file, and why it is no track."""
    texts = {name: (row[name] or "").strip() or None for name in ("track_id", *FIELDS)}
    values: Row = {name: texts[name] for name in ("track_id", *PLAIN)}
    reasons = set() if texts["track_id"] else {"track_id is missing"}
    for name, (read, reason) in WRONG.items():
        text, values[name] = texts[name], None
        try:
            values[name] = read(text) if text else None
        except Invalid:
            reasons.add(reason)
    if (ms := values["track_ms"]) is not None and not 0 <= ms <= MOST_MS:
        reasons.add("track_ms is negative" if ms < 0 else "track_ms is over a day")
    released = None
    try:
        known = [text for text in (texts["released"], texts["released_on"]) if text]
        # the first that says something
        released = next((day for text in known if (day := read_date(text))), None)
    except Invalid:
        reasons.add("released is no date such as 1994, 1994-05 or 1994-05-02")
    values |= {"released": released, "released_on": find_first_day(released) if released else None}
    return values, reasons


def select(rows: Sequence[Mapping[str, str | None]]) -> dict[str, Row]:
    """The tracks of a file: of equal ids the row with most values, then the first by names, album, length and text."""
    found: dict[str, list[tuple[Any, Row]]] = defaultdict(list)
    for row in rows:
        values, reasons = read_row(row)
        if not reasons:
            rank: list[Any] = [-sum(value is not None for value in values.values())]
            for name in ("title", "artist_name", "album", "track_ms"):
                rank += [values[name] is not None, values[name] if values[name] is not None else ""]
            found[values["track_id"]].append(([*rank, row["raw"]], values))
    return {id_: min(each, key=lambda ranked: ranked[0])[1] for id_, each in found.items()}


def compare(before: Mapping[str, Row], after: Mapping[str, Row]) -> set[tuple[str, str, Any, Any]]:
    """Each value of a track in both that is another, as text."""
    changes = set()
    for id_ in before.keys() & after.keys():
        for name in FIELDS:
            old, new = before[id_][name], after[id_][name]
            if old != new:
                changes.add((id_, name, write(old), write(new)))
    return changes


def write(value: Any) -> str | None:
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)
