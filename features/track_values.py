"""Values of the catalogue in one form each, from what sources write: partial dates, genres, ISRC, ids of MusicBrainz.

Each function takes a text, and is null where the text is none of the kind, or null itself.
"""

from __future__ import annotations

from collections.abc import Callable

from pyspark.sql import Column
from pyspark.sql import functions as F

# What is cut off at both ends of a value: also spaces of no width and of no break, which look like no value at all.
BLANKS = " \t\r\n\u00a0\u2003\u3000\u200b\u2060\ufeff"
# With a time as timestamps have it. Zeros stand for a month or a day that is not known, as Discogs writes them.
_DATE = r"^([0-9]{4})(?:-([0-9]{1,2})(?:-([0-9]{1,2})(?:[T ][0-9].*)?)?)?$"
# Of a year that is not known, as Spotify has it.
_NO_DATE = r"^0000(-00)?(-00)?$"
_HYPHENS = r"[\s:\-\u2010-\u2015]"
# `ISRC` in front is no part of it, unless it is: Iceland's codes begin with IS.
_ISRC = r"(?i)^(?:ISRC)?([A-Z]{2}[A-Z0-9]{3}[0-9]{7})$"
_HEX = "([0-9a-f]{%d})"
_MBID = (
    "(?i)^(?:https?://musicbrainz[.]org/recording/)?" + "-?".join(_HEX % n for n in (8, 4, 4, 4, 12)) + "$"
)
# Neither `/` nor `,`: Hip-Hop/Rap is one genre. A list of JSON, or as Python prints one, needs neither.
_BETWEEN_GENRES = "[|;]"


def drop_unknown_date(text: Column) -> Column:
    """Null where the text says that nothing is known."""
    return F.when(~text.rlike(_NO_DATE), text)


def parse_partial_date(text: Column) -> Column:
    """1994, 1994-05 or 1994-05-02, as precise as the text is."""
    return _bind(
        _bind(text, _join_known_parts),
        lambda known: F.when(find_first_day(known).isNotNull(), known),
    )


def _join_known_parts(text: Column) -> Column:
    year, month, day = (F.regexp_extract(text, _DATE, group) for group in (1, 2, 3))
    month, day = (F.when(~part.rlike("^0*$"), F.lpad(part, 2, "0")) for part in (month, day))
    # a day of no month is no date
    is_date = (year != "0000") & (month.isNotNull() | day.isNull())
    return F.when(is_date, F.concat_ws("-", year, month, day))


def find_first_day(released: Column) -> Column:
    """The first day of a year, a month or a day in that form; null of what no calendar has."""
    rest = F.when(F.length(released) == 4, "-01-01").when(F.length(released) == 7, "-01").otherwise("")
    return F.concat(released, rest).try_cast("date")


def parse_isrc(text: Column) -> Column:
    code = F.regexp_extract(F.regexp_replace(text, _HYPHENS, ""), _ISRC, 1)
    return F.when(code != "", F.upper(code))


def parse_mbid(text: Column) -> Column:
    """A UUID in lower case, also from the address of a recording."""
    return F.when(text.rlike(_MBID), F.lower(F.regexp_replace(text, _MBID, "$1-$2-$3-$4-$5")))


def parse_genres(text: Column) -> Column:
    """Each genre once, in the order of the text; null of a list without any, and of JSON that is broken."""
    return _parse_list(text, F.split(text, _BETWEEN_GENRES))


def parse_list(text: Column) -> Column:
    """The same of any values: text that is no JSON is one of them."""
    return _parse_list(text, F.array(text))


def _parse_list(text: Column, otherwise: Column) -> Column:
    names = F.when(text.startswith("["), F.from_json(text, "array<string>")).otherwise(otherwise)
    trimmed = F.transform(names, lambda name: F.btrim(name, F.lit(BLANKS)))
    known = F.filter(trimmed, lambda name: name.isNotNull() & (name != ""))
    return _bind(F.array_distinct(known), lambda distinct: F.when(F.size(distinct) > 0, distinct))


def is_broken_list(text: Column) -> Column:
    return text.startswith("[") & F.from_json(text, "array<string>").isNull()


def _bind(value: Column, use: Callable[[Column], Column]) -> Column:
    """`use` of a value that is computed once: as a Column it would be computed wherever it stands."""
    return F.element_at(F.transform(F.array(value), use), 1)
