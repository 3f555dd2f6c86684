"""What there is of events and partials, as a release says it, decides which labels are ripe; without Spark."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pytest

from jobs.publishing.warehouse import Warehouse
from jobs.receipts import find_erased
from jobs.training import outcomes
from jobs.training.request import outcome_groups_of

(GROUP,) = outcome_groups_of(["user_track_features:plays_count_30d", "user_track_features:skips_rate_3d"])
FIRST, LAST = date(2026, 3, 1), date(2026, 3, 20)
END = datetime(2026, 3, 21, tzinfo=UTC)
US, DAY, HOUR = timedelta(microseconds=1), timedelta(days=1), timedelta(hours=1)


def observe(monkeypatch, events_through, partials_through, partials_end=LAST):
    """Of events of some days, and partials up to another day."""
    days = {"sessions": [FIRST, LAST], "user_track_partials": [FIRST, partials_end]}
    tables = {
        name: {"complete_through": through}
        for name, through in zip(days, (events_through, partials_through), strict=True)
    }
    job = SimpleNamespace(
        source=lambda name: SimpleNamespace(days=days[name]), version=lambda name: 7, warehouse=None
    )
    monkeypatch.setattr(outcomes, "find_erased", lambda *_: {"hash": END})
    return outcomes._observe_group(job, GROUP, tables)


@pytest.mark.parametrize(
    ("events_through", "partials_through", "partials_end", "through"),
    [
        # the morning after: both are complete up to midnight, and 10 hours of the day are in
        (END, END, LAST, END),
        (END - 14 * HOUR, END - 14 * HOUR, LAST, END - 14 * HOUR),
        # partials of the night before have no whole day that is over by now
        (END + 10 * HOUR, END - 14 * HOUR, LAST, END - US),
        # a history that ended long before it was loaded
        (END + 90 * DAY, END + 90 * DAY, LAST, END + 90 * DAY),
        # partials that were refused for two days, of which the watermark knows nothing
        (END, END, LAST - 2 * DAY, END - DAY - US),
        # nothing is known but what there is; and a manifest has text
        (None, None, LAST, END),
        (str(END - 14 * HOUR), str(END), LAST, END - 14 * HOUR),
    ],
)
def test_outcomes_are_known_as_far_as_events_and_partials_both_are(
    monkeypatch, events_through, partials_through, partials_end, through
):
    observation = observe(monkeypatch, events_through, partials_through, partials_end)
    assert observation.through == through
    assert (observation.begin, observation.end) == (datetime(2026, 3, 1, tzinfo=UTC), END)
    assert observation.columns == {
        "30d": "user_track_features__status_next_30d",
        "3d": "user_track_features__status_next_3d",
    }
    assert observation.erased == {"hash": END}


def test_erasures_count_for_the_versions_that_are_without_the_listeners(tmp_path):
    warehouse = Warehouse(str(tmp_path))
    assert find_erased(warehouse, "sessions", 9) == {}
    for n, version in enumerate((4, 6)):
        receipt = {
            "erased_at": str(END + n * DAY),
            "sha256_of_ids": ["both", f"only {n}", "nowhere"],
            "sha256_of_missing_ids": ["nowhere"],
            "tables": [{"table": "plays", "version": 1}, {"table": "sessions", "version": version}],
        }
        warehouse.write(warehouse.path("quality", "receipts", f"forget-{n}.json"), json.dumps(receipt))
    retraction = {"tables": [{"table": "sessions", "version_before": 1}]}
    warehouse.write(warehouse.path("quality", "receipts", "retract-1.json"), json.dumps(retraction))
    assert find_erased(warehouse, "sessions", 3) == {}
    assert find_erased(warehouse, "sessions", 4) == find_erased(warehouse, "sessions", 5)
    assert find_erased(warehouse, "sessions", 5) == {"both": END, "only 0": END}
    assert find_erased(warehouse, "sessions", 6) == {"both": END + DAY, "only 0": END, "only 1": END + DAY}
    assert find_erased(warehouse, "searches", 6) == {}


def test_counts_are_described_with_what_to_do_where_some_are_not_ripe():
    counts = {"t__status_next_7d": {"ripe": 1200, "unripe": 30, "censored": 4}}
    line = "t__status_next_7d: 1,200 ripe, 30 unripe, 4 censored of 1,234 labels"
    assert list(outcomes.describe_counts(counts, ripe_only=True)) == [line]
    first, hint = outcomes.describe_counts(counts, ripe_only=False)
    assert first == line and "--ripe-only leaves those labels out" in hint
    assert list(outcomes.describe_counts({"t": {"ripe": 1, "unripe": 0, "censored": 0}}, False)) == [
        "t: 1 ripe, 0 unripe, 0 censored of 1 labels"
    ]
