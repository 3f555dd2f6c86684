"""What came of a label, from its definition: loops over all plays for the value, rules for whether it is known."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from reference.rows import Row
from reference.windows import value
from schemas.declarations import Feature


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
    """The value of a feature over these plays, as in the window of that length that ends with the horizon."""
    found = value(plays_after(plays, t, horizon, own), feature, horizon, t + days(horizon))
    return feature.empty_value if found is None else found


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
