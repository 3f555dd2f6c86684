"""Spaces that must not be published, each made by a fault that is seeded, and each refused; a good one passes."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from expectations.gate import audit_batch
from expectations.profile import profile
from expectations.suites import suite_for
from features.embeddings.settings import Settings
from features.embeddings.track_embeddings import build_track_embeddings
from jobs.embeddings import progress, task
from jobs.embeddings.staged_measures import measure_staged
from jobs.embeddings.task import Plan, make_task
from jobs.embeddings.tracks import LEARNED, VOCABULARY
from reference.planted import sessions, write_scratch
from schemas import CONTRACTS, conform

DAY = date(2026, 11, 20)
SETTINGS = Settings(dimensions=16, epochs=6, seed=1, threads=1)
CONTRACT = CONTRACTS["track_embeddings"]


def trained(folder, heard=None, start="cold", before=None, settings=SETTINGS):
    """What a training reports, the table that it leaves, and its scratch."""
    scratch, batches = write_scratch(folder, sessions() if heard is None else heard, before)
    plan = Plan(scratch, settings, start, before is not None)
    (report,) = [batch.to_pylist()[0]["report"] for batch in make_task(plan)(batches)]
    return task.json.loads(report), pq.read_table(scratch.path(LEARNED)), scratch


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("first") / "scratch")


def verdict(spark, scratch, learned, report, spoil=lambda rows: rows):
    """What the gate says of rows made of `learned`, as the job makes and measures them."""
    pq.write_table(learned, scratch.path("spoiled.parquet"))
    read = spark.read.parquet
    rows = build_track_embeddings(
        read(scratch.path("spoiled.parquet")), read(scratch.path(VOCABULARY)), None, "v1", "v1", DAY
    )
    made = conform(spoil(rows), CONTRACT).localCheckpoint()
    measures = measure_staged(made, scratch, report["tracks"], report["measures"])
    return audit_batch(made, suite_for(CONTRACT.name), profile(made, CONTRACT), measures)


def refused_for(judged):
    assert judged.refused, f"the gate let it pass; of all checks failed {judged.failures}"
    return {result.column for result in judged.critical}


def test_a_good_space_passes(spark, first):
    report, learned, scratch = first
    judged = verdict(spark, scratch, learned, report)
    assert report["measures"]["pairs"] > 1_000, "with so few questions the gate would judge nothing"
    assert not judged.critical, judged.critical
    z = next(result for result in judged.results if result.column == "z_over_chance")
    assert z.success and "not" not in z.observed, "there was nothing to tell from chance"


def with_element(learned, column, row, value):
    vectors = learned[column].to_pylist()
    vectors[row][0] = value
    place = learned.column_names.index(column)
    return learned.set_column(place, column, pa.array(vectors, pa.list_(pa.float32())))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_refused(spark, first, value):
    report, learned, scratch = first
    judged = verdict(spark, scratch, with_element(learned, "in_vector", 5, value), report)
    assert "in_vector" in refused_for(judged)


def test_rows_of_another_space_are_refused(spark, first):
    from pyspark.sql import functions as F

    report, learned, scratch = first
    other = F.when(F.col("track_id") < "t0100", F.lit("v0")).otherwise(F.col("space_id"))
    judged = verdict(
        spark,
        scratch,
        learned,
        report,
        lambda rows: rows.withColumn("space_id", F.coalesce(other, F.lit(""))),
    )
    assert refused_for(judged) == {"space_id"}


def test_half_the_vocabulary_is_refused(spark, first):
    report, learned, scratch = first
    half = learned.filter(pc.less(pc.cast(pc.utf8_slice_codeunits(learned["track_id"], 1), pa.int64()), 500))
    assert "lost_tracks" in refused_for(verdict(spark, scratch, half, report))


def shuffled(fit):
    """Every vector under the name of another track, as a wrong join would leave them."""

    def wrong(*arguments):
        model = fit(*arguments)
        order = np.random.default_rng(0).permutation(len(model.in_vectors))
        return type(model)(*(array[order] for array in vars(model).values()))

    return wrong


def untrained(fit):
    """As many random numbers, and nothing learned."""

    def wrong(corpus, settings, *rest):
        model = fit(corpus, settings.replace(epochs=1, learning_rate=1e-6), *rest[:1], range(1))
        model.out_vectors[:] = (
            np.random.default_rng(0).normal(size=model.out_vectors.shape).astype(np.float32)
        )
        return model

    return wrong


@pytest.mark.parametrize("fault", [shuffled, untrained])
def test_a_space_in_which_nothing_is_found_is_refused(spark, monkeypatch, tmp_path, fault):
    monkeypatch.setattr(task, "fit", fault(task.fit))
    report, learned, scratch = trained(tmp_path / "scratch")
    assert report["measures"]["next.hr@10"] < 0.1, "the fault did not fire"
    assert refused_for(verdict(spark, scratch, learned, report)) == {"z_over_chance"}


def test_names_that_a_join_mixed_up_after_the_training_are_refused(spark, first):
    report, learned, scratch = first
    names = learned["track_id"].to_pylist()
    mixed = learned.set_column(0, "track_id", pa.array(np.random.default_rng(1).permutation(names).tolist()))
    assert "z_over_chance" in refused_for(verdict(spark, scratch, mixed, report))


@pytest.mark.parametrize("fault", [shuffled, untrained])
def test_a_hundred_sequences_are_enough_to_tell(spark, monkeypatch, tmp_path, fault):
    few = sessions(100)
    report, learned, scratch = trained(tmp_path / "good", few)
    assert not verdict(spark, scratch, learned, report).critical
    monkeypatch.setattr(task, "fit", fault(task.fit))
    report, learned, scratch = trained(tmp_path / "bad", few)
    assert "z_over_chance" in refused_for(verdict(spark, scratch, learned, report))


def test_three_sequences_are_too_few_to_tell_and_pass(spark, tmp_path):
    report, learned, scratch = trained(tmp_path / "scratch", sessions(3))
    judged = verdict(spark, scratch, learned, report)
    assert not judged.refused
    assert "does not apply: not chance_can_be_told" in {result.observed for result in judged.results}


def test_a_space_behind_cooccurrence_passes_with_a_warning(spark, first):
    """As on listening that the settings do not fit: three quarters of what counting finds."""
    report, learned, scratch = first
    behind = {"next.hr@10_over_cooccurrence": 0.72, "next.hr@10_over_cooccurrence_high": 0.74}
    judged = verdict(spark, scratch, learned, report | {"measures": report["measures"] | behind})
    assert not judged.refused
    assert "next.hr@10_over_cooccurrence_high" in {result.column for result in judged.warnings}


def test_a_world_that_doubled_since_the_day_before_passes(spark, first, tmp_path):
    """As many sessions more, of tracks that nobody knew the day before; gone on with in the same space."""
    doubled = np.concatenate([sessions(seed=4), sessions(seed=5) + 1_000])
    report, learned, scratch = trained(tmp_path / "scratch", doubled, "warm", first[1])
    judged = verdict(spark, scratch, learned, report)
    assert not judged.critical, judged.critical


def test_a_warm_start_keeps_the_space_and_passes(spark, first, tmp_path):
    report, learned, scratch = trained(tmp_path / "scratch", sessions(seed=4), "warm", first[1])
    assert report["measures"]["overlap@10"] > 0.65
    assert not verdict(spark, scratch, learned, report).critical


def test_a_version_worse_than_the_one_before_is_refused(spark, first, tmp_path, monkeypatch):
    """Warm, and then noise on the out vectors: still far above chance, but not as good as the version before."""

    def noisy(fit):
        def wrong(*arguments):
            model = fit(*arguments)
            model.out_vectors += (
                np.random.default_rng(0).normal(0, 2.0, model.out_vectors.shape).astype(np.float32)
            )
            return model

        return wrong

    monkeypatch.setattr(task, "fit", noisy(task.fit))
    report, learned, scratch = trained(tmp_path / "scratch", start="warm", before=first[1])
    assert report["measures"]["next.hr_ratio"] < 0.9, "the fault did not fire"
    assert refused_for(verdict(spark, scratch, learned, report)) == {"next.hr_ratio_high"}


def test_a_cold_start_is_turned_to_lie_as_the_space_before(spark, first, tmp_path):
    other_seed = SETTINGS.replace(seed=9)
    report, learned, scratch = trained(tmp_path / "turned", before=first[1], settings=other_seed)
    _, alone, _ = trained(tmp_path / "alone", settings=other_seed)
    assert cosine(first[1], learned) > cosine(first[1], alone) + 0.2
    assert report["measures"]["seed_overlap@10"] > 0
    assert not verdict(spark, scratch, learned, report).critical


def cosine(one, other):
    """The mean over tracks of the cosine of in + out here and there."""
    sums = []
    for table in (one, other):
        rows = table.sort_by("track_id")
        both = [np.array(rows[name].to_pylist(), np.float64) for name in ("in_vector", "out_vector")]
        sums.append(both[0] + both[1])
    lengths = [np.linalg.norm(each, axis=1) for each in sums]
    return float((np.einsum("ij,ij->i", *sums) / (lengths[0] * lengths[1])).mean())


def test_one_thread_repeats_a_result_exactly(first, tmp_path):
    again, learned, _ = trained(tmp_path / "again")
    assert (again["digest"], learned) == (first[0]["digest"], first[1])


def test_a_training_that_was_cut_off_goes_on(first, tmp_path, monkeypatch):
    """Killed after the third epoch; what it had saved is gone on with, to the same vectors."""
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_CHECKPOINTS", -1.0)
    seen = []

    class Cut(progress.EpochNotes):
        def __call__(self, epoch, pairs, model):
            super().__call__(epoch, pairs, model)
            seen.append(epoch)
            if len(seen) == 3:
                raise KeyboardInterrupt

    monkeypatch.setattr(task, "EpochNotes", Cut)
    scratch, batches = write_scratch(tmp_path / "scratch", sessions())
    plan = Plan(scratch, SETTINGS, "cold", False)
    with pytest.raises(KeyboardInterrupt):
        list(make_task(plan)(batches))
    assert scratch.read_json("checkpoint.json") == {"epoch": 3}
    (report,) = [task.json.loads(batch.to_pylist()[0]["report"]) for batch in make_task(plan)(batches)]
    assert seen == [1, 2, 3, 4, 5, 6], "epochs were done again, or left out"
    assert report["digest"] == first[0]["digest"]
