"""What was published once is read as it was written, by every later version."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import segue
from expectations.verdict import Result
from jobs.publishing.record_tables import RESULTS
from jobs.publishing.records import append_results, read_results
from jobs.publishing.warehouse import Warehouse
from reference.golden import DIGESTS, digest, digests_of, unpack
from schemas.quality_results import QUALITY_RESULTS
from segue.paged_file import PagedFile

WHAT_TO_DO = (
    "the rows that today's code reads from tests/golden/root.tar.xz are not those that were written into it. Tables "
    "that users have published would be read otherwise too: mend the reader. `make golden` is for an archive that is "
    "to hold other tables or other plays, and never a way to make this test pass"
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden")
    unpack(folder)
    return folder / "root"


@pytest.fixture(scope="module")
def committed_digests():
    return json.loads(DIGESTS.read_text())


def test_digests_of_the_archive_equal_the_committed_ones(root, committed_digests):
    assert digests_of(root) == committed_digests, "run `make golden` and commit both files that it writes"


def test_scan_of_the_archive_gives_the_committed_digests(root, committed_digests):
    store = segue.open(root)
    digests = {
        table: digest([row for batch in store.scan(table) for row in batch.to_pylist()])
        for table in store.tables
    }
    assert digests == committed_digests, WHAT_TO_DO


def test_digest_changes_with_a_value():
    row = {"user_id": "u1", "plays_count_7d": 3}
    assert digest([row, row]) != digest([row, row | {"plays_count_7d": 4}])


def test_results_of_the_archive_get_the_columns_that_were_added_since(root, tmp_path):
    """As they are read before and after today's code has written beside them."""
    shutil.copytree(root / "quality", tmp_path / "quality")
    warehouse, added = Warehouse(str(tmp_path)), ("reason", "owner", "days")
    before = RESULTS.read(warehouse, QUALITY_RESULTS.names)
    assert before.num_rows > 100 and before.column_names == list(QUALITY_RESULTS.names)
    assert all(before[name].null_count == before.num_rows for name in added)
    about = {"run_id": "r", "attempt_id": "a", "table_name": "plays", "batch_id": "b", "outcome": "refused"}
    result = Result("expect_x", "ms_played", "critical", False, "seen", "wanted", 1, "why", "the radio team")
    append_results(warehouse, about | {"rows": 1}, [result, replace(result, column="ds", owner="")])
    after = RESULTS.read(warehouse, QUALITY_RESULTS.names)
    assert after.num_rows == before.num_rows + 2
    assert sorted(filter(None, after["owner"].to_pylist())) == ["the Segue authors", "the radio team"]
    assert (
        after.filter(pc.field("attempt_id") != "a").sort_by("checked_at").equals(before.sort_by("checked_at"))
    )
    (newest, *_) = [row for row in read_results(warehouse, "r") if row["column"] == "ms_played"]
    assert (newest["reason"], newest["owner"]) == ("why", "the radio team")


def test_single_pages_of_files_that_spark_wrote_hold_the_rows_of_the_whole_file(root):
    checked = set()
    for path in sorted(root.glob("tables/*/batch-*/**/*.parquet")):
        whole = pq.ParquetFile(path)
        place = random.Random(str(path.name)).randrange(whole.metadata.num_rows)
        assert whole.num_row_groups == 1
        names = [field.name for field in whole.schema_arrow if not _has_structs(field.type)]
        found = PagedFile(str(path)).read(names, [(0, np.array([place]))])
        for name, values in zip(names, found, strict=True):
            assert values.to_pylist() == whole.read([name])[name].slice(place, 1).to_pylist(), (path, name)
            checked.add(str(whole.schema_arrow.field(name).type))
    assert {"string", "int32", "double", "timestamp[us, tz=UTC]", "list<element: float>"} <= checked


def _has_structs(type_: pa.DataType) -> bool:
    return pa.types.is_struct(type_) or (pa.types.is_list(type_) and _has_structs(type_.value_type))
