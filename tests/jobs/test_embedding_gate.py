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
from jobs.embeddings.task import Plan, run_training
from jobs.embeddings.tracks import VOCABULARY
from reference.planted import sessions, write_scratch
from schemas import CONTRACTS, conform

DAY = date(2026, 11, 20)
SETTINGS = Settings(dimensions=16, epochs=6, seed=1, threads=1)
CONTRACT = CONTRACTS["track_embeddings"]


def train(folder, sequences=None, start="cold", before=None, settings=SETTINGS):
    """What a training reports, the table that it leaves, and its scratch."""
    scratch = write_scratch(folder, sessions() if sequences is None else sequences, before)
    plan = Plan(scratch, settings, start, before is not None)
    report = run_training(plan)
    return report, pq.read_table(scratch.path(report["learned"])), scratch


@pytest.fixture(scope="module")
def first_training(tmp_path_factory):
    return train(tmp_path_factory.mktemp("first") / "scratch")


def audit(spark, scratch, table, report, spoil=lambda rows: rows):
    """What the gate says of rows made of `learned`, as the job makes and measures them."""
    pq.write_table(table, scratch.path("spoiled.parquet"))
    read = spark.read.parquet
    rows = build_track_embeddings(
        read(scratch.path("spoiled.parquet")), read(scratch.path(VOCABULARY)), None, "v1", "v1", DAY
    )
    batch = conform(spoil(rows), CONTRACT).localCheckpoint()
    measures = measure_staged(batch, scratch, report["tracks"], report["measures"])
    return audit_batch(batch, suite_for(CONTRACT.name), profile(batch, CONTRACT), measures)


def list_critical_columns(verdict):
    assert verdict.refused, f"the gate let it pass; of all checks failed {verdict.failures}"
    return {result.column for result in verdict.critical}


def test_gate_passes_a_good_space(spark, first_training):
    report, table, scratch = first_training
    verdict = audit(spark, scratch, table, report)
    assert report["measures"]["pairs"] > 1_000, "with so few questions the gate would judge nothing"
    assert not verdict.critical, verdict.critical
    z = next(result for result in verdict.results if result.column == "z_over_chance")
    assert z.success and "not" not in z.observed, "there was nothing to tell from chance"


def set_element(table, column, row, value):
    vectors = table[column].to_pylist()
    vectors[row][0] = value
    place = table.column_names.index(column)
    return table.set_column(place, column, pa.array(vectors, pa.list_(pa.float32())))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_gate_refuses_a_vector_with_nan_or_infinity(spark, first_training, value):
    report, table, scratch = first_training
    verdict = audit(spark, scratch, set_element(table, "in_vector", 5, value), report)
    assert "in_vector" in list_critical_columns(verdict)


def test_gate_refuses_rows_of_another_space(spark, first_training):
    from pyspark.sql import functions as F

    report, table, scratch = first_training
    other = F.when(F.col("track_id") < "t0100", F.lit("v0")).otherwise(F.col("space_id"))
    verdict = audit(
        spark,
        scratch,
        table,
        report,
        lambda rows: rows.withColumn("space_id", F.coalesce(other, F.lit(""))),
    )
    assert list_critical_columns(verdict) == {"space_id"}


def test_gate_refuses_half_the_vocabulary(spark, first_training):
    report, table, scratch = first_training
    half_table = table.filter(
        pc.less(pc.cast(pc.utf8_slice_codeunits(table["track_id"], 1), pa.int64()), 500)
    )
    assert "lost_tracks" in list_critical_columns(audit(spark, scratch, half_table, report))


def permute_vectors(fit):
    """Every vector under the name of another track, as a wrong join would leave them."""

    def fit_wrongly(*arguments):
        model = fit(*arguments)
        order = np.random.default_rng(0).permutation(len(model.in_vectors))
        return type(model)(*(array[order] for array in vars(model).values()))

    return fit_wrongly


