"""Attributions from their definition: every impression is held against every play.

Decided here, where the definition leaves room, is `_beats`; and that a play at the very instant of an impression is one
that it led to, but none that begins when the window ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta

from reference.rows import Row, bucket, day
from schemas.attributions import OF_IMPRESSION, OF_PLAY, AttributionRule

Predicate = Callable[[Row], bool]


def attributions(
    plays: Iterable[Row],
    impressions: Sequence[Row],
    rules: Sequence[AttributionRule],
    counts: Predicate = lambda impression: True,
) -> list[Row]:
    """Rows of `attributions` but `available_at` and `attribution_id`, which is a hash in the engine.

    Args:
        counts: what `where` says of an impression, for the rules that have one.
    """
    rows = []
    for play in plays:
        for rule in rules:
            best: Row | None = None
            for impression in impressions:
                if rule.where != "true" and not counts(impression):
                    continue
                if _can_lead(impression, play, rule) and (best is None or _beats(impression, best)):
                    best = impression
            if best is not None:
                rows.append(_join(best, play, rule))
    return rows


def _can_lead(impression: Row, play: Row, rule: AttributionRule) -> bool:
    column = rule.items.get(impression["item_type"])
    if column is None or impression["user_id"] != play["user_id"]:
        return False
    named = play[column] if isinstance(play[column], list) else [play[column]]
    if impression["item_id"] not in named:
        return False
    delay = play["played_at"] - impression["shown_at"]
    return timedelta(0) <= delay < rule.length


def _beats(one: Row, other: Row) -> bool:
    """The later; of one instant what was in view, or may have been; the nearer to the top; the greater id."""
    if one["shown_at"] != other["shown_at"]:
        return bool(one["shown_at"] > other["shown_at"])
    in_view = {True: 2, None: 1, False: 0}
    if one["seen"] != other["seen"]:
        return in_view[one["seen"]] > in_view[other["seen"]]
    if one["shelf_position"] != other["shelf_position"]:
        if one["shelf_position"] is None or other["shelf_position"] is None:
            return other["shelf_position"] is None
        return bool(one["shelf_position"] < other["shelf_position"])
    if one["position"] != other["position"]:
        return bool(one["position"] < other["position"])
    return bool(one["impression_id"] > other["impression_id"])


def _join(impression: Row, play: Row, rule: AttributionRule) -> Row:
    delay = play["played_at"] - impression["shown_at"]
    return {
        "rule_id": rule.name,
        **{name: impression[name] for name in OF_IMPRESSION},
        **{name: play[name] for name in OF_PLAY},
        "delay_ms": delay // timedelta(milliseconds=1),
        "bucket": bucket(play["user_id"]),
        "ds": day(play["played_at"]),
    }
