"""One Spark session for each process of the suite, and which tests must run in the same process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

HERE = Path(__file__).parent
# An environment variable, since processes that tests start need these settings too.
os.environ.setdefault("SEGUE_SPARK_CONF", str(HERE / "spark.conf"))

# What a user's session has where spark.conf says otherwise, as far as a running session can change it.
PRODUCT_SETTINGS = {
    "spark.sql.codegen.wholeStage": "true",
    "spark.sql.codegen.factoryMode": "FALLBACK",
    "spark.sql.adaptive.enabled": "true",
}
# Files that take minutes: begun last, one of them would leave the other workers idle.
LONG_FILES = (
    "jobs/test_s3.py",
    "faults/test_kills.py",
    "jobs/test_publish.py",
    "features/test_windows.py",
    "reference/test_feature_oracles.py",
    "features/test_point_in_time.py",
    "expectations/test_gate.py",
)


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in its own hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Groups for `--dist loadgroup`: a file stays in order on one worker, and so do all tests of one world."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    items.sort(key=_rank)  # stable: within a rank, the order of collection


def _group(item: pytest.Item) -> str:
    """The world is a whole flow, and some of its tests add days to it."""
    if "world" in getattr(item, "fixturenames", ()) and item.path.parent == HERE / "jobs":
        return "world"
    return str(item.path.relative_to(HERE))


def _rank(item: pytest.Item) -> int:
    group = _group(item)
    if group == "world":
        return 0
    return 1 + LONG_FILES.index(group) if group in LONG_FILES else 1 + len(LONG_FILES)


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    from jobs.session import open_session

    session = open_session("segue-tests", tmp_path_factory.mktemp("log") / "spark.log")
    yield session
    session.stop()


@pytest.fixture(autouse=True)
def _product_settings(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests marked `product_settings` run as a user's session does: generated code, adaptive execution."""
    if request.node.get_closest_marker("product_settings") is None:
        yield
        return
    conf = request.getfixturevalue("spark").conf
    before = {name: conf.get(name) for name in PRODUCT_SETTINGS}
    try:
        for name, value in PRODUCT_SETTINGS.items():
            conf.set(name, value)
        yield
    finally:
        for name, value in before.items():
            conf.set(name, value)
