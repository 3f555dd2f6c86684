"""Files of this machine are listed without Spark, and as Spark lists them."""

from __future__ import annotations

import pytest

from jobs.errors import JobError
from jobs.input_files import list_files

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


def fail_to_open_a_session():
    raise AssertionError("a session was opened to list files of this machine")


def test_list_files_agrees_with_spark(spark, folder):
    pattern = str(folder)[:-1] + "?"  # no file of this name: so Spark has to look
    expected = list_files([pattern], lambda: spark)
    assert list_files([str(folder)], fail_to_open_a_session) == expected
    assert [each.path.removeprefix(f"file:{folder}/") for each in expected] == sorted(
        name for name in NAMES if "hidden" not in name and "COPYING" not in name
    )


def test_list_files_lists_a_file_of_two_inputs_once(folder):
    files = list_files([str(folder / "a.csv"), str(folder), str(folder / "b")], fail_to_open_a_session)
    assert len(files) == len({each.path for each in files}) == 6


def test_list_files_resolves_a_relative_path_against_the_working_folder(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert [each.path for each in list_files(["a.csv"], fail_to_open_a_session)] == [f"file:{folder}/a.csv"]


def test_list_files_refuses_an_input_without_files(folder):
    with pytest.raises(JobError, match=r"empty\.csv holds no file with anything in it"):
        list_files([str(folder / "empty.csv")], fail_to_open_a_session)
