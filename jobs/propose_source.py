"""A source file for files that nobody has described: which of their columns is which of ours, by names and values."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.column_values import WHOLE_FLOAT, WHOLE_NUMBER_SQL, Mapped
from jobs.file_heads import FileHead
from jobs.foreign_names import DATES, NAMES, REQUIRED, TIMES, TRACK_NAMES
from jobs.propose_durations import has_lengths, map_duration
from jobs.propose_instants import are_days, are_times_of_day, map_instant
from schemas.common import quote_name
from schemas.sql import list_columns


@dataclass(frozen=True)
class Proposal:
    """`text` is the source file; `missing` are columns that no play can do without, and that nothing was found for."""

    text: str
    missing: tuple[str, ...]


def propose_source(head: FileHead) -> Proposal:
    """Of a file of columns. What was guessed says so; what was not found has a line to be filled in."""
    plays, tracks = _map_plays(head), _map_tracks(head)
    track_id = plays.get("track_id")
    if tracks and track_id and not plays.keys() & {"user_id", "played_at"}:
        # with neither listeners nor instants it is a catalogue
        return _propose_catalogue(head, {"track_id": track_id, **tracks})
    unused = _list_unused(head, (*plays.values(), *tracks.values()))
    missing = tuple(name for name in REQUIRED if name not in plays)
    lines = list(_format_layout(head))
    if "user_id" in missing:
        lines.append('listener = "me"                      # the files name no listener: say who it is')
        plays = {"user_id": Mapped("listener"), **plays}
        missing = tuple(name for name in missing if name != "user_id")
    lines += ["", "[plays]", *_format_section(plays)]
    left = _describe(", ".join(unused)) or "no column is left"
    lines += [f'# {name} = "..."    # one of: {left}' for name in missing]
    if tracks:
        lines += ["", "[tracks]", *_format_section({"track_id": track_id, **tracks})]
    return Proposal("\n".join([*lines, *_format_unused(unused)]) + "\n", missing)


def propose_extension(head: FileHead, base: str) -> Proposal:
    """Of a file with the rows of a known source, which lie elsewhere in it."""
    return Proposal("\n".join([f"extends = {_quote(base)}", *_format_layout(head)]) + "\n", ())


def _propose_catalogue(head: FileHead, tracks: Mapping[str, Mapped]) -> Proposal:
    lines = [*_format_layout(head), "", "[tracks]", *_format_section(tracks)]
    lines += _format_unused(_list_unused(head, tracks.values()))
    return Proposal("\n".join(lines) + "\n", ())


def _list_unused(head: FileHead, mapped: Iterable[Mapped]) -> list[str]:
    used = {name for each in mapped for name in list_columns(each.sql)}
    return [name for name in head.columns if name not in used]


def _format_layout(head: FileHead) -> Iterator[str]:
    settings = {"name": _name_source(head), "format": head.kind, **head.layout}
    yield from (_format_line(name, value, head.notes.get(name, "")) for name, value in settings.items())


def _format_unused(names: Sequence[str]) -> list[str]:
    return ["", f"# not used: {_describe(', '.join(names))}"] if names else []


def _map_plays(head: FileHead) -> dict[str, Mapped]:
    mapped = _map_columns(head, NAMES)
    title, artist = (_find_name(head, TRACK_NAMES[each]) for each in ("title", "artist_name"))
    if artist and "artist_id" not in mapped:
        mapped["artist_id"] = Mapped(_lower(artist))
    if title and "track_id" not in mapped:
        names_of_track = f"concat_ws(' / ', {', '.join(_lower(each) for each in (artist, title) if each)})"
        mapped["track_id"] = Mapped(names_of_track, "no id of tracks was found")
    return {column: mapped[column] for column in NAMES if column in mapped}


def _map_tracks(head: FileHead) -> dict[str, Mapped]:
    """Without an id, which is that of plays; empty where there is no title."""
    mapped = _map_columns(head, TRACK_NAMES)
    return mapped if "title" in mapped else {}


def _map_columns(head: FileHead, candidates: Mapping[str, Sequence[str]]) -> dict[str, Mapped]:
    mapped = {}
    for column, keys in candidates.items():
        map_, fits = _SQL.get(column, _map_value), _FITS.get(column)
        if name := _find_name(head, keys, fits):
            blanks = len(head.rows) - len(_list_values(head, name)) if column in REQUIRED else 0
            lacks = f"without a value in {blanks} of {len(head.rows)} rows seen: such are rejects"
            mapped[column] = map_(head, name).add(lacks if blanks else "")
    return mapped


def _find_name(
    head: FileHead,
    candidates: Sequence[str],
    fits: Callable[[Sequence[Any]], bool] | None = None,
    by_force: bool = True,
) -> str | None:
    """The first of which the values fit (else: that most rows have), or else, `by_force`, the first that is there."""
    fits = fits or (lambda values: 2 * len(values) >= len(head.rows))
    by_letters = {_letters(name): name for name in reversed(head.columns)}
    names = [by_letters[key] for each in candidates if (key := _letters(each)) in by_letters]
    fitting = (name for name in names if fits(_list_values(head, name)))
    return next(fitting, names[0] if names and by_force else None)


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _list_values(head: FileHead, name: str) -> list[Any]:
    return [row[name] for row in head.rows if row.get(name) not in (None, "")]


def _map_value(head: FileHead, name: str) -> Mapped:
    return Mapped(_column(name))


def _map_duration(head: FileHead, name: str) -> Mapped:
    return map_duration(name, _column(name), _list_values(head, name))


def _map_instant(head: FileHead, name: str) -> Mapped:
    date, time = _find_date_and_time(head, name)
    if not (date and time):
        return map_instant(_column(name), _list_values(head, name))
    both = [f"{row[date]} {row[time]}" for row in head.rows if row.get(date) and row.get(time)]
    return map_instant(f"concat({_column(date)}, ' ', {_column(time)})", both)


def _find_date_and_time(head: FileHead, name: str) -> tuple[str | None, str | None]:
    """Where the days are in a column of their own: the two, of which `name` is one."""
    values = _list_values(head, name)
    if are_times_of_day(values):
        return _find_name(head, DATES, are_days, by_force=False), name
    return name, _find_name(head, TIMES, are_times_of_day, by_force=False) if are_days(values) else None


def _map_id(head: FileHead, name: str) -> Mapped:
    """Numbers that pandas wrote as floats, as a column of it with nulls has them: 7.0 is 7 in the next file."""
    values, column = _list_values(head, name), _column(name)
    if not values or not all(WHOLE_FLOAT.fullmatch(str(value)) for value in values):
        return Mapped(column)
    is_number = head.kind == "parquet" and isinstance(values[0], float)
    sql = f"try_cast({column} as bigint)" if is_number else WHOLE_NUMBER_SQL.format(column)
    return Mapped(sql, "whole numbers that are written as floats: 7.0 is read as 7")


_SQL: Mapping[str, Callable[[FileHead, str], Mapped]] = {
    "played_at": _map_instant,
    "ms_played": _map_duration,
    "track_ms": _map_duration,
    **dict.fromkeys(("play_id", "user_id", "track_id", "artist_id"), _map_id),
}
# Whether a column can be it, by the values that are seen.
_FITS: Mapping[str, Callable[[Sequence[Any]], bool]] = {"ms_played": has_lengths, "track_ms": has_lengths}


def _lower(name: str) -> str:
    return f"nullif(lower(btrim({_column(name)})), '')"


def _column(name: str) -> str:
    # words of SQL, such as `timestamp` and `date`, are read as names where they stand alone, and not by every reader
    return name if re.fullmatch(r"[A-Za-z]+_\w+|[a-z]+[A-Z]\w*", name) else quote_name(name)


def _format_section(columns: Mapping[str, Mapped | None]) -> Iterator[str]:
    for name, mapped in columns.items():
        if mapped is not None:
            yield _format_line(name, mapped.sql, mapped.note)


def _format_line(name: str, value: Any, note: str) -> str:
    return f"{name} = {_quote(value)}" + (f"    # {_describe(note)}" if note else "")


def _quote(value: Any) -> str:
    """As TOML: its strings are written as those of JSON, but for what is no character."""
    text = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return text.encode("utf-8", "replace").decode()


def _describe(text: str) -> str:
    """For a comment: names and values of files must not go on in the next line, as settings."""
    return _quote(text)[1:-1]


def _name_source(head: FileHead) -> str:
    stem = re.split(r"[^a-z]+", head.name.lower().partition(".")[0])
    return "_".join(part for part in stem if part)[:40] or "plays"
