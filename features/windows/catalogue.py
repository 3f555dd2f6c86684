"""What a play, or another event, has by its track: columns of the catalogue that a declaration names."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame


def add_catalogue_columns(events: DataFrame, tracks: DataFrame, columns: Sequence[str]) -> DataFrame:
    """`events` with these columns of the catalogue; null where the catalogue lacks the track.

    Args:
        tracks: rows of the catalogue, one for each track.
    """
    # left: a play of a track that is in no catalogue counts for whatever is declared without its columns
    return events.join(tracks.select("track_id", *columns), "track_id", "left")
