"""What must hold between the tables of a release: each may be right, and still not fit the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from expectations.verdict import Result, Verdict
from expectations.wording import number

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Reference:
    """Every `key` of the table `child` is in the table `parent` too.

    `outlives`: the child sums up many listeners, and keeps what only an erased one heard.
    """

    child: str
    parent: str
    key: str
    severity: str = "critical"
    outlives: bool = False

    @property
    def name(self) -> str:
        return f"expect_{self.key}_of_{self.child}_to_be_in_{self.parent}"

    def check(self, missing: int, erased: bool) -> Result:
        severity = "warning" if erased and self.outlives else self.severity
        observed = f"{number(missing) if missing else 'none'} missing"
        expected = f"every {self.key} of {self.child} is in {self.parent}"
        return Result(self.name, self.key, severity, missing == 0, observed, expected, missing)


CROSS_TABLE = (
    Reference("sessions", "plays", "play_id"),
    Reference("plays", "sessions", "play_id"),
    Reference("user_features", "plays", "user_id"),
    Reference("track_features", "plays", "track_id", outlives=True),
    Reference("artist_features", "plays", "artist_id", outlives=True),
    Reference("user_track_partials", "plays", "user_id"),
    Reference("user_artist_partials", "plays", "user_id"),
    Reference("track_embeddings", "plays", "track_id", outlives=True),
    # a catalogue comes from elsewhere than the plays, and often later
    Reference("plays", "tracks", "track_id", "warning"),
)


def judge_tables(counts: Mapping[str, int], erased: bool = False) -> Verdict:
    """`counts` holds the orphans by the names in `CROSS_TABLE`; a release need not hold all tables.

    `erased` says that listeners were: a track that nobody else heard is then no fault.

    Raises:
        KeyError: a count of something that is not in `CROSS_TABLE`.
    """
    known = {reference.name: reference for reference in CROSS_TABLE}
    return Verdict(tuple(known[name].check(missing, erased) for name, missing in counts.items()))


def orphans(child: DataFrame, parent: DataFrame, key: str) -> int:
    """How many different keys of `child` are nowhere in `parent`."""
    return child.select(key).distinct().join(parent.select(key), key, "left_anti").count()
