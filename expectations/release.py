"""What must hold between the tables of a release: each may be right, and still not fit the others."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import reduce
from typing import TYPE_CHECKING

from expectations.verdict import Result, Verdict
from expectations.wording import format_number
from schemas import (
    ATTRIBUTION_TABLES,
    CONTRACTS,
    EVENT_TABLES,
    IMPRESSION_REWARD_TABLES,
    REWARD_TABLES,
    TRACE_TABLES,
)
from schemas.impressions import has_slates

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


@dataclass(frozen=True)
class Reference:
    """Every `key` of the table `child` is in the table `parent` too."""

    child: str
    parent: str
    key: str
    severity: str = "critical"
    # the child aggregates many listeners, and keeps tracks that only an erased one played
    survives_erasure: bool = False
    # SQL: rows of the child for which it is not true may be of anything
    where: str | None = None
    # the name that the key has in the child, where that is another
    column: str = ""

    @property
    def name(self) -> str:
        return f"expect_{self.column or self.key}_of_{self.child}_to_be_in_{self.parent}"

    def check(self, orphans: int, erased: bool) -> Result:
        severity = "warning" if erased and self.survives_erasure else self.severity
        observed = f"{format_number(orphans) if orphans else 'none'} missing"
        some = f" where {self.where}" if self.where else ""
        column = self.column or self.key
        expected = f"every {column} of {self.child}{some} is in {self.parent}"
        about = (self.name, column, severity, orphans == 0, observed, expected, orphans)
        return Result(
            *about, reason="a key that the other table has not joins to nothing, and its rows are lost"
        )

    def child_keys(self, rows: DataFrame) -> Keys:
        return Keys(rows, self.key, self.where, self.column)


def _refer_to_impressions() -> Iterator[Reference]:
    """None where no project declares any."""
    for events in filter(has_slates, EVENT_TABLES):
        yield Reference(
            events.name, "tracks", "track_id", "warning", where="item_type = 'track'", column="item_id"
        )
    for table in ATTRIBUTION_TABLES:
        yield Reference(table.name, "plays", "play_id")
        yield Reference(table.name, table.impressions.name, "impression_id")


REFERENCES = (
    # both ways: a play without a session is missing from all that is made of sessions
    Reference("sessions", "plays", "play_id"),
    Reference("plays", "sessions", "play_id"),
    Reference("user_features", "plays", "user_id"),
    Reference("track_features", "plays", "track_id", survives_erasure=True),
    Reference("artist_features", "plays", "artist_id", survives_erasure=True),
    Reference("user_track_partials", "plays", "user_id"),
    Reference("user_artist_partials", "plays", "user_id"),
    # of other tracks of the catalogue there are vectors too, and there may be no plays
    Reference("track_embeddings", "plays", "track_id", survives_erasure=True, where="source = 'learned'"),
    Reference("user_embeddings", "plays", "user_id"),
    Reference("candidates", "plays", "user_id"),
    Reference("similar_tracks", "track_embeddings", "track_id"),
    Reference("track_semantic_ids", "track_embeddings", "track_id"),
    # a catalogue comes from elsewhere than the plays, and often later
    Reference("plays", "tracks", "track_id", "warning"),
    *_refer_to_impressions(),
    *(Reference(table.name, "plays", "play_id") for table in REWARD_TABLES),
    *(Reference(table.name, "plays", "play_id") for table in TRACE_TABLES),
    *(
        Reference(table.name, table.attributions.impressions.name, "impression_id")
        for table in IMPRESSION_REWARD_TABLES
    ),
)


# The embeddings, and what is made of them: two of these read together on a day must hold vectors of one space. On
# other days they may differ: so a refused table of vectors of listeners does not hold up those of tracks.
OF_ONE_VERSION = tuple(name for name, contract in CONTRACTS.items() if contract.versioned)
# Days that a table may be behind the others and still be released: a week without a good batch is no accident
# of one night. A deployment can set another bound for each table.
MAX_LAG_DAYS = 7

VersionsByDay = Mapping[date, Mapping[str, Collection[str]]]


def audit_release(
    counts: Mapping[str, int], versions: VersionsByDay | None = None, erased: bool = False
) -> Verdict:
    """Holds the tables of a release to each other; it need not hold all there are.

    Args:
        counts: the orphans by the names in `REFERENCES`; a KeyError for any other.
        versions: by day, the version ids of each table that is `OF_ONE_VERSION` and has that day.
        erased: whether listeners were erased. A track that only they played is then no fault.
    """
    references = {reference.name: reference for reference in REFERENCES}
    key_results = (references[name].check(orphans, erased) for name, orphans in counts.items())
    version_results = (check_same_version(day, tables) for day, tables in sorted((versions or {}).items()))
    return Verdict((*key_results, *version_results))


def check_same_version(day: date, versions: Mapping[str, Collection[str]]) -> Result:
    """Whether all of these tables are of one training on a day."""
    tables: dict[str, list[str]] = {}
    for table in sorted(versions):
        for version in versions[table]:
            tables.setdefault(version, []).append(table)
    tables_by_version = "; ".join(f"{version} in {', '.join(tables[version])}" for version in sorted(tables))
    return Result(
        expectation=f"expect_version_id_of_{day}_to_be_the_same_in_all_tables",
        column="version_id",
        severity="critical",
        success=len(tables) <= 1,
        observed=tables_by_version or "none",
        expected=f"one version_id on {day} in {', '.join(sorted(versions))}",
        reason="vectors of two trainings that are read together compare as noise",
    )


def check_lag(table: str, lag_days: int, most: float = MAX_LAG_DAYS) -> Result:
    """A lag is a warning up to `most` days, and refuses the table beyond."""
    return Result(
        expectation=f"expect_lag_days_of_{table}_to_be_at_most_{most:g}",
        column=None,
        severity="critical" if lag_days > most else "warning",
        success=lag_days == 0,
        observed=f"{lag_days} days behind" if lag_days != 1 else "1 day behind",
        expected=f"{table} reaches the day of the release; {most:g} days behind at most",
        reason="readers take a release for one day, and get older rows of a table that is behind",
    )


def count_orphans(pairs: Mapping[Reference, tuple[DataFrame, DataFrame]]) -> dict[str, int]:
    """How many different keys of a child are nowhere in its parent, by the name of the reference.

    Args:
        pairs: rows of child and parent. A DataFrame that stands here twice is read once for each key.
    """
    return count_missing_keys(
        {ref.name: (ref.child_keys(child), [Keys(parent, ref.key)]) for ref, (child, parent) in pairs.items()}
    )


@dataclass(frozen=True)
class Keys:
    """The values of a column, of the rows for which `where` is true; `column` where it is not called as the key."""

    rows: DataFrame
    key: str
    where: str | None = None
    column: str = ""


def count_missing_keys(pairs: Mapping[str, tuple[Keys, Sequence[Keys]]]) -> dict[str, int]:
    """How many different keys of the first are nowhere in the others, none of which is twice there; by name."""
    from pyspark.sql import DataFrame
    from pyspark.sql import functions as F

    if not pairs:
        return {}
    bits: dict[tuple[int, str, str | None, str], int] = {}
    sides: list[DataFrame] = []

    def bit_of(keys: Keys) -> int:
        side = (id(keys.rows), keys.key, keys.where, keys.column)
        if side not in bits:
            bits[side] = 1 << len(bits)
            rows = keys.rows if keys.where is None else keys.rows.where(keys.where)
            column = keys.column or keys.key
            sides.append(rows.select(F.lit(keys.key).alias("name"), column, F.lit(bits[side]).alias("bit")))
        return bits[side]

    masks = {name: (bit_of(child), sum(map(bit_of, parents))) for name, (child, parents) in pairs.items()}
    # One aggregation for all references: every key gets a bit for each table that it is in. A join for each would
    # plan and shuffle the same keys again; plays alone are the parent of six.
    keys = reduce(DataFrame.unionAll, (side.toDF("name", "key", "bit") for side in sides))
    tables = keys.groupBy("name", "key").agg(F.bit_or(F.col("bit").cast("bigint")).alias("bits"))

    def count_missing(child: int, parent: int) -> Column:
        # a null key refers to nothing, even where the parent has a row with null too
        nowhere = F.col("key").isNull() | (F.col("bits").bitwiseAND(parent) == 0)
        return F.count_if((F.col("bits").bitwiseAND(child) != 0) & nowhere)

    counts = [count_missing(*both).alias(name) for name, both in masks.items()]
    orphans: dict[str, int] = tables.agg(*counts).collect()[0].asDict()
    return orphans
