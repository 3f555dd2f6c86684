"""What cannot be a root is one line that says what can, before anything is looked for there."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

import segue
from segue import TableVersion, append_release
from segue.errors import UsageError
from segue.roots import check_root_name


@pytest.mark.parametrize(
    ("root", "message"),
    [
        (None, "root is None; give the name of a folder"),  # a variable that is not set
        (7, "root is 7; give the name of a folder"),
        ("", "root is ''; give the name of a folder"),
        ("s3:/lake/root", "has one slash behind s3:, expected two; give s3://lake/root"),
        ("s3a:/lake", "has one slash behind s3a:, expected two; give s3a://lake"),
        ("hdfs://host/lake", "is on no known storage; give a folder, s3a://, gs:// or abfss://"),
        ("http://host/lake", "is on no known storage; give a folder, s3a://, gs:// or abfss://"),
    ],
)
def test_what_is_no_root_is_refused(root, message):
    with pytest.raises(UsageError) as error:
        check_root_name(root)
    assert message in str(error.value)


@pytest.mark.parametrize("name", ["per%20cent", "%41", "a%2fb", "back\\slash"])
def test_a_folder_that_deltalake_would_read_as_another_is_refused(tmp_path, monkeypatch, name):
    """Of `per%20cent` it would look for tables in `per cent`, a folder that nobody gave."""
    (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to(tmp_path / name)
    monkeypatch.chdir(tmp_path / name)
    for root in (tmp_path / name, f"{tmp_path}/{name}/lake", "lake", tmp_path / "link"):
        with pytest.raises(
            UsageError, match=r"its path has '.*', which readers of tables take for something else"
        ):
            segue.open(root)
            pytest.fail(f"{root} was read")


@pytest.mark.parametrize("name", ["100%", "my démo 100%", "a%zz", "a#b", "a b"])
def test_a_folder_of_other_signs_is_read(tmp_path, name):
    append_release(tmp_path / name, date(2026, 11, 20), {"tracks": TableVersion(0, 0, "")})
    assert segue.open(tmp_path / name).release == "2026-11-20.1"


@pytest.mark.parametrize("root", ["lake", "s3/lake", "a:/b", "s3a://lake/root", Path("/nowhere/lake")])
def test_a_root_that_is_not_there_yet_is_taken(root):
    check_root_name(root)
