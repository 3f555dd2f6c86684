"""What is published and what waits after deliveries of plays, from the definitions: a set of rows and two rules."""

from __future__ import annotations

from datetime import date, timedelta

Delivery = dict[str, date]

# How a file of a delivery is laid out.
SOURCE = """
name = "test"
header = ["id", "who", "at", "ms"]
[plays]
play_id = "id"
user_id = "who"
track_id = "'t'"
played_at = "at"
ms_played = "ms"
"""


def deliver(published: Delivery, late: Delivery, delivery: Delivery, allowed_days: int) -> None:
    """Ids with their days: each new one is published, or waits where its day is too far before the newest."""
    first = max(published.values()) - timedelta(days=allowed_days) if published else date.min
    for play_id, day in delivery.items():
        if play_id in published or (day < first and play_id in late):
            continue
        (late if day < first else published)[play_id] = day


def restate(published: Delivery, late: Delivery, first: date, last: date) -> None:
    """Those that wait, of these days, are published unless they are there."""
    for play_id in [each for each, day in late.items() if first <= day <= last]:
        day = late.pop(play_id)
        published.setdefault(play_id, day)
