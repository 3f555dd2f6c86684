"""Flags of semantic ids against the codebooks that a space keeps."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from jobs.build_semantic_ids import _check_shape as check_shape
from jobs.build_semantic_ids import _read_shape as read_shape
from jobs.errors import WrongUsage
from segue.storage import Snapshot

DAY = date(2026, 11, 20)
KEPT = {"levels": 3, "codes": 30}


def test_shape_is_that_of_the_books_of_the_day(tmp_path):
    """A level has fewer codes where fewer vectors differ; another day's books are none of it."""
    days = ((DAY, (30, 30, 7)), (date(2026, 11, 19), (4,)))
    rows = [(day, level) for day, sizes in days for level, size in enumerate(sizes) for _ in range(size)]
    table = pa.table(
        {"ds": [row[0] for row in rows], "level": pa.array([row[1] for row in rows], pa.int32())}
    )
    write_deltalake(tmp_path, table, partition_by=["ds"])
    job = SimpleNamespace(snapshot=lambda name: Snapshot.at(str(tmp_path), 0))
    assert read_shape(job, DAY) == KEPT


@pytest.mark.parametrize(
    ("name", "value", "expected"), [("levels", 4, 3), ("levels", 2, 3), ("codes", 29, 30)]
)
def test_another_shape_than_that_of_the_books_is_refused(name, value, expected):
    with pytest.raises(WrongUsage, match=f"--{name} is {value}; expected {expected}.*leave --{name} out"):
        check_shape({name: value}, KEPT)


@pytest.mark.parametrize("given", [{}, {"levels": 3, "codes": 30}, {"codes": 256}, {"seed": 9}])
def test_flags_that_can_have_made_the_books_are_taken(given):
    check_shape(given, KEPT)
    check_shape(given, {})  # the first day of a space
