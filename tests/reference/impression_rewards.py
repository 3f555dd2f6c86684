"""What impressions were worth, from its definition: of each and each rule, all attributions are looked through."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from reference.attributions import Predicate
from reference.rows import Row, bucket
from schemas.attributions import OF_IMPRESSION
from schemas.impression_rewards import ImpressionRewards

Status = Callable[[date, int], str]


def impression_rewards(
    impressions: Sequence[Row],
    attributions: Sequence[Row],
    play_rewards: Mapping[str, Row],
    declared: ImpressionRewards,
    status: Status,
    counts: Predicate,
) -> list[Row]:
    """Rows of `impression_rewards` but `available_at`.

    Args:
        play_rewards: by the id of the play.
        status: of a day, and so many days after it.
        counts: what `where` says of an impression, for the rules that have one.
    """
    days_before = max(rule.days_before for rule in declared.attributions.rules)
    rows = []
    for impression in impressions:
        of_day = {h: status(impression["ds"], days_before + int(h[:-1])) for h in declared.horizons}
        for rule in declared.attributions.rules:
            if impression["item_type"] not in rule.items or (rule.where != "true" and not counts(impression)):
                continue
            led_to = [
                each
                for each in attributions
                if (each["impression_id"], each["rule_id"]) == (impression["impression_id"], rule.name)
            ]
            led_to.sort(key=lambda each: (each["played_at"], each["play_id"]))
            rows.append(_join(impression, led_to, play_rewards, declared, of_day) | {"rule_id": rule.name})
    return rows


def _join(
    impression: Row,
    led_to: Sequence[Row],
    play_rewards: Mapping[str, Row],
    declared: ImpressionRewards,
    of_day: Mapping[str, str],
) -> Row:
    row: dict[str, Any] = {name: impression[name] for name in (*OF_IMPRESSION, "user_id", "ds")}
    row |= {"bucket": bucket(impression["user_id"]), "plays": None, "play_id": None, "delay_ms": None}
    rewards: Row = {}
    if of_day["0d"] == "ripe":
        row["plays"] = len(led_to)
        if led_to:
            row |= {"play_id": led_to[0]["play_id"], "delay_ms": led_to[0]["delay_ms"]}
            rewards = play_rewards[led_to[0]["play_id"]]
    for horizon, of_horizon in of_day.items():
        name = f"status_{horizon}"
        # a listener who was erased: over, and yet never known
        row[name] = rewards.get(name, of_horizon) if of_horizon == "ripe" else of_horizon
    for reward in declared.rewards.rewards:
        known = row[f"status_{reward.horizon}"] == "ripe"
        row[reward.name] = rewards.get(reward.name) if known else None
    return row
