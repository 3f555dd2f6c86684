"""Signs of life go on whatever is being imported meanwhile."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from jobs import progress


def make_module(**attributes):
    module = ModuleType("pyspark")
    vars(module).update(attributes)
    return module


@pytest.mark.parametrize(
    "module",
    [None, make_module(), make_module(SparkContext=object), make_module(SparkContext=SimpleNamespace())],
    ids=["not imported", "half imported", "without a context", "half made"],
)
def test_progress_counts_no_tasks_while_pyspark_is_being_imported(monkeypatch, module):
    """It would end the thread with a traceback, and with that the line."""
    monkeypatch.setitem(sys.modules, "pyspark", module)
    assert progress._count_tasks() == ""


def test_progress_counts_tasks_of_the_stages_that_run(monkeypatch):
    info = SimpleNamespace(numTasks=8, numCompletedTasks=3)
    # of a stage that ended meanwhile there is no info
    tracker = SimpleNamespace(getActiveStageIds=lambda: [1, 2], getStageInfo={1: info, 2: None}.get)
    active = SimpleNamespace(statusTracker=lambda: tracker)
    module = make_module(SparkContext=SimpleNamespace(_active_spark_context=active))
    monkeypatch.setitem(sys.modules, "pyspark", module)
    assert progress._count_tasks() == ", 3 of 8 tasks"