def skip_training(fit):
    """As many random numbers, and nothing learned."""

    def fit_wrongly(corpus, settings, *rest):
        model = fit(corpus, settings.replace(epochs=1, learning_rate=1e-6), *rest[:1], range(1))
        model.out_vectors[:] = (
            np.random.default_rng(0).normal(size=model.out_vectors.shape).astype(np.float32)
        )
        return model

    return fit_wrongly


@pytest.mark.parametrize("fault", [permute_vectors, skip_training])
def test_gate_refuses_a_space_no_better_than_chance(spark, monkeypatch, tmp_path, fault):
    monkeypatch.setattr(task, "fit", fault(task.fit))
    report, table, scratch = train(tmp_path / "scratch")
    assert report["measures"]["next.hr@10"] < 0.1, "the fault did not fire"
    assert list_critical_columns(audit(spark, scratch, table, report)) == {"z_over_chance"}


def test_gate_refuses_track_ids_permuted_after_the_training(spark, first_training):
    report, table, scratch = first_training
    names = table["track_id"].to_pylist()
    mixed_table = table.set_column(
        0, "track_id", pa.array(np.random.default_rng(1).permutation(names).tolist())
    )
    assert "z_over_chance" in list_critical_columns(audit(spark, scratch, mixed_table, report))


@pytest.mark.parametrize("fault", [permute_vectors, skip_training])
def test_gate_refuses_chance_on_a_hundred_sequences(spark, monkeypatch, tmp_path, fault):
    sequences = sessions(100)
    report, table, scratch = train(tmp_path / "good", sequences)
    assert not audit(spark, scratch, table, report).critical
    monkeypatch.setattr(task, "fit", fault(task.fit))
    report, table, scratch = train(tmp_path / "bad", sequences)
    assert "z_over_chance" in list_critical_columns(audit(spark, scratch, table, report))


def test_gate_passes_three_sequences_as_too_few_to_tell_from_chance(spark, tmp_path):
    report, table, scratch = train(tmp_path / "scratch", sessions(3))
    verdict = audit(spark, scratch, table, report)
    assert not verdict.refused
    assert "does not apply: not chance_can_be_told" in {result.observed for result in verdict.results}


def test_gate_only_warns_of_a_space_behind_cooccurrence(spark, first_training):
    """As on listening that the settings do not fit: three quarters of what counting finds."""
    report, table, scratch = first_training
    measures = {"next.hr@10_over_cooccurrence": 0.72, "next.hr@10_over_cooccurrence_high": 0.74}
    verdict = audit(spark, scratch, table, report | {"measures": report["measures"] | measures})
    assert not verdict.refused
    assert "next.hr@10_over_cooccurrence_high" in {result.column for result in verdict.warnings}


def test_gate_passes_a_world_that_doubled_since_the_day_before(spark, first_training, tmp_path):
    """As many sessions more, of tracks that nobody knew the day before; gone on with in the same space."""
    sequences = np.concatenate([sessions(seed=4), sessions(seed=5) + 1_000])
    report, table, scratch = train(tmp_path / "scratch", sequences, "warm", first_training[1])
    verdict = audit(spark, scratch, table, report)
    assert not verdict.critical, verdict.critical


def test_gate_passes_a_warm_start_that_keeps_the_space(spark, first_training, tmp_path):
    report, table, scratch = train(tmp_path / "scratch", sessions(seed=4), "warm", first_training[1])
    assert report["measures"]["overlap@10"] > 0.65
    assert not audit(spark, scratch, table, report).critical


def test_gate_refuses_a_version_worse_than_its_parent(spark, first_training, tmp_path, monkeypatch):
    """Warm, and then noise on the out vectors: still far above chance, but not as good as the version before."""

    def add_noise(fit):
        def fit_wrongly(*arguments):
            model = fit(*arguments)
            model.out_vectors += (
                np.random.default_rng(0).normal(0, 2.0, model.out_vectors.shape).astype(np.float32)
            )
            return model

        return fit_wrongly

    monkeypatch.setattr(task, "fit", add_noise(task.fit))
    report, table, scratch = train(tmp_path / "scratch", start="warm", before=first_training[1])
    assert report["measures"]["next.hr_ratio"] < 0.9, "the fault did not fire"
    assert list_critical_columns(audit(spark, scratch, table, report)) == {"next.hr_ratio_high"}


