"""The days of a daily table that labels can see, each as it was published last, or last before the label's instant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from features.joins.feature_table import FeatureTable, PublishedDay
from features.joins.histories import DailyHistory
from features.joins.serving import serving_between, to_micros
from jobs.file_relation import read_schema
from jobs.job import Job
from jobs.publishing.part_files import find_part_file, name_part_file
from jobs.training.labels import Labels
from jobs.training.request import Request
from schemas.common import quote_name
from segue.publications import Publication, Publications
from segue.storage import DataFile, Snapshot

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


class LabelledDays:
    """What labels between their first and their last instant can see of one version of a table."""

    def __init__(self, publications: Publications, labels: Labels, as_published: bool) -> None:
        self.publications = publications
        self._places = {_to_day(each): place for place, each in enumerate(publications.all)}
        self.days = serving_between(tuple(self._places), labels.first, labels.last, as_published)

    @cached_property
    def _losses(self) -> dict[int, str]:
        """Why the rows of some are no longer there, by place; nothing is looked at where none was replaced."""
        return self.publications.find_losses(self._places[day] for day in self.days)

    @cached_property
    def places(self) -> dict[PublishedDay, int]:
        """Those whose rows are there, and their places among the publications."""
        places = {day: self._places[day] for day in self.days if day.has_rows}
        return {day: place for day, place in places.items() if place not in self._losses}

    def read(self, job: Job) -> DataFrame:
        """The rows that are there; `ds` and `available_at` say of which day and publication each is."""
        publications, places = self.publications, list(self.places.values())
        if all(map(publications.is_newest, places)):
            # tables are partitioned by day: what no label can get is never read
            return job.read(publications.snapshot.name, [day.ds for day in self.places])
        return _read_publications(job, publications, places)

    def check(self, request: Request, labels: Labels, table: FeatureTable) -> None:
        """Raises SegueError where a label gets rows that are no longer there."""
        # a job over the labels only where something is lost: mostly no label gets that
        if self._losses:
            days = find_days(request, labels, table)
            self.publications.check(self._places[day] for day in days)


def find_days(request: Request, labels: Labels, table: FeatureTable) -> list[PublishedDay]:
    """Those that some label gets a row of, if there is one of its keys; oldest first."""
    from pyspark.sql import functions as F

    # by the join's own rule, so that both mean the same day
    at, history = F.col(quote_name(request.at)), DailyHistory(table, "r", request.as_published)
    rows = labels.rows.dropna(subset=[*table.keys])
    if request.age_limit is not None:
        rows = rows.where(history.visible_feature_at(at) >= at - F.lit(request.age_limit))
    periods = rows.select(history.visible_period(at).alias("period")).where("period > 0").distinct().collect()
    days = {history.serving_intervals[row["period"] - 1].day for row in periods}
    return sorted((day for day in days if day), key=lambda day: (day.ds, day.available_at))


def is_of(table: FeatureTable, days: Sequence[PublishedDay]) -> Column:
    """Whether a row of the table is of one of these publications."""
    from pyspark.sql import functions as F

    # by the partition alone, so that files of other days are not opened
    condition = F.col("ds").isin([day.ds for day in days])
    if not table.is_republished:
        return condition
    pairs = [F.struct(F.lit(day.ds), F.lit(to_micros(day.available_at))) for day in days]
    return condition & F.struct("ds", F.unix_micros("available_at")).isin(pairs)


def _to_day(publication: Publication) -> PublishedDay:
    return PublishedDay(publication.ds, publication.available_at, publication.version is not None)


def read_files(job: Job, snapshot: Snapshot, files: Iterable[DataFile]) -> DataFrame:
    """The rows of files of a table, of whatever versions, all in one scan; and which `part file` each is from."""
    from pyspark.sql.types import StructType

    files = list(files)
    state, path = job.source(snapshot.name), job.warehouse.table_path(snapshot.name)
    days = {file.partition["ds"] for file in files}
    job.tune(sum(state.day_states[day].rows for day in days if day in state.day_states))
    table = job.warehouse.table(snapshot.name, snapshot.version)
    assert table, "a snapshot is of a version that is there"
    # by the log alone: to read the table for its columns would list all its files
    stored = [field for field in read_schema(table) if field.name not in snapshot.partitions]
    paths = dict.fromkeys(f"{path}/{file.path}" for file in files)
    rows = job.spark.read.schema(StructType(stored)).parquet(*paths)
    # partition values stand in the log alone. With a space, as no feature has one
    return rows.withColumn("part file", find_part_file())


def _read_publications(job: Job, publications: Publications, places: Sequence[int]) -> DataFrame:
    import pyarrow as pa
    from pyspark.sql import functions as F

    # Not by versions: Spark would load the log and plan a scan for each, and labels of a month see thirty
    days = [publications.all[place] for place in places]
    files = [
        (file, day) for place, day in zip(places, days, strict=True) for file in publications.files(place)
    ]
    names = pa.table(
        {
            "part file": [name_part_file(file.path) for file, _ in files],
            "ds": pa.array([day.ds for _, day in files], pa.date32()),
            "available_at": pa.array([day.available_at for _, day in files], pa.timestamp("us", "UTC")),
        }
    )
    rows = read_files(job, publications.snapshot, (file for file, _ in files))
    return rows.join(F.broadcast(job.spark.createDataFrame(names)), "part file").drop("part file")
