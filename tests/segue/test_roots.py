"""What cannot be a root is one line that says what can, before anything is looked for there."""

from __future__ import annotations

from pathlib import Path

import pytest

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


@pytest.mark.parametrize("root", ["lake", "s3/lake", "a:/b", "s3a://lake/root", Path("/nowhere/lake")])
def test_a_root_that_is_not_there_yet_is_taken(root):
    check_root_name(root)
