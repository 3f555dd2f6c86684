"""A refused step stops what needs its tables and nothing else; what it made before is carried, and says its lag."""

from __future__ import annotations

import shutil

import pytest

import segue
from expectations.release import MAX_LAG_DAYS
from jobs import FLOW, RECORDS, flow
from jobs.errors import WrongUsage
from reference.laid_flow import LaidFlow
from schemas import CONTRACTS

STEPS = [step.name for step in FLOW if step.name != "release-tables"]


def find_blocked_steps(name):
    """By the definition, in loops: the steps that need a table of it, or of one so stopped."""
    blocked_steps = [name]
    for _ in FLOW:
        missing_tables = {table for step in FLOW if step.name in blocked_steps for table in step.makes}
        blocked_steps += [
            s.name for s in FLOW if s.name not in blocked_steps and missing_tables & set(s.needs)
        ]
    return set(blocked_steps[1:])


@pytest.fixture(scope="module")
def first_night(tmp_path_factory):
    """One good night, to be copied."""
    world = LaidFlow(tmp_path_factory.mktemp("first"))
    with pytest.MonkeyPatch.context() as patch:
        assert world.night(patch) == 0
    return world


@pytest.fixture
def laid_flow(first_night, tmp_path):
    shutil.copytree(first_night.root, tmp_path / "root")
    copy = LaidFlow(tmp_path)
    copy.days, copy.last = list(first_night.days), dict(first_night.last)
    return copy


@pytest.mark.parametrize("refused_step", STEPS)
def test_flow_with_one_step_refused_blocks_what_needs_it_and_carries_its_tables(
    laid_flow, monkeypatch, capsys, refused_step
):
    """Exit code, outcomes, what is released and how far it lags, and the report."""
    assert laid_flow.night(monkeypatch, refused=[refused_step]) == 3
    day, printed = laid_flow.days[-1], capsys.readouterr().out
    outcomes = laid_flow.outcomes(printed)
    assert outcomes[refused_step] == "refused"
    assert {name for name, outcome in outcomes.items() if outcome == "blocked"} == find_blocked_steps(
        refused_step
    ), printed
    assert set(laid_flow.run_steps) == {step.name for step in FLOW} - find_blocked_steps(refused_step)
    newest = max(laid_flow.last.values())
    tables = segue.open(laid_flow.root).tables
    lags = {name: entry.lag_days for name, entry in tables.items() if name in laid_flow.last}
    assert lags == {name: (newest - last).days for name, last in laid_flow.last.items()}, printed
    assert segue.open(laid_flow.root).release.startswith(str(newest))
    text = laid_flow.report()
    assert "refused" in text and refused_step in text, "the report does not say what was refused"
    assert (newest == day) == (refused_step != "ingest-plays"), "without new plays there is no newer day"


def test_flow_with_a_failed_step_blocks_what_needs_it_and_writes_a_report(laid_flow, monkeypatch, capsys):
    assert laid_flow.night(monkeypatch, failed=["build-sessions"], refused=["ingest-tracks"]) == 1
    outcomes = laid_flow.outcomes(capsys.readouterr().out)
    assert (outcomes["build-sessions"], outcomes["ingest-tracks"]) == ("failed", "refused")
    assert outcomes["train-track-embeddings"] == "blocked"
    assert segue.open(laid_flow.root).tables["sessions"].lag_days == 1
    assert "a fault of the step itself" in laid_flow.report()


def test_flow_exits_with_a_refusal_though_its_report_fails(laid_flow, monkeypatch, capsys):
    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(flow, "write_report", fail)
    assert laid_flow.night(monkeypatch, refused=["build-candidates"]) == 3
    assert "no space left" in capsys.readouterr().err
    assert laid_flow.night(monkeypatch) == 1, "a flow without its report did not do all that it should"


def test_flow_with_skipped_steps_succeeds_and_their_tables_lag(laid_flow, monkeypatch, capsys):
    assert laid_flow.night(monkeypatch, skip=["train-track-embeddings", "build-artist-features"]) == 0
    tables = segue.open(laid_flow.root).tables
    assert tables["artist_features"].lag_days == tables["track_embeddings"].lag_days == 1
    assert laid_flow.outcomes(capsys.readouterr().out)["train-track-embeddings"] == "skipped"


def test_flow_leaves_embeddings_out_of_the_release_beyond_their_lag_bound(laid_flow, monkeypatch, capsys):
    """Seven nights behind are warnings; on the eighth the vectors and all made of them are left out."""
    embedding_tables = {
        "track_embeddings",
        "user_embeddings",
        "similar_tracks",
        "candidates",
        "track_semantic_ids",
    }
    for night in range(1, MAX_LAG_DAYS + 2):
        assert laid_flow.night(monkeypatch, refused=["train-track-embeddings"]) == 3
        printed, store = capsys.readouterr().out, segue.open(laid_flow.root)
        assert store.tables["user_features"].lag_days == 0, "features are held up by embeddings"
        release_outcome = laid_flow.outcomes(printed)["release-tables"]
        if night <= MAX_LAG_DAYS:
            assert {store.tables[name].lag_days for name in embedding_tables} == {night}
            assert release_outcome == "published", printed
        else:
            assert not embedding_tables & set(store.tables), "a table behind its bound is served"
            assert release_outcome == "refused" and "left out: 8 days behind" in printed, printed
    assert laid_flow.night(monkeypatch) == 0
    assert {segue.open(laid_flow.root).tables[name].lag_days for name in embedding_tables} == {0}


def test_flow_without_new_plays_gives_records_of_refusals_no_lag(laid_flow, monkeypatch):
    assert (
        laid_flow.night(monkeypatch, skip=["ingest-plays", *sorted(find_blocked_steps("ingest-plays"))]) == 0
    )
    assert {segue.open(laid_flow.root).tables[name].lag_days for name in RECORDS} == {0}


@pytest.mark.parametrize(
    ("days", "of_one"),
    [
        (["--day", "2026-10-02"], "--day 2026-10-02"),
        (["--from", "2026-10-01", "--to", "2026-10-03"], "--day 2026-10-03"),
    ],
)
def test_flow_for_days_asks_every_step_of_results_for_them(days, of_one):
    """All but what these are made of: sessions and partials are brought up to date, whatever the days."""
    common = ["--root", "r", "--run-id", "x", "--source", "s", "--input", "i"]
    args = flow._parser().parse_args([*common, *days])
    makers = [step for step in FLOW if not step.section and step.name != "release-tables"]
    by_results = {
        step.name: " ".join(flow._step_arguments(step, args, None)[4:])
        for step in makers
        if any(CONTRACTS[table].by_day and not table.endswith("_partials") for table in step.makes)
    }
    assert by_results.pop("build-sessions") == ""
    features = {name for name in by_results if name.endswith("-features")}
    assert features and {by_results[name] for name in features} == {" ".join(days)}
    assert {by_results[name] for name in set(by_results) - features} == {of_one}


def test_flow_refuses_half_a_range_before_any_work(laid_flow):
    with pytest.raises(WrongUsage, match="a range needs --from and --to"):
        flow.run_flow(["--root", laid_flow.root, "--source", "s", "--input", "i", "--from", "2026-10-01"])
