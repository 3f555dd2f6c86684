"""Who answers for a table: [owners], then who declared its group, then the project, then nobody or us."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jobs import owners
from jobs.owners import find_owner
from schemas.starting_set import TRACK_FEATURE_GROUP, USER_FEATURE_GROUP
from segue.project import VARIABLE


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("", ["", "the Segue authors", "the Segue authors", "the charts"]),
        ('owner = "data"', ["data", "data", "data", "the charts"]),
        ('owner = "data"\n[owners]\nplays = "ingest"', ["ingest", "data", "data", "the charts"]),
        # partials are of whoever owns what is merged from them
        ('[owners]\nuser_features = "us"\ntrack_features = "us"', ["", "us", "us", "us"]),
    ],
)
def test_find_owner_by_strength(tmp_path, monkeypatch, settings, expected):
    (tmp_path / "segue.toml").write_text(settings)
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    monkeypatch.delenv("SEGUE_OWNER", raising=False)
    groups = (USER_FEATURE_GROUP, replace(TRACK_FEATURE_GROUP, owner="the charts"))
    monkeypatch.setattr(owners, "FEATURE_GROUPS", groups)
    tables = ("plays", "user_features", "user_partials", "track_features")
    assert [find_owner(table) for table in tables] == expected
