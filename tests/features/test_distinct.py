"""Exact distinct counts, both ways in which they are counted, against sets in plain Python."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from random import Random

import pytest

from features.windows.distinct import WORD, DistinctCount, count_by_changes, count_by_masks
from features.windows.distinct_ahead import count_distinct_ahead

# names that a project may give to keys
KEYS = ("value", "length")
LAST = date(2026, 3, 9)
# around the word's end, and on the longest window that can be declared
LENGTHS = (1, 2, WORD - 1, WORD, WORD + 1, 90)
SOURCES = {"tracks": ("track_id", "true"), "long": ("track_id", "ms > 5"), "lengths": ("ms", "true")}
COUNTS = [
    DistinctCount(f"{name}_{days}", days, source) for name, source in SOURCES.items() for days in LENGTHS
]


def make_plays(seed):
    rng = Random(seed)
    for _ in range(400):
        # most near the ends of windows; some after the last day, which no count may have
        back = rng.choice((0, 1, 2, *LENGTHS, rng.randrange(100))) + rng.choice((-2, -1, 0, 1))
        values = rng.choice((None, "", "t1", "t2", "t3")), rng.choice((None, 1, 5, 6, 7))
        yield rng.choice("ab"), rng.choice("xyz"), *values, LAST - timedelta(days=back)


def count_by_sets(plays, day):
    for user, artist in {play[:2] for play in plays}:
        counts = []
        for count in COUNTS:
            last_first = day - timedelta(days=count.days)
            of_window = [play for play in plays if play[:2] == (user, artist) and last_first < play[4] <= day]
            if count.source[1] != "true":
                of_window = [play for play in of_window if play[3] is not None and play[3] > 5]
            column = 3 if count.source[0] == "ms" else 2
            counts.append(len({play[column] for play in of_window} - {None}))
        if any(counts):
            yield (user, artist, day, *counts)


@pytest.mark.parametrize("days", [(0,), (0, 1, 3, 8)], ids=["a night", "days with gaps"])
def test_distinct_counts_are_the_sizes_of_sets_both_ways(spark, days):
    plays, described = list(make_plays(len(days))), sorted(LAST - timedelta(days=n) for n in days)
    expected = sorted(row for day in described for row in count_by_sets(plays, day))
    assert len(expected) > len(days), "hardly anybody has a count, so this shows little"
    schema = "value string, length string, track_id string, ms int, ds date"
    lookback = min(described) - timedelta(days=90)
    # what `add_distinct_counts` passes on: nothing of before the windows, or of after the last day
    frame = spark.createDataFrame([play for play in plays if lookback < play[4] <= max(described)], schema)
    for count_days in (count_by_masks, count_by_changes):
        rows = count_days(frame, KEYS, COUNTS, described).select(*KEYS, "ds", *[c.name for c in COUNTS])
        actual = sorted(tuple(value or 0 for value in row) for row in rows.collect())
        assert [row for row in actual if any(row[3:])] == expected, count_days.__name__


def test_distinct_counts_ahead_are_by_keys_of_any_name(spark):
    columns = "value string, length string, _at timestamp, _id string, track_id string"
    instants = [datetime(2026, 3, 9, hour, tzinfo=UTC) for hour in (8, 9, 10)]
    plays = spark.createDataFrame(
        [("a", "x", at, f"p{n}", f"t{n % 2}") for n, at in enumerate(instants)], columns
    )
    labels = plays.selectExpr(*KEYS, "_at as _instant", "concat('=', _id) as _own")
    counts = [DistinctCount("tracks", 1, ("track_id", "true"))]
    rows = count_distinct_ahead(labels, plays, counts, KEYS).orderBy("_instant").collect()
    # the own play of each label is none of its outcome
    assert [row["tracks"] for row in rows] == [2, 1, 0]