def test_run_training_rotates_a_cold_start_towards_its_parent(spark, first_training, tmp_path):
    other_seed = SETTINGS.replace(seed=9)
    report, table, scratch = train(tmp_path / "turned", before=first_training[1], settings=other_seed)
    _, unrotated_table, _ = train(tmp_path / "alone", settings=other_seed)
    assert mean_cosine(first_training[1], table) > mean_cosine(first_training[1], unrotated_table) + 0.2
    assert report["measures"]["seed_overlap@10"] > 0
    assert not audit(spark, scratch, table, report).critical


@pytest.mark.parametrize("dimensions", [8, 24])
def test_gate_passes_a_new_space_of_other_dimensions(spark, first_training, tmp_path, dimensions):
    """Compared with its parent by hits and neighbours; no rotation, cosine or ratio of lengths is of two widths."""
    settings = SETTINGS.replace(dimensions=dimensions)
    report, table, scratch = train(tmp_path / "scratch", before=first_training[1], settings=settings)
    before = [row["value"] for row in report["metrics"] if row["of"] == "previous"]
    assert before and report["measures"]["next.hr_ratio_high"] > 0.95
    assert report["measures"]["overlap@10"] > 0.2
    assert not {"aligned_on", "cosine", "norm_p1_ratio"} & set(report["measures"])
    assert not audit(spark, scratch, table, report).critical


def test_overlap_of_six_tracks_is_whole(tmp_path):
    """Each has the five others as neighbours, and five of ten places are empty."""
    sequences = sessions(300) % 6
    before = train(tmp_path / "before", sequences)[1]
    measures = train(tmp_path / "after", sequences, before=before, settings=SETTINGS.replace(seed=9))[0][
        "measures"
    ]
    assert measures["overlap@10"] == measures["seed_overlap@10"] == measures["overlap_over_seeds"] == 1


def mean_cosine(one, other):
    """The mean over tracks of the cosine of in + out here and there."""
    sums = []
    for table in (one, other):
        rows = table.sort_by("track_id")
        vectors = [np.array(rows[name].to_pylist(), np.float64) for name in ("in_vector", "out_vector")]
        sums.append(vectors[0] + vectors[1])
    lengths = [np.linalg.norm(each, axis=1) for each in sums]
    return float((np.einsum("ij,ij->i", *sums) / (lengths[0] * lengths[1])).mean())


def test_run_training_with_one_thread_repeats_its_result_exactly(first_training, tmp_path):
    report, table, _ = train(tmp_path / "again")
    assert (report["digest"], table) == (first_training[0]["digest"], first_training[1])


def test_run_training_resumes_from_a_checkpoint(first_training, tmp_path, monkeypatch):
    """Killed after the third epoch; what it had saved is gone on with, to the same vectors."""
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_CHECKPOINTS", -1.0)
    epochs = []

    class InterruptedNotes(progress.EpochNotes):
        def __call__(self, epoch, pairs, model):
            super().__call__(epoch, pairs, model)
            epochs.append(epoch)
            if len(epochs) == 3:
                raise KeyboardInterrupt

    monkeypatch.setattr(task, "EpochNotes", InterruptedNotes)
    scratch = write_scratch(tmp_path / "scratch", sessions())
    plan = Plan(scratch, SETTINGS, "cold", False)
    with pytest.raises(KeyboardInterrupt):
        run_training(plan)
    assert scratch.read_json("checkpoint.json") == {"epoch": 3}
    report = run_training(plan)
    assert epochs == [1, 2, 3, 4, 5, 6], "epochs were done again, or left out"
    assert report["digest"] == first_training[0]["digest"]
