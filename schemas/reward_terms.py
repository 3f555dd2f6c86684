"""What rewards name beside columns of a play: features at its instant, and what came after it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from schemas.declarations import Feature, FeatureGroup
from schemas.outcomes import Outcome

# Beside the groups that are declared. A window of a day has no whole days, so it is merged of plays and needs no
# partials: no table of them is ever made.
SESSION_GROUP = FeatureGroup(
    table="session_features",
    keys=("user_id", "session_id"),
    meaning="What a listener did in a session.",
    daily=False,
    features=(
        Feature("plays", "count", "play_id", "plays", ("1d",)),
        Feature("ms_played", "sum", "ms_played", "listening time in ms", ("1d",)),
    ),
)
# Of any group over sessions that is merged of partials: days after that of the play on which its entity has one.
ACTIVE_DAYS = "active_days"
# next_play__track_id is the track of the session's next play; null where none comes within a day.
NEXT_PLAY = "next_play"


@dataclass(frozen=True)
class Term:
    """A name in the SQL of a reward that is no column of the play, as training sets call it.

    `user_track_features__plays_count_next_1d` is the outcome of the play, `user_track_features__plays_count_90d` what
    the feature is at its instant.
    """

    outcome: Outcome
    ahead: bool

    @staticmethod
    def parse(name: str) -> Term | None:
        """None for a column of the play, or of the next one.

        Raises:
            DeclarationError: a window that is no number of days.
        """
        table, mark, rest = name.partition("__")
        if not mark or table == NEXT_PLAY:
            return None
        feature, ahead, window = rest.rpartition("_next_")
        if not ahead:
            feature, _, window = rest.rpartition("_")
        return Term(Outcome(f"{table}:{feature}", window), bool(ahead))

    @property
    def counts_days(self) -> bool:
        return self.ahead and self.outcome.name == ACTIVE_DAYS

    @property
    def column(self) -> str:
        """As the SQL has it."""
        ahead = "next_" if self.ahead else ""
        return f"{self.outcome.table}__{self.outcome.name}_{ahead}{self.outcome.horizon}"


def name_next(column: str) -> str:
    """That column of the session's next play, as the SQL of a reward has it."""
    return f"{NEXT_PLAY}__{column}"


def list_next_columns(names: Iterable[str]) -> tuple[str, ...]:
    """The columns of the next play among the names in SQL."""
    pairs = (name.split("__", 1) for name in names if "__" in name)
    return tuple(column for table, column in pairs if table == NEXT_PLAY)


@dataclass(frozen=True)
class TermWindow:
    """The features of one table over one window that rewards read; for plays of which `horizon` is over."""

    group: FeatureGroup
    ahead: bool
    horizon: str
