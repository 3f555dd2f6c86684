"""What a training holds in memory: vectors of its tracks, and nothing that grows with the plays."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pyarrow as pa
import pytest

from features.embeddings import chance, corpus, mapped, trials
from features.embeddings.settings import Settings
from features.embeddings.trials import SearchPlan
from jobs.embeddings.scratch import Scratch
from jobs.embeddings.task import Plan, run_training
from reference.planted import LENGTH, sessions, write_scratch

# Every sample at its most in the smaller corpus already, and parts so small that both have many.
SETTINGS = Settings(dimensions=8, epochs=1, pairs=200, baseline_sequences=500, threads=1)
SEARCH = SearchPlan(frozenset({"epochs"}), budget=0.1)
FEW, MANY = 3_000, 21_000
PART = 1_000


@pytest.fixture
def peaks(monkeypatch):
    """Of each training: the most bytes of arrays, and of Arrow while sequences are read."""
    for module in (chance, corpus, mapped):
        monkeypatch.setattr(module, "PART", PART)
    monkeypatch.setattr(chance, "TRIES", 2)
    monkeypatch.setattr(trials, "MOST_PLAYS", 300)
    monkeypatch.setattr(trials, "MOST_PAIRS", 220)
    read, arrow = Scratch.batches, []

    def watch(self, name, columns):
        for batch in read(self, name, columns):
            arrow.append(pa.total_allocated_bytes())
            yield batch

    monkeypatch.setattr(Scratch, "batches", watch)
    monkeypatch.setattr(Scratch, "BATCH", PART)

    def measure(folder, count):
        scratch = write_scratch(folder, sessions(count), files=count // PART)
        before = pa.total_allocated_bytes()
        arrow.clear()
        tracemalloc.start()
        report = run_training(Plan(scratch, SETTINGS, "cold", False, SEARCH))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert report["plays"] > 0.9 * count * LENGTH
        return peak, max(arrow) - before

    return measure


def test_run_training_takes_no_more_memory_for_more_sequences(tmp_path, peaks):
    peaks(tmp_path / "first", FEW)  # modules are loaded, loops compiled
    few, few_of_arrow = peaks(tmp_path / "few", FEW)
    many, many_of_arrow = peaks(tmp_path / "many", MANY)
    more_plays = np.dtype(np.int32).itemsize * LENGTH * (MANY - FEW)
    assert many - few < 0.1 * more_plays
    assert many_of_arrow - few_of_arrow < 0.5 * more_plays
