"""One Spark session for the whole suite: starting one costs more than most tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    from jobs.session import open_session

    session = open_session("segue-tests", tmp_path_factory.mktemp("log") / "spark.log")
    session.conf.set("spark.sql.shuffle.partitions", "2")
    yield session
    session.stop()
