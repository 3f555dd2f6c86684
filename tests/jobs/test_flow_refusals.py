"""A refused step stops what needs its tables and nothing else; what it made before is carried, and says its lag."""

from __future__ import annotations

import shutil

import pytest

import segue
from expectations.release import MAX_LAG_DAYS
from jobs import FLOW, RECORDS, flow
from reference.laid_flow import LaidFlow

STEPS = [step.name for step in FLOW if step.name != "release-tables"]


def stopped_by(name):
    """By the definition, in loops: the steps that need a table of it, or of one so stopped."""
    stopped = [name]
    for _ in FLOW:
        lost = {table for step in FLOW if step.name in stopped for table in step.makes}
        stopped += [s.name for s in FLOW if s.name not in stopped and lost & set(s.needs)]
    return set(stopped[1:])


@pytest.fixture(scope="module")
def first_night(tmp_path_factory):
    """One good night, to be copied."""
    made = LaidFlow(tmp_path_factory.mktemp("first"))
    with pytest.MonkeyPatch.context() as patch:
        assert made.night(patch) == 0
    return made


@pytest.fixture
def laid(first_night, tmp_path):
    shutil.copytree(first_night.root, tmp_path / "root")
    made = LaidFlow(tmp_path)
    made.days, made.last = list(first_night.days), dict(first_night.last)
    return made


@pytest.mark.parametrize("refused", STEPS)
def test_each_step_refused_in_turn(laid, monkeypatch, capsys, refused):
    """Exit code, outcomes, what is released and how far it lags, and the report."""
    assert laid.night(monkeypatch, refused=[refused]) == 3
    day, printed = laid.days[-1], capsys.readouterr().out
    outcomes = laid.outcomes(printed)
    assert outcomes[refused] == "refused"
    assert {name for name, outcome in outcomes.items() if outcome == "blocked"} == stopped_by(refused), (
        printed
    )
    assert set(laid.run_steps) == {step.name for step in FLOW} - stopped_by(refused)
    newest = max(laid.last.values())
    tables = segue.open(laid.root).tables
    lags = {name: entry.lag_days for name, entry in tables.items() if name in laid.last}
    assert lags == {name: (newest - last).days for name, last in laid.last.items()}, printed
    assert segue.open(laid.root).release.startswith(str(newest))
    text = laid.report()
    assert "refused" in text and refused in text, "the report does not say what was refused"
    assert (newest == day) == (refused != "ingest-plays"), "without new plays there is no newer day"


def test_a_step_that_fails_stops_what_needs_it_and_the_report_is_there(laid, monkeypatch, capsys):
    assert laid.night(monkeypatch, failed=["build-sessions"], refused=["ingest-tracks"]) == 1
    outcomes = laid.outcomes(capsys.readouterr().out)
    assert (outcomes["build-sessions"], outcomes["ingest-tracks"]) == ("failed", "refused")
    assert outcomes["train-track-embeddings"] == "blocked"
    assert segue.open(laid.root).tables["sessions"].lag_days == 1
    assert "a fault of the step itself" in laid.report()


def test_a_report_that_fails_hides_no_refusal(laid, monkeypatch, capsys):
    def broken(*_):
        raise OSError("no space left")

    monkeypatch.setattr(flow, "write_report", broken)
    assert laid.night(monkeypatch, refused=["build-candidates"]) == 3
    assert "no space left" in capsys.readouterr().err
    assert laid.night(monkeypatch) == 1, "a flow without its report did not do all that it should"


def test_skipped_steps_are_no_refusal_and_their_tables_lag(laid, monkeypatch, capsys):
    assert laid.night(monkeypatch, skip=["train-track-embeddings", "build-artist-features"]) == 0
    tables = segue.open(laid.root).tables
    assert tables["artist_features"].lag_days == tables["track_embeddings"].lag_days == 1
    assert laid.outcomes(capsys.readouterr().out)["train-track-embeddings"] == "skipped"


def test_embeddings_refused_for_longer_than_the_bound_leave_the_release_and_features_go_on(
    laid, monkeypatch, capsys
):
    """Seven nights behind are warnings; on the eighth the vectors and all made of them are left out."""
    versions = {"track_embeddings", "user_embeddings", "similar_tracks", "candidates", "track_semantic_ids"}
    for night in range(1, MAX_LAG_DAYS + 2):
        assert laid.night(monkeypatch, refused=["train-track-embeddings"]) == 3
        printed, store = capsys.readouterr().out, segue.open(laid.root)
        assert store.tables["user_features"].lag_days == 0, "features are held up by embeddings"
        released = laid.outcomes(printed)["release-tables"]
        if night <= MAX_LAG_DAYS:
            assert {store.tables[name].lag_days for name in versions} == {night}
            assert released == "published", printed
        else:
            assert not versions & set(store.tables), "a table behind its bound is served"
            assert released == "refused" and "left out: 8 days behind" in printed, printed
    assert laid.night(monkeypatch) == 0
    assert {segue.open(laid.root).tables[name].lag_days for name in versions} == {0}


def test_records_of_refusals_count_neither_as_the_newest_day_nor_as_behind(laid, monkeypatch):
    assert laid.night(monkeypatch, skip=["ingest-plays", *sorted(stopped_by("ingest-plays"))]) == 0
    assert {segue.open(laid.root).tables[name].lag_days for name in RECORDS} == {0}
