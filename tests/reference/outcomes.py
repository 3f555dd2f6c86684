"""What came of a label, from its definition: loops over all plays for the value, rules for whether it is known."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from math import log2
from typing import Any

from reference.rows import Row
from reference.windows import expression, value
from schemas.declarations import Feature

DAY = timedelta(days=1)


def plays_after(plays: Iterable[Row], t: datetime, horizon: str, own: str | None) -> list[Row]:
    """Those from the label's instant on, but the label's own, up to the end of the horizon, which is out."""
    after = []
    for play in plays:
        elapsed = play["played_at"] - t
        if elapsed < timedelta(0) or elapsed >= days(horizon):
            continue
        if elapsed == timedelta(0) and own is not None and play["play_id"] == own:
            continue
        after.append(play)
    return after


def outcome(plays: Iterable[Row], feature: Feature, horizon: str, t: datetime, own: str | None = None) -> Any:
    """The value of a feature over these plays, as in the window of that length that ends with the horizon; of what is
    turned round in time, by loops of its own."""
    if feature.op in AHEAD:
        return AHEAD[feature.op](plays, feature, horizon, t, own)
    found = value(plays_after(plays, t, horizon, own), feature, horizon, t + days(horizon))
    return feature.empty_value if found is None else found


def counted(plays: Iterable[Row], feature: Feature, t: datetime, horizon: str, own: str | None) -> list[Row]:
    names = feature.row.names
    is_in, read = expression(feature.where, names), expression(feature.input, names)
    after = plays_after(plays, t, horizon, own)
    return [play for play in after if is_in(play) is True and read(play) is not None]


def trend(plays: Iterable[Row], feature: Feature, horizon: str, t: datetime, own: str | None) -> float:
    both = len(counted(plays, feature, t, f"{2 * days(horizon).days}d", own))
    near = len(counted(plays, feature, t, horizon, own))
    return log2((near + 1) / (both - near + 1))


def decayed(plays: Iterable[Row], feature: Feature, horizon: str, t: datetime, own: str | None) -> float:
    total = 0.0
    for play in counted(plays, feature, t, horizon, own):
        total += 0.5 ** ((play[feature.input] - t) / days(horizon))
    return total


def streak(plays: Iterable[Row], feature: Feature, horizon: str, t: datetime, own: str | None) -> int:
    found = counted(plays, feature, t, horizon, own)
    length = 0
    while any(t + length * DAY <= play["played_at"] < t + (length + 1) * DAY for play in found):
        length += 1
    return length


def days_until_last(
    plays: Iterable[Row], feature: Feature, horizon: str, t: datetime, own: str | None
) -> float | None:
    waits = [(play[feature.input] - t) / DAY for play in counted(plays, feature, t, horizon, own)]
    return max(waits, default=feature.empty_value)


def days_until_first(
    plays: Iterable[Row], feature: Feature, horizon: str, t: datetime, own: str | None
) -> float | None:
    waits = [(play[feature.input] - t) / DAY for play in counted(plays, feature, t, horizon, own)]
    return min(waits, default=feature.empty_value)


AHEAD = {
    "trend": trend,
    "decayed": decayed,
    "streak": streak,
    "days_since_first": days_until_last,
    "days_since_last": days_until_first,
}


def status(
    t: datetime,
    horizon: str,
    first: datetime,
    last: datetime,
    through: datetime,
    erased_at: datetime | None = None,
) -> str:
    """Of events from the midnight `first` to the midnight `last`, delivered up to `through`."""
    if erased_at is not None and t < erased_at:
        return "censored"
    if t < first:
        return "censored"
    if t + days(horizon) > through:
        return "unripe"
    return "censored" if t + days(horizon) > last else "ripe"


def days(horizon: str) -> timedelta:
    return timedelta(days=int(horizon.removesuffix("d")))
