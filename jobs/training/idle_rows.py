"""The rows that labels get of a table that has none of idle entities: `segue.idle` says where theirs are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING

from features.joins.feature_table import FeatureTable, PublishedDay
from features.joins.histories import DailyHistory
from features.joins.idle_rows import AGE, PLACE, SOURCE, EarlierRows
from features.joins.serving import literal_array
from jobs.job import Job
from jobs.publishing.part_files import name_part_file
from jobs.training.labels import Labels
from jobs.training.published_days import LabelledDays, read_files
from jobs.training.request import Request
from schemas.common import quote_name
from segue.publications import Publications
from segue.storage import IDLE, DataFile

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Of a place among the publications: where its rows are, and how many days older they are than its day.
Source = tuple[int, str, int, date, datetime]


def read_rows_of_labels(
    job: Job, request: Request, labels: Labels, table: FeatureTable, days: LabelledDays
) -> DataFrame:
    """A row for each day and key that a label asks for, if the table would have one with the rows of all."""
    from pyspark.sql import functions as F

    history = DailyHistory(table, "r", request.as_published)
    # by publication and not by period, as one serves again where a newer day was taken away
    served = [days.places.get(each.day) if each.day else None for each in history.serving_intervals]
    place = F.get(
        literal_array([None, *served], "int"), history.visible_period(F.col(quote_name(request.at)))
    )
    requested = labels.rows.dropna(subset=[*table.keys]).select(*table.keys, place.alias(PLACE)).distinct()
    reader = _Reader(job, days.publications)
    sources = list(reader.list_sources(days.places))
    if not sources:
        return table.rows
    idle = days.publications.snapshot.list_marked(IDLE)
    earlier = EarlierRows(
        rows=reader.read(),
        sources=_describe_sources(job, days.publications, sources),
        keys=table.keys,
        columns=table.columns,
        idle={name: rule for name, rule in idle.items() if name in table.columns},
    )
    return earlier.bring_forward(requested)


class _Reader:
    """Files of publications, and their rows; the name of a file is a row's `source`."""

    def __init__(self, job: Job, publications: Publications) -> None:
        self._job, self._publications = job, publications
        self._files: dict[str, DataFile] = {}

    def list_sources(self, places: Mapping[PublishedDay, int]) -> Iterator[Source]:
        for day, place in places.items():
            own = (0, self._publications.files(place))
            for age, files in (own, *self._publications.earlier_files(place)):
                for file in files:
                    name = name_part_file(file.path)
                    self._files[name] = file
                    yield place, name, age, day.ds, day.available_at

    def read(self) -> DataFrame:
        rows = read_files(self._job, self._publications.snapshot, self._files.values())
        return rows.withColumnRenamed("part file", SOURCE)


def _describe_sources(job: Job, publications: Publications, sources: list[Source]) -> DataFrame:
    import pyarrow as pa

    rules = publications.snapshot.idle
    place, source, age, ds, available_at = zip(*sources, strict=True)
    weights = {
        text: pa.array([rules[name].weight(each) for each in age], pa.float64())
        for name, text in publications.snapshot.list_marked(IDLE).items()
        if rules[name].half_life
    }
    table = {
        PLACE: pa.array(place, pa.int32()),
        SOURCE: pa.array(source, pa.string()),
        AGE: pa.array(age, pa.int32()),
        "ds": pa.array(ds, pa.date32()),
        "available_at": pa.array(available_at, pa.timestamp("us", "UTC")),
    }
    return job.spark.createDataFrame(pa.table(table | weights))
