"""Which columns of a file that nobody has described are which of ours, by names and values, and the SQL of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jobs.column_values import WHOLE_FLOAT, WHOLE_NUMBER_SQL, Mapped, trim
from jobs.file_heads import FileHead
from jobs.foreign_names import BEGINS, DATES, ENDS, NAMES, REQUIRED, TIMES, TRACK_NAMES, fold_name
from jobs.nested_columns import is_nested
from jobs.propose_durations import has_lengths, map_duration
from jobs.propose_flags import has_flags, map_flag
from jobs.propose_instants import NO_TIME, are_days, are_times_of_day, map_instant
from jobs.propose_releases import has_releases, map_release
from schemas.common import quote_name


def map_plays(head: FileHead) -> dict[str, Mapped]:
    mapped = _map_columns(head, NAMES)
    mapped |= _map_ids_by_names(head, mapped)
    if "source_session_id" in mapped and "user_id" not in mapped and not list_named_so(head, "user_id"):
        session = mapped["source_session_id"].sql
        mapped["user_id"] = Mapped(session, "no listener was found: a session is taken as one")
    if "played_at" in mapped:
        mapped["played_at"] = _map_start(head, mapped)
    return {column: mapped[column] for column in NAMES if column in mapped}


def map_tracks(head: FileHead) -> dict[str, Mapped]:
    """Without an id, which is that of plays."""
    return _map_columns(head, TRACK_NAMES)


def list_named_so(head: FileHead, *columns: str) -> list[str]:
    """Columns of the file that may be these of ours by their names, if their values can be read or not."""
    return [name for column in columns for name in _list_named(head, NAMES[column])]


def list_values(head: FileHead, name: str) -> list[Any]:
    return [row[name] for row in head.rows if row.get(name) not in (None, "")]


def _map_columns(head: FileHead, candidates: Mapping[str, Sequence[str]]) -> dict[str, Mapped]:
    mapped = {}
    for column, keys in candidates.items():
        map_, fits = _SQL.get(column, _map_value), _FITS.get(column)
        if name := _find_name(head, keys, fits, has_lists=column == "genres"):
            lacks = _describe_blanks(head, name, "are rejects") if column in REQUIRED else ""
            mapped[column] = map_(head, name).add(lacks)
    return mapped


def _describe_blanks(head: FileHead, name: str, what: str) -> str:
    blanks = len(head.rows) - len(list_values(head, name))
    return f"without a value in {blanks} of {len(head.rows)} rows seen: such {what}" if blanks else ""


# --- ids of tracks and artists


def _map_ids_by_names(head: FileHead, mapped: Mapping[str, Mapped]) -> dict[str, Mapped]:
    """Ids that are not there, or not in all rows, where artists and tracks have names."""
    title, artist = (_find_name(head, TRACK_NAMES[each]) for each in ("title", "artist_name"))
    track = " || ' / ' || ".join(_lower(each) for each in (artist, title) if each)
    # of an artist that cannot be read the title is no key: many have it
    has_key = title and (artist or not _list_named(head, TRACK_NAMES["artist_name"]))
    keys = {"track_id": track if has_key else "", "artist_id": _lower(artist) if artist else ""}
    by_title = "" if artist else ": titles are, whoever plays them"
    notes = {"track_id": f"no id of tracks was found{by_title}", "artist_id": ""}
    found = {}
    for column, key in keys.items():
        if key and column not in mapped:
            found[column] = Mapped(key, notes[column])
        elif key and artist and (filled := _fill_id(head, column, key)):
            found[column] = filled
    return found


def _fill_id(head: FileHead, column: str, key: str) -> Mapped | None:
    """The id, and where it is blank the key; None where it is in all rows that are seen."""
    name = _find_name(head, NAMES[column]) or ""
    blanks = _describe_blanks(head, name, "are known by their names")
    if not blanks:
        return None
    id_ = _map_id(head, name)
    is_text = head.kind != "parquet" or all(isinstance(value, str) for value in list_values(head, name))
    text = f"nullif({id_.sql}, '')" if is_text else f"cast({id_.sql} as string)"
    return Mapped(f"coalesce({text}, {key})", id_.note).add(blanks)


def _map_id(head: FileHead, name: str) -> Mapped:
    """Numbers that pandas wrote as floats, as a column of it with nulls has them: 7.0 is 7 in the next file."""
    values, column = list_values(head, name), _column(name)
    if not values or not all(WHOLE_FLOAT.fullmatch(str(value)) for value in values):
        return Mapped(column)
    is_number = head.kind == "parquet" and isinstance(values[0], float)
    sql = f"try_cast({column} as bigint)" if is_number else WHOLE_NUMBER_SQL.format(column)
    return Mapped(sql, "whole numbers that are written as floats: 7.0 is read as 7")


def _lower(name: str) -> str:
    return f"nullif(lower(btrim({_column(name)})), '')"


# --- instants


def _map_instant(head: FileHead, name: str) -> Mapped:
    date, time = _find_date_and_time(head, name)
    if not (date and time):
        return map_instant(_column(name), list_values(head, name))
    rows = [row for row in head.rows if row.get(date) and row.get(time)]
    both = [" ".join(str(row[each]).strip() for each in (date, time)) for row in rows]
    day, clock = (trim(_column(each), list_values(head, each)) for each in (date, time))
    return map_instant(f"concat({day}, ' ', {clock})", both)


def _find_date_and_time(head: FileHead, name: str) -> tuple[str | None, str | None]:
    """Where the days are in a column of their own: the two, of which `name` is one."""
    values = list_values(head, name)
    if are_times_of_day(values):
        return _find_name(head, DATES, are_days, by_force=False), name
    return name, _find_name(head, TIMES, are_times_of_day, by_force=False) if are_days(values) else None


def _map_start(head: FileHead, mapped: Mapping[str, Mapped]) -> Mapped:
    """When a play began, which need not be what the file says."""
    instant, length = mapped["played_at"], mapped.get("ms_played")
    name = fold_name(_find_name(head, NAMES["played_at"]) or "")
    if NO_TIME in instant.note:
        one = "plays of a track by a listener on one day are one play: give a play_id"
        return instant.add("" if "play_id" in mapped else one)
    length = length if length and length.is_read else None
    if name in map(fold_name, ENDS):
        if length:
            return _subtract(instant, length)
        return instant.add("when a play ended: without a length it is taken as when it began")
    if length and name not in map(fold_name, BEGINS):
        return instant.add("taken as when a play began; where it is when it ended, subtract ms_played")
    return instant


def _subtract(ended: Mapped, length: Mapped) -> Mapped:
    end = f"unix_millis(try_cast({ended.sql} as timestamp))"
    sql = f"timestamp_millis({end} - coalesce(try_cast({length.sql} as bigint), 0))"
    return Mapped(sql, ended.note).add("when it ended, less ms_played")


# --- values of other columns


def _map_value(head: FileHead, name: str) -> Mapped:
    return Mapped(_column(name))


def _map_duration(head: FileHead, name: str) -> Mapped:
    return map_duration(name, _column(name), list_values(head, name))


def _map_flag(head: FileHead, name: str) -> Mapped:
    return map_flag(_column(name), list_values(head, name))


def _map_genres(head: FileHead, name: str) -> Mapped:
    # a field is one value: of lists the text, which a catalogue reads; that of JSON is one already
    is_array = head.kind == "parquet" and is_nested(list_values(head, name))
    return Mapped(f"to_json({_column(name)})" if is_array else _column(name))


def _map_release(head: FileHead, name: str) -> Mapped:
    return map_release(_column(name), list_values(head, name))


_SQL: Mapping[str, Callable[[FileHead, str], Mapped]] = {
    "played_at": _map_instant,
    "released": _map_release,
    "genres": _map_genres,
    **dict.fromkeys(("ms_played", "track_ms"), _map_duration),
    **dict.fromkeys(("skipped", "saved", "explicit"), _map_flag),
    **dict.fromkeys(("play_id", "user_id", "track_id", "artist_id"), _map_id),
}
# Whether a column can be it, by the values that are seen.
_FITS: Mapping[str, Callable[[Sequence[Any]], bool]] = {
    "released": has_releases,
    **dict.fromkeys(("ms_played", "track_ms"), has_lengths),
    **dict.fromkeys(("skipped", "saved", "explicit"), has_flags),
}


# --- columns by name


def _find_name(
    head: FileHead,
    candidates: Sequence[str],
    fits: Callable[[Sequence[Any]], bool] | None = None,
    by_force: bool = True,
    has_lists: bool = False,
) -> str | None:
    """The first of which the values fit (else: that most rows have), or else, `by_force`, the first that is there.

    Of one row a column of lists or objects is many values: it is none of these, but where it `has_lists` of texts.
    """
    fits = fits or (lambda values: 2 * len(values) >= len(head.rows))
    named = _list_named(head, candidates)
    names = [name for name in named if not is_nested(list_values(head, name), has_lists)]
    fitting = (name for name in names if fits(list_values(head, name)))
    return next(fitting, names[0] if names and by_force else None)


def _list_named(head: FileHead, candidates: Sequence[str]) -> list[str]:
    by_folded_name = {fold_name(name): name for name in reversed(head.columns)}
    return [by_folded_name[key] for each in candidates if (key := fold_name(each)) in by_folded_name]


def _column(name: str) -> str:
    # words of SQL, such as `timestamp` and `date`, are read as names where they stand alone, and not by every reader
    return name if re.fullmatch(r"[A-Za-z]+_\w+|[a-z]+[A-Z]\w*", name) else quote_name(name)
