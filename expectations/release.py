"""What must hold between the tables of a release: each may be right, and still not fit the others."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from expectations.verdict import Result, Verdict
from expectations.wording import number

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Reference:
    """Every `key` of the table `child` is in the table `parent` too.

    `where` is a SQL condition: rows of the child for which it is not true may be of anything.
    `outlives`: the child sums up many listeners, and keeps what only an erased one heard.
    """

    child: str
    parent: str
    key: str
    severity: str = "critical"
    outlives: bool = False
    where: str | None = None

    @property
    def name(self) -> str:
        return f"expect_{self.key}_of_{self.child}_to_be_in_{self.parent}"

    def check(self, missing: int, erased: bool) -> Result:
        severity = "warning" if erased and self.outlives else self.severity
        observed = f"{number(missing) if missing else 'none'} missing"
        some = f" where {self.where}" if self.where else ""
        expected = f"every {self.key} of {self.child}{some} is in {self.parent}"
        return Result(self.name, self.key, severity, missing == 0, observed, expected, missing)


CROSS_TABLE = (
    Reference("sessions", "plays", "play_id"),
    Reference("plays", "sessions", "play_id"),
    Reference("user_features", "plays", "user_id"),
    Reference("track_features", "plays", "track_id", outlives=True),
    Reference("artist_features", "plays", "artist_id", outlives=True),
    Reference("user_track_partials", "plays", "user_id"),
    Reference("user_artist_partials", "plays", "user_id"),
    # of other tracks of the catalogue there are vectors too, and there may be no plays
    Reference("track_embeddings", "plays", "track_id", outlives=True, where="source = 'learned'"),
    Reference("user_embeddings", "plays", "user_id"),
    Reference("candidates", "plays", "user_id"),
    Reference("similar_tracks", "track_embeddings", "track_id"),
    Reference("track_semantic_ids", "track_embeddings", "track_id"),
    # a catalogue comes from elsewhere than the plays, and often later
    Reference("plays", "tracks", "track_id", "warning"),
)


# The embeddings, and what is made of them: whoever reads two of these compares vectors.
OF_ONE_VERSION = ("track_embeddings", "user_embeddings", "similar_tracks", "candidates", "track_semantic_ids")


def judge_tables(
    counts: Mapping[str, int], versions: Mapping[str, Collection[str]] | None = None, erased: bool = False
) -> Verdict:
    """Holds the tables of a release to each other; it need not hold all there are.

    Args:
        counts: the orphans by the names in `CROSS_TABLE`.
        versions: the version ids on the newest day of each table that is `OF_ONE_VERSION`.
        erased: listeners were. A track that nobody else heard is then no fault.

    Raises:
        KeyError: a count of something that is not in `CROSS_TABLE`.
    """
    known = {reference.name: reference for reference in CROSS_TABLE}
    results = [known[name].check(missing, erased) for name, missing in counts.items()]
    return Verdict((*results, same_version(versions)) if versions else tuple(results))


def same_version(versions: Mapping[str, Collection[str]]) -> Result:
    """Whether all of these tables are of one training on their newest day."""
    tables: dict[str, list[str]] = {}
    for table in sorted(versions):
        for version in versions[table]:
            tables.setdefault(version, []).append(table)
    return Result(
        expectation="expect_version_id_to_be_the_same_in_all_tables",
        column="version_id",
        severity="critical",
        success=len(tables) <= 1,
        observed="; ".join(f"{version} in {', '.join(tables[version])}" for version in sorted(tables))
        or "none",
        expected=f"one version_id on the newest day of {', '.join(sorted(versions))}",
    )


def orphans(child: DataFrame, parent: DataFrame, key: str, where: str | None = None) -> int:
    """How many different keys of `child` are nowhere in `parent`; `where` as in `Reference`."""
    rows = child if where is None else child.where(where)
    return rows.select(key).distinct().join(parent.select(key), key, "left_anti").count()
