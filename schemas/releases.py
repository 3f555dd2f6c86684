"""Releases: which version of every table belongs together."""

from __future__ import annotations

from schemas.contract import Column, Contract

RELEASES = Contract(
    name="releases",
    meaning="One row per release and table, all rows of a release in one commit.",
    columns=(
        Column("release_id", "string", "day of the newest data and a count: 2026-11-20.1", nullable=False),
        Column("released_at", "timestamp", "instant of the release", "UTC", False),
        Column("table_name", "string", "a table of the release", nullable=False),
        Column("version", "bigint", "its Delta version", nullable=False),
        Column("rows", "bigint", "rows in that version", "rows", False),
        Column("content_hash", "string", "order-free hash of all rows in that version", nullable=False),
        Column("rollback_of", "string", "the release that this one rolled back, if any"),
        Column(
            "lag_days", "bigint", "days from its newest day to the release's; null in old releases", "days"
        ),
        Column(
            "life_days",
            "bigint",
            "how long it can be opened after a newer one; null for the 35 of old ones",
            "days",
        ),
        Column(
            "complete_through",
            "timestamp",
            "up to when all that it is made of was delivered; null where that is not known",
            "UTC",
        ),
    ),
    key=("release_id", "table_name"),
    # a release is a few rows, too few for a folder of their own
    partitions=(),
)
