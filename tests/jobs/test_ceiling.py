"""Worlds that no task can hold are refused before the work, and those at the limit are not."""

from __future__ import annotations

import pytest

from features.embeddings.neighbours import Search
from jobs.embeddings import ceiling
from jobs.embeddings.ceiling import (
    MOST_TRACKS,
    PROCESS_BYTES,
    TRACK_BYTES,
    TooLarge,
    check_fits,
    machine_bytes,
    search_task,
    training_task,
)

TRACKS = 10_000_000


@pytest.mark.parametrize(
    ("task", "matrices", "tasks"),
    [
        (training_task(TRACKS, 128), 2, 1),
        (search_task(TRACKS, 128, Search(), pairwise=True), 3, 1),
        (search_task(TRACKS, 128, Search(tasks=2), pairwise=False), 2, 2),
    ],
)
def test_check_passes_what_fits_to_the_byte(task, matrices, tasks):
    needed = tasks * (PROCESS_BYTES + TRACKS * (matrices * 128 * 4 + TRACK_BYTES))
    task.check(needed)
    with pytest.raises(TooLarge, match=r"10,000,000 tracks of 128 dimensions.*: 127 would fit"):
        task.check(needed - 1)


def test_training_beside_a_version_of_other_dimensions_needs_both():
    needed = PROCESS_BYTES + TRACKS * (2 * (32 + 64) * 4 + TRACK_BYTES)
    training_task(TRACKS, 32, 64).check(needed)
    with pytest.raises(
        TooLarge, match=r"of 32 dimensions, beside 64 of the version before, .*: 31 would fit"
    ):
        training_task(TRACKS, 32, 64).check(needed - 1)
    assert training_task(TRACKS, 64, 64) == training_task(TRACKS, 64)


def test_check_refuses_more_tracks_than_have_numbers():
    training_task(MOST_TRACKS, 2).check(2**60)
    with pytest.raises(TooLarge, match="numbers 2,147,483,647 at most"):
        training_task(MOST_TRACKS + 1, 2).check(2**60)


def test_check_says_that_nothing_would_fit():
    with pytest.raises(TooLarge, match=": 0 would fit"):
        training_task(TRACKS, 64).check(2**20)


def test_check_fits_looks_at_the_machine_of_an_executor(monkeypatch):
    monkeypatch.setattr(ceiling, "run_on_executor", lambda spark, work: work() | {"bytes": 4 * 2**30})
    check_fits("spark", training_task(1_000_000, 64))
    with pytest.raises(TooLarge, match=r"GiB, and the machine has 4\.0 GiB"):
        check_fits("spark", training_task(100_000_000, 64))


def test_check_fits_of_few_tracks_looks_nowhere():
    check_fits(None, training_task(100_000, 64))


@pytest.mark.parametrize(("texts", "expected"), [(("max\n", "4096\n"), 4096), (("8192\n", "4096"), 4096)])
def test_machine_bytes_is_the_least_of_its_limits(tmp_path, monkeypatch, texts, expected):
    paths = [tmp_path / str(n) for n in range(3)]  # the last is not there
    for path, text in zip(paths, texts, strict=False):
        path.write_text(text)
    monkeypatch.setattr(ceiling, "CONTAINER_LIMITS", paths)
    assert machine_bytes() == expected
    monkeypatch.setattr(ceiling, "CONTAINER_LIMITS", ())
    assert machine_bytes() > 2**29
