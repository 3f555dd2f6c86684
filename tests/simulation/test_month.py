"""A few nights of every kind three ways, and labels as published; `make soak` has the whole month."""

from __future__ import annotations

from simulation.laid import remove_spark
from simulation.ways import Size, live_at_random, live_by_backfill, live_by_nights

from reference.published import pass_every_batch
from reference.staged import cut_finely

SMALL = Size(nights=6, listeners=25, allowed_days=2, labels=2000)


def test_nights_backfill_and_random_order_end_as_plain_python_has_it(tmp_path, monkeypatch):
    pass_every_batch(monkeypatch)
    remove_spark(monkeypatch)
    ways = (live_by_nights, live_by_backfill, live_at_random)
    hashes = []
    for live in ways:
        with monkeypatch.context() as patch:
            if live is live_by_backfill:  # in many files a day, the rows are the same
                cut_finely(patch, 32)
            hashes.append(live(tmp_path / live.__name__, SMALL))
    assert hashes[0] == hashes[1] == hashes[2]
