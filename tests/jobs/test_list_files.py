"""Files of this machine are listed without Spark, and as Spark lists them."""

from __future__ import annotations

import pytest

from jobs.errors import JobError
from jobs.sources import list_files

NAMES = (
    "a.csv", "b/c.csv", "b/d=1/e.csv", "_k=1/f.csv", "ä é.csv", "100%.csv",
    "_hidden.csv", ".hidden", "b/_hidden/g.csv", "b/.hidden/h.csv", "copied._COPYING_",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    for name in NAMES:
        path = tmp_path / "in put" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x" * len(name))
    (tmp_path / "in put" / "empty.csv").touch()
    return tmp_path / "in put"


def no_session():
    raise AssertionError("a session was opened to list files of this machine")


def test_what_is_listed_here_is_what_spark_lists(spark, folder):
    pattern = str(folder)[:-1] + "?"  # no file of this name: so Spark has to look
    expected = list_files([pattern], lambda: spark)
    assert list_files([str(folder)], no_session) == expected
    assert [each.path.removeprefix(f"file:{folder}/") for each in expected] == sorted(
        name for name in NAMES if "hidden" not in name and "COPYING" not in name
    )


def test_a_file_that_two_inputs_name_is_there_once(folder):
    files = list_files([str(folder / "a.csv"), str(folder), str(folder / "b")], no_session)
    assert len(files) == len({each.path for each in files}) == 6


def test_a_relative_path_is_of_the_working_folder(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert [each.path for each in list_files(["a.csv"], no_session)] == [f"file:{folder}/a.csv"]


def test_an_input_without_files_is_refused(folder):
    with pytest.raises(JobError, match=r"empty\.csv holds no file with anything in it"):
        list_files([str(folder / "empty.csv")], no_session)
