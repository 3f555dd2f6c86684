"""What a play, or another event, has by its track: columns of the catalogue that a feature group names."""

from __future__ import annotations

from pyspark.sql import DataFrame

from schemas.declarations import FeatureGroup


def add_catalogue_columns(events: DataFrame, tracks: DataFrame, group: FeatureGroup) -> DataFrame:
    """`events` with the catalogue's columns that the group is made of; null where the catalogue lacks the track.

    Args:
        tracks: rows of the catalogue, one for each track.
    """
    # left: a play of a track that is in no catalogue counts for whatever is declared without its columns
    return events.join(tracks.select("track_id", *group.catalogue_columns), "track_id", "left")
