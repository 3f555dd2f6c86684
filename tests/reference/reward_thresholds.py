"""Thresholds of rewards, from their definition: every group is sorted, and asks its parents in turn."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from reference.rows import Row


def reward_thresholds(
    plays: Sequence[Row], by: Sequence[str], quantile: float, min_plays: int, min_listeners: int
) -> list[Row]:
    """Of plays with `user_id`, `value` and what groups are of: key, level, counts, and the values."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for play in plays:
        for level in range(len(by) + 1):
            groups.setdefault(tuple(play[name] for name in by[:level]), []).append(play)
    own = {}
    for group, members in groups.items():
        listeners = {play["user_id"] for play in members}
        if len(members) >= min_plays and len(listeners) >= min_listeners:
            own[group] = find_quantile([play["value"] for play in members], quantile)
    rows = []
    for group, members in groups.items():
        value, value_level = None, None
        for level in range(len(group), -1, -1):
            if value_level is None and group[:level] in own:
                value, value_level = own[group[:level]], level
        rows.append(
            {
                "level": len(group),
                "group_values": json.dumps(
                    dict(zip(by, group, strict=False)), separators=(",", ":"), ensure_ascii=False
                ),
                "plays": len(members),
                "listeners": len({play["user_id"] for play in members}),
                "own_value": own.get(group),
                "value": value,
                "value_level": value_level,
            }
        )
    return rows


def find_quantile(values: Sequence[float], quantile: float) -> float:
    """Between the two values at its place, by where it lies between them."""
    ordered = sorted(values)
    place = quantile * (len(ordered) - 1)
    below = int(place)
    if below + 1 == len(ordered):
        return float(ordered[below])
    return ordered[below] + (place - below) * (ordered[below + 1] - ordered[below])
