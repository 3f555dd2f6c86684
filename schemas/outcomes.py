"""Outcomes: features over the time after a label, where features are over the time before it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from schemas.declarations import Feature, FeatureGroup
from schemas.operations import NOT_AT_LABEL_TIME, DeclarationError, window_days

# Beside those that end at no instant within a day: what looks beyond a window [t, t + h), at the time before it or at
# all there ever was.
NOT_AHEAD = (*NOT_AT_LABEL_TIME, "trend", "decayed", "days_since_first", "days_since_last")


@dataclass(frozen=True)
class Outcome:
    """A declared feature over the events in [t, t + horizon), where t is the label's instant.

    `feature` is `table:what_op`, a column of a feature group without its window; `horizon` is a length as windows
    have it, such as 7d, whether the feature has that window or not.

    Raises:
        DeclarationError: a feature without a table, or a horizon that is no number of days.
    """

    feature: str
    horizon: str

    def __post_init__(self) -> None:
        if not all(self.feature.partition(":")):
            raise DeclarationError(
                f"outcome {self}: write TABLE:COLUMN, such as user_features:plays_count_7d"
            )
        try:
            window_days(self.horizon)
        except DeclarationError:
            raise DeclarationError(
                f"outcome {self}: its horizon {self.horizon!r} is none; end its name in days, as in plays_count_7d"
            ) from None

    @staticmethod
    def parse(text: str) -> Outcome:
        """Of a column's name, whose window becomes the horizon."""
        feature, _, horizon = text.rpartition("_")
        return Outcome(feature, horizon)

    @property
    def table(self) -> str:
        return self.feature.partition(":")[0]

    @property
    def name(self) -> str:
        """Of the feature in its table, without a window."""
        return self.feature.partition(":")[2]

    def __str__(self) -> str:
        return f"{self.feature}_{self.horizon}"


def outcome_groups(outcomes: Iterable[Outcome], groups: Iterable[FeatureGroup]) -> list[FeatureGroup]:
    """Of each table the group with the features of its outcomes alone, whose windows are the horizons.

    Raises:
        DeclarationError: a table or feature that there is not; an operation in `NOT_AHEAD`; a horizon that is longer
            than what partials are kept for.
    """
    by_table = {group.table: group for group in groups}
    horizons: dict[str, dict[Feature, list[str]]] = {}
    for outcome in dict.fromkeys(outcomes):
        feature = _find_feature(outcome, by_table)
        horizons.setdefault(outcome.table, {}).setdefault(feature, []).append(outcome.horizon)
    return [
        replace(
            by_table[table],
            features=tuple(replace(f, windows=tuple(of_feature)) for f, of_feature in of_table.items()),
        )
        for table, of_table in horizons.items()
    ]


def _find_feature(outcome: Outcome, groups: Mapping[str, FeatureGroup]) -> Feature:
    if (group := groups.get(outcome.table)) is None:
        raise DeclarationError(
            f"outcome {outcome}: no features are declared of {outcome.table!r}; there are: {', '.join(groups)}"
        )
    possible = [feature for feature in group.features if feature.op not in NOT_AHEAD]
    named = [feature for feature in possible if f"{feature.what}_{feature.op}" == outcome.name]
    # two features may share a name, if they have no window in common
    found = [feature for feature in named if outcome.horizon in feature.windows] or named
    if len(found) != 1:
        names = dict.fromkeys(f"{feature.what}_{feature.op}" for feature in possible)
        raise DeclarationError(
            f"outcome {outcome}: {len(found) or 'no'} features {outcome.name!r} of {group.table} can look ahead; "
            f"these can: {', '.join(names)}"
        )
    _check_horizon(outcome, group, found[0])
    return found[0]


def _check_horizon(outcome: Outcome, group: FeatureGroup, feature: Feature) -> None:
    # tiles of longer spans leave the parts out
    longest = min(group.longest_span(part) for part in feature.parts(outcome.horizon))
    if window_days(outcome.horizon) > longest:
        raise DeclarationError(
            f"outcome {outcome}: a horizon of {outcome.horizon}, and {group.partials_table} has {outcome.name} for "
            f"{longest} days at most; take a shorter one, or declare the feature with that window"
        )
