"""Partials of listeners with tracks, as a night publishes them: days named by the sessions that they are made of."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.stale_features import find_stale_partials
from reference.rows import Row
from reference.staged import LaidJob
from schemas import FEATURE_GROUPS

PAIRS = next(group for group in FEATURE_GROUPS if group.table == "user_track_features")


def publish_pairs(job: LaidJob, plays: Sequence[Row]) -> None:
    """Of all days that are stale, of all plays there are; their values are not there, as twins read none."""
    sessions = job.warehouse.state("sessions")
    assert sessions, "partials are made of sessions; publish these first"
    stale = find_stale_partials(job.warehouse, PAIRS, sessions)
    rows = {(row["user_id"], row["track_id"], row["ds"]): row for row in plays if row["ds"] in stale.whole}
    batch = job.batch(PAIRS.partials_table, stale.whole, upstream=stale.sources, columns=stale.identities)
    job.publish(batch, [{**row, "span": 1} for row in rows.values()])
