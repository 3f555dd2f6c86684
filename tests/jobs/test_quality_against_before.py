"""Hubs and collisions are compared with the day before where there is one, and where there are many."""

from __future__ import annotations

from datetime import date

import pytest

from jobs.build_similar_tracks import _measure_hubs as measure_hubs

DAY = date(2026, 11, 20)


class OneDayBefore:
    """What `_measure_hubs` reads of a job: the rows of the day before."""

    def __init__(self, rows):
        self._rows = rows

    def day_before(self, table, day):
        assert (table, day) == ("similar_tracks", DAY)
        return self._rows


def make_hub(spark, size, k=12):
    """So many tracks that all name the same one first, and then others that nobody else names."""
    rows = [(f"t{n}", ["hub", *(f"t{n}-{place}" for place in range(1, k))]) for n in range(size)]
    return spark.createDataFrame(rows, "track_id string, neighbours array<string>")


@pytest.mark.parametrize(
    ("size", "before", "expected"),
    [
        (210, None, {"hubness@10": 21.0, "has_hubs_and_day_before": 0}),  # a first day
        (200, 20, {"hubness@10": 20.0, "has_hubs_and_day_before": 0}),  # ten times as many, and no hub yet
        (210, 70, {"hubness@10": 21.0, "has_hubs_and_day_before": 1, "hubness@10_ratio": 3.0}),
        (210, 5, {"hubness@10": 21.0, "has_hubs_and_day_before": 1, "hubness@10_ratio": 21.0}),
    ],
)
def test_measure_hubs_compares_with_the_day_before(spark, size, before, expected):
    job = OneDayBefore(before and make_hub(spark, before))
    assert measure_hubs(job, DAY, make_hub(spark, size)) == pytest.approx(expected)


@pytest.mark.parametrize(("k", "expected"), [(5, 42.0), (1, 210.0), (0, 0.0)])
def test_measure_hubs_of_short_lists_is_against_their_length(spark, k, expected):
    hubs = make_hub(spark, 210, k) if k else make_hub(spark, 0)
    assert measure_hubs(OneDayBefore(None), DAY, hubs)["hubness@10"] == expected
