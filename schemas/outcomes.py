"""Outcomes: features over the time after a label, where features are over the time before it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace

from schemas.declarations import Feature, FeatureGroup
from schemas.operations import AHEAD, NOT_AT_LABEL_TIME, OPERATIONS, DeclarationError, Operation, window_days

# Over a window that ends at a label and that no feature was declared with: besides what ends at no instant within a
# day, what looks beyond the window, at the time before it or at all there ever was.
NOT_BACK = (*NOT_AT_LABEL_TIME, "trend", "decayed", "days_since_first", "days_since_last")


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

    @property
    def reach(self) -> str:
        """See `reach`; of a name that is no feature's, the horizon."""
        # an operation's name may end with another's
        ops = sorted((op for op in OPERATIONS if self.name.endswith(f"_{op}")), key=len)
        windows = _ahead(ops[-1]).total_windows(self.horizon) if ops else (self.horizon,)
        return max(windows, key=window_days)

    def __str__(self) -> str:
        return f"{self.feature}_{self.horizon}"


@dataclass(frozen=True)
class FeatureAhead(Feature):
    """A feature whose windows begin at a label; see `AHEAD` for what differs."""

    # whole days are folded from events: the table of partials is without its parts
    of_events: bool = field(default=False, repr=False)

    @property
    def operation(self) -> Operation:
        return _ahead(self.op)


def _ahead(op: str) -> Operation:
    return AHEAD.get(op, OPERATIONS[op])


def look_ahead(feature: Feature, group: FeatureGroup, horizons: Iterable[str]) -> FeatureAhead:
    """The same from a label on; `group` is the one that has the feature."""
    values = {each.name: getattr(feature, each.name) for each in fields(feature)}
    ahead = FeatureAhead(**values | {"windows": tuple(horizons)})
    parts = [part for horizon in ahead.windows for part in ahead.parts(horizon)]
    return replace(ahead, of_events=any(part not in group.parts for part in parts))


def reach(feature: Feature, horizon: str) -> str:
    """How long after a label all is there that an outcome is made of: mostly its horizon, of a trend twice that."""
    return f"{feature.lookback_days(horizon)}d"


def outcome_groups(
    outcomes: Iterable[Outcome], groups: Iterable[FeatureGroup], ahead: bool = True
) -> list[FeatureGroup]:
    """Of each table the group with the features of its outcomes alone, whose windows are the horizons.

    Args:
        ahead: otherwise the windows end at a label.

    Raises:
        DeclarationError: a table or feature that there is not; not ahead, an operation in `NOT_BACK`; a horizon that
            is longer than the operation's longest window, or than what partials are kept for.
    """
    by_table = {group.table: group for group in groups}
    horizons: dict[str, dict[Feature, list[str]]] = {}
    for outcome in dict.fromkeys(outcomes):
        feature = _find_feature(outcome, by_table, ahead)
        horizons.setdefault(outcome.table, {}).setdefault(feature, []).append(outcome.horizon)
    return [
        replace(
            by_table[table],
            features=tuple(
                look_ahead(f, by_table[table], windows) if ahead else replace(f, windows=tuple(windows))
                for f, windows in of_table.items()
            ),
        )
        for table, of_table in horizons.items()
    ]


def _find_feature(outcome: Outcome, groups: Mapping[str, FeatureGroup], ahead: bool) -> Feature:
    if (group := groups.get(outcome.table)) is None:
        raise DeclarationError(
            f"outcome {outcome}: no features are declared of {outcome.table!r}; there are: {', '.join(groups)}"
        )
    possible = [feature for feature in group.features if ahead or feature.op not in NOT_BACK]
    named = [feature for feature in possible if f"{feature.what}_{feature.op}" == outcome.name]
    # two features may share a name, if they have no window in common
    found = [feature for feature in named if outcome.horizon in feature.windows] or named
    if len(found) != 1:
        names = dict.fromkeys(f"{feature.what}_{feature.op}" for feature in possible)
        raise DeclarationError(
            f"outcome {outcome}: {len(found) or 'no'} features {outcome.name!r} of {group.table} can look "
            f"{'ahead' if ahead else 'back so far'}; these can: {', '.join(names)}"
        )
    _check_horizon(outcome, group, look_ahead(found[0], group, [outcome.horizon]) if ahead else found[0])
    return found[0]


def _check_horizon(outcome: Outcome, group: FeatureGroup, feature: Feature) -> None:
    # tiles of longer spans leave the parts out; where none is kept, the operation's longest window is the bound
    kept = [part for part in feature.parts(outcome.horizon) if part in group.parts]
    longest = min((group.longest_span(part) for part in kept), default=feature.operation.longest)
    if (feature.lookback_days(outcome.horizon) or 0) > longest:
        raise DeclarationError(
            f"outcome {outcome}: a horizon of {outcome.horizon}, and {group.partials_table} has {outcome.name} for "
            f"{longest} days at most; take a shorter one, or declare the feature with that window"
        )
