"""One Spark session for each process of the suite, and which tests must run in the same process."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
# Files whose tests share one night of the whole flow.
NIGHT_FILES = {
    "jobs/test_flow.py",
    "jobs/test_forget.py",
    "jobs/test_track_embeddings.py",
    "jobs/test_training_set.py",
}
# The night and the files that take minutes, the longest first.
LONG_GROUPS = (
    "night",
    "jobs/test_demo.py",
    "jobs/test_s3.py",
    "jobs/test_project.py",
    "jobs/test_small_worlds.py",
    "faults/test_executors.py",
    "jobs/test_submit.py",
    "faults/test_kills.py",
    "features/test_point_in_time.py",
    "features/test_windows.py",
    "test_tutorial.py",
    "jobs/test_late_plays.py",
    "simulation/test_machine.py",
    "jobs/test_declared_columns.py",
    "jobs/test_build_sessions.py",
    "faults/test_disks.py",
    "jobs/test_track_settings.py",
    "jobs/test_release_tables.py",
    "jobs/test_ingest.py",
    "features/test_operations.py",
    "features/test_tuning.py",
    "features/test_candidates.py",
    "features/test_partials.py",
    "jobs/test_publish.py",
    "reference/test_feature_oracles.py",
    "expectations/test_gate.py",
    "simulation/test_month.py",
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """For `--dist loadfile`: a file stays in order on one worker, and those that share a night on the same.

    The first worker takes files that use the session, and the others those that need none, or processes of their own,
    until there are no more of them: each session takes a start, seconds until it is warm, and two gigabytes.

    A scheduler of our own, as pytest-xdist 3.8 sees no `xdist_group` under pytest 9.2.
    """
    from xdist.scheduler import LoadScopeScheduling

    class NightScheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _group(nodeid)

        def _assign_work_unit(self, node: Any) -> None:
            is_first = node is self.nodes[0]
            preferred = (group for group in self.workqueue if _uses_session(group) == is_first)
            self.workqueue.move_to_end(next(preferred, next(iter(self.workqueue))), last=False)
            super()._assign_work_unit(node)

    return NightScheduling(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long comes first: begun last, it would leave the other worker idle.

    Raises:
        pytest.UsageError: a test asks for the night from a file that another worker may get.
    """
    for item in items:
        if _uses_night(item) and _group(item.nodeid) != "night":
            raise pytest.UsageError(
                f"{item.nodeid} asks for `night`: add its file to NIGHT_FILES in {__file__}"
            )
    items.sort(key=lambda item: _rank(_group(item.nodeid)))  # stable: within a group, the order of collection


def _uses_night(item: pytest.Item) -> bool:
    return item.path.parent == HERE / "jobs" and "night" in getattr(item, "fixturenames", ())


def _group(nodeid: str) -> str:
    file = nodeid.partition("::")[0].removeprefix("tests/")
    return "night" if file in NIGHT_FILES else file


@cache
def _uses_session(group: str) -> bool:
    """By its text, as who distributes files has not imported them: whether a function asks for `spark`."""
    return group == "night" or bool(
        re.search(r"def \w+\([^)]*\bspark\b", (HERE / group).read_text(encoding="utf-8"))
    )


def _rank(group: str) -> int:
    return LONG_GROUPS.index(group) if group in LONG_GROUPS else len(LONG_GROUPS)


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
    spark = request.getfixturevalue("spark")
    before = {name: spark.conf.get(name) for name in PRODUCT_SETTINGS}
    with pytest.MonkeyPatch.context() as patch:
        _set_in_new_sessions(type(spark), PRODUCT_SETTINGS, patch)
        try:
            _set(spark, PRODUCT_SETTINGS)
            yield
        finally:
            _set(spark, before)


def _set_in_new_sessions(
    cls: type[SparkSession], settings: dict[str, str], patch: pytest.MonkeyPatch
) -> None:
    """A step has a session of its own, which begins with what the JVM was started with."""
    real = cls.newSession

    def open_with_settings(session: SparkSession) -> SparkSession:
        opened = real(session)
        _set(opened, settings)
        return opened

    patch.setattr(cls, "newSession", open_with_settings)


def _set(session: SparkSession, settings: dict[str, str]) -> None:
    for name, value in settings.items():
        session.conf.set(name, value)
