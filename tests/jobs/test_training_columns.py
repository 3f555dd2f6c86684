"""Columns that are there already are refused before labels are read; without Spark."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from jobs.errors import WrongUsage
from jobs.training.columns import check_names, check_split_column, list_added
from jobs.training.request import Request

REQUEST = Request(
    "labels",
    features=("user_track_features:plays_count_7d",),
    at_label_time=("user_features:plays_count_1d",),
    outcomes=("user_track_features:plays_count_1d", "user_track_features:plays_count_7d"),
    split_by="household",
    shares=(0.5, 0.5),
)
ADDED = [
    "user_track_features__plays_count_7d",
    "user_features__plays_count_1d",
    "user_track_features__plays_count_next_1d",
    "user_track_features__plays_count_next_7d",
    "user_track_features__status_next_1d",
    "user_track_features__status_next_7d",
    "split",
]


def list_names():
    return list_added(SimpleNamespace(snapshot=None), REQUEST, {})


def test_all_columns_that_are_added_are_known_from_the_request():
    assert sorted(list_names()) == sorted(ADDED)


@pytest.mark.parametrize("name", [*ADDED, "User_Features__Plays_Count_1d", "SPLIT"])
def test_labels_with_a_column_that_is_added_are_refused(name):
    with pytest.raises(WrongUsage, match=f"labels: there is a column {name} already, .* rename it"):
        check_names(REQUEST, ["user_id", name], ADDED)
    check_names(REQUEST, ["user_id", "plays_count_1d"], ADDED)


def test_a_split_is_by_a_column_of_the_labels_or_one_that_is_added():
    for name in ("household", ADDED[0]):
        check_split_column(Request("labels", split_by=name, shares=(0.5, 0.5)), ["household", *ADDED])
    with pytest.raises(WrongUsage, match="--split-by split: no such column; there are: user_id"):
        check_split_column(Request("labels", split_by="split", shares=(0.5, 0.5)), ["user_id", "split"])
