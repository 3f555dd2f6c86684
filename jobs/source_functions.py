"""Functions that SQL of sources can call besides Spark's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.track_keys import make_track_key
from jobs import pseudonyms

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from jobs.sources import Source

TRACK_KEY = "segue_track_key"


def register_functions(spark: SparkSession, source: Source) -> None:
    """Makes those that a source calls known to a session."""
    if source.pseudonymise:
        pseudonyms.register(spark)
    sections = (source.plays, source.tracks, *source.events.values())
    # SQL knows no case
    if any(TRACK_KEY in text.lower() for section in sections for text in section.values()):
        _register_track_key(spark)


def _register_track_key(spark: SparkSession) -> None:
    from pyspark.sql import functions as F

    spark.udf.register(TRACK_KEY, F.udf(make_track_key, "string", useArrow=True))
