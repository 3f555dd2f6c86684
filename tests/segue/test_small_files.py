"""Whoever reads a small file finds it whole, the old or the new."""

from __future__ import annotations

import threading

import pytest
from pyarrow import fs

from segue.small_files import read_file, replace_file

DISK = fs.LocalFileSystem()


def test_a_file_is_replaced_and_what_is_not_there_is_none(tmp_path):
    path = str(tmp_path / "a" / "b.json")
    assert read_file(DISK, path) is None
    for text in ("1", "2, é"):
        replace_file(DISK, path, text)
        assert read_file(DISK, path) == text
    assert [each.name for each in (tmp_path / "a").iterdir()] == ["b.json"]


def test_a_write_that_fails_leaves_the_old_file_alone(tmp_path, monkeypatch):
    path = str(tmp_path / "b.json")
    replace_file(DISK, path, "old")

    def fail(files, staged, text):
        (tmp_path / staged).write_text(text[:1])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("segue.small_files._write", fail)
    with pytest.raises(OSError, match="No space"):
        replace_file(DISK, path, "new")
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("b.json", "old")]


def test_a_reader_beside_writers_never_finds_half_a_file(tmp_path):
    path, texts = str(tmp_path / "b.json"), {"a" * 100_000, "b" * 100_000}
    replace_file(DISK, path, "a" * 100_000)

    def write(text):
        for _ in range(30):
            replace_file(DISK, path, text)

    writers = [threading.Thread(target=write, args=(text,)) for text in texts]
    for each in writers:
        each.start()
    seen = set()
    while any(each.is_alive() for each in writers):
        seen.add(read_file(DISK, path))
    assert seen <= texts
