"""Staged files that are cut short or have a flipped bit: refused, or at the least noticed by readers."""

from __future__ import annotations

from pathlib import Path

import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

import jobs.publishing.staging
from faults.invariants import check
from faults.offers import OFFERS, TABLE
from jobs.errors import JobError
from jobs.job import Job
from reference.frames import frame
from reference.staged import commit, stage
from schemas.sessions import SESSIONS
from segue.errors import SegueError
from segue.storage import Snapshot, table_uri

CHECKED = pads.ParquetFileFormat(
    default_fragment_scan_options=pads.ParquetFragmentScanOptions(page_checksum_verification=True)
)


def list_data_files(batch: str | Path) -> list[Path]:
    return sorted(Path(batch).rglob("*.parquet"))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_bit(path: Path) -> None:
    """One bit of the last key in the file: still a readable file, of other rows."""
    before, content = read_keys(path), bytearray(path.read_bytes())
    column = pq.ParquetFile(path).metadata.row_group(0).column(0)
    assert column.path_in_schema == "play_id" and not column.has_dictionary_page
    content[column.data_page_offset + column.total_compressed_size - 1] ^= 0x08
    path.write_bytes(content)
    assert read_keys(path) != before, "the flip changed no row"


def flip_bit_unseen_by_hadoop(path: Path) -> None:
    """Hadoop checks files on a local disk by a hidden file beside them; other stores have none."""
    path.with_name(f".{path.name}.crc").unlink()
    flip_bit(path)


def read_keys(path: Path) -> list[str]:
    return pq.ParquetFile(path).read(["play_id"])["play_id"].to_pylist()


@pytest.mark.parametrize(
    "spoil", [truncate, lambda path: path.write_bytes(b""), Path.unlink], ids=["half", "empty", "gone"]
)
def test_commit_refuses_a_staged_file_that_is_cut_short_or_missing(root, job, spoil):
    job().offer(OFFERS[0])
    before = job().warehouse.state(TABLE)
    own_job = job()
    staged = own_job.stage(OFFERS[1].batch(own_job), OFFERS[1].label)
    spoil(list_data_files(staged.path)[0])
    with pytest.raises(JobError, match=r"staged file batch-.* (has|is gone).* nothing was published"):
        own_job.commit(staged)
    assert job().warehouse.state(TABLE) == before
    assert [job().offer(OFFERS[1]).kind for _ in range(2)] == ["published", "unchanged"]
    check(root, OFFERS)


@pytest.mark.parametrize("spoil", [truncate, flip_bit, flip_bit_unseen_by_hadoop])
def test_publish_refuses_a_file_damaged_before_its_audit(spark, root, job, monkeypatch, spoil):
    write, damaged_files = jobs.publishing.staging.write, []

    def faulty(rows, path, *contract):
        result = write(rows, path, *contract)
        damaged_files.append(list_data_files(path)[0])
        spoil(damaged_files[0])
        return result

    own_job = Job("fault", str(root), say=lambda text: None)
    with monkeypatch.context() as patch, pytest.raises(JobError, match="cannot be read back") as refusal:
        patch.setattr(jobs.publishing.staging, "write", faulty)
        own_job.publish(OFFERS[1].batch(own_job), frame(spark, OFFERS[1].rows(), SESSIONS))
    assert damaged_files and "\n" not in str(refusal.value)
    newest = check(root, OFFERS)
    assert Job("fault", str(root)).warehouse.state(TABLE).rows == 0
    assert job().offer(OFFERS[1]).version == newest + 1
    check(root, OFFERS)


@pytest.fixture
def flipped_file(spark, root):
    """The one file of a batch that was spoiled after its audit, and published as it was; Spark writes checksums."""
    own_job = Job("fault", str(root), say=lambda text: None)
    staged = stage(own_job, OFFERS[1].batch(own_job), frame(spark, OFFERS[1].rows(), SESSIONS))
    (path,) = list_data_files(staged.path)
    flip_bit_unseen_by_hadoop(path)
    assert commit(own_job, staged).kind == "published"
    return path


def test_page_checksums_show_a_flipped_bit_after_the_audit(spark, root, flipped_file):
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    with pytest.raises((Py4JError, PySparkException), match="CRC checksum"):
        spark.read.format("delta").load(table_uri(root, TABLE)).select("play_id").collect()
    assert pads.dataset(flipped_file).to_table(columns=["play_id"]).num_rows, (
        "unreadable without checksums as well"
    )
    with pytest.raises(OSError, match="CRC checksum"):
        pads.dataset(flipped_file, format=CHECKED).to_table(columns=["play_id"])


def test_snapshot_read_raises_for_a_flipped_bit_after_the_audit(root, job, flipped_file):
    snapshot = Snapshot.at(table_uri(root, TABLE), job().warehouse.state(TABLE).version)
    with pytest.raises((SegueError, OSError), match=r"(?i)checksum"):
        snapshot.read(snapshot.files, ["play_id"])
