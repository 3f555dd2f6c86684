"""Impressions: what was shown to whom, where, and by which policy. A project that has them imports `IMPRESSIONS` in its
declarations; nothing else of Segue knows the table before."""

from __future__ import annotations

from schemas.contract import Column
from schemas.event_tables import EventTable

IMPRESSIONS = EventTable(
    "impressions",
    "One row per item that was shown to a listener.",
    (
        Column(
            "impression_id", "string", "identifies the impression; a hash of the other columns where absent"
        ),
        Column(
            "request_id",
            "string",
            "one slate: what was ranked and shown together",
            nullable=False,
            profile=False,
        ),
        Column("user_id", "string", "to whom it was shown"),
        Column("shown_at", "timestamp", "when it was shown", "UTC"),
        Column("surface", "string", "where in the product: home, search, the end of a playlist"),
        Column("shelf_id", "string", "the row of cards on that surface"),
        Column("shelf_position", "int", "place of the shelf on the surface, from 1", check=">= 1"),
        Column("position", "int", "place in the request, from 1", nullable=False, check=">= 1"),
        Column("item_type", "string", "what item_id names: track, artist, playlist", nullable=False),
        Column(
            "item_id",
            "string",
            "what was shown, as plays and the catalogue name it",
            nullable=False,
            profile=False,
        ),
        Column("policy_id", "string", "what chose it: a model and its version, a rule, an editor"),
        # without a value where the policy logged none: 1 would say that nothing else could have been shown
        Column(
            "propensity",
            "double",
            "chance that the policy gave this item at this position; null where it was not randomised",
            check="> 0 and propensity <= 1",
        ),
        Column("candidate_count", "int", "items that the policy could have shown there", check=">= 1"),
        Column("score", "double", "by which the policy ranked it"),
        Column("seen", "boolean", "whether it was in view; null where nobody measured it"),
        Column("release_id", "string", "the release whose features the policy read"),
    ),
    key="impression_id",
    event_time="shown_at",
)


def has_slates(table: EventTable) -> bool:
    """Whether a table holds impressions, with whatever columns a project adds to them."""
    return set(IMPRESSIONS.columns) <= set(table.columns)
