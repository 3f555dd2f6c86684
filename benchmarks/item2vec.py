"""item2vec beside Spark MLlib's Word2Vec, gensim and co-occurrence, on the same sessions, in one run.

    python benchmarks/item2vec.py FILE                      # a line a session of track ids; .gz or plain
    python benchmarks/item2vec.py FILE --only fit wide      # some parts: fit wide job warm neighbours memory

Leave-last-out: of 10,000 sessions the last track is held out, and the question is whether it is among the
ten nearest to the track before it (hit rate at 10). The standard error is about 0.0036. Repeats in a row are
dropped. Each trainer is run once per seed, one after the other in turn; compiling is done before.

fit         the trainers alone, of sequences in memory: ours, gensim as we set it, gensim's defaults, MLlib's
wide        ours with 128 dimensions and 20 epochs, against co-occurrence
job         sessions in Parquet to a written Delta table in Spark, against MLlib's fit alone
warm        a window that moves by a thirtieth: the same space gone on with, against one learned anew
neighbours  the ten nearest of every track in Spark, Parquet to Parquet
memory      the most that training two million tracks of 128 numbers takes, in a process of its own
"""

from __future__ import annotations

import argparse
import gzip
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from features.embeddings.arrays import to_list_array
from features.embeddings.baselines import rank_by_cooccurrence, rank_by_popularity
from features.embeddings.comparison import find_neighbours, overlap
from features.embeddings.corpus import Corpus, Model
from features.embeddings.ranking import Pairs, rank_targets, scores
from features.embeddings.settings import Settings
from features.embeddings.training import fit

PAIRS = 10_000
WIDE = {"dimensions": 128, "epochs": 20, "learning_rate": 0.05}
Hits = dict[str, float]


def main() -> int:
    args = _parse_arguments()
    print(
        f"{args.cores} cores; "
        + ", ".join(f"{name} {version(name)}" for name in ("pyspark", "gensim", "numba", "faiss-cpu"))
    )
    if args.part == "memory-alone":
        return memory_alone(args.cores)
    sessions = Sessions(Path(args.file))
    print(sessions)
    for part in args.only:
        print(f"\n{part}")
        PARTS[part](sessions, args)
    return 0


class Sessions:
    """The file as arrays, the last tracks of some sessions kept aside."""

    def __init__(self, path: Path) -> None:
        file_sessions = [_drop_repeats(line.split()) for line in read_text(path).splitlines()]
        long = [i for i, session in enumerate(file_sessions) if len(session) > 2]
        held_out = set(np.random.default_rng(0).choice(long, min(PAIRS, len(long)), replace=False).tolist())
        self.train = [session[:-1] if i in held_out else session for i, session in enumerate(file_sessions)]
        names, flat, counts = np.unique(
            np.concatenate([np.array(session) for session in self.train]),
            return_inverse=True,
            return_counts=True,
        )
        order = np.lexsort((names, -counts))
        number = np.empty(len(order), np.int32)
        number[order] = np.arange(len(order))
        self.names, self.at = names[order], {name: i for i, name in enumerate(names[order])}
        lengths = np.array([len(session) for session in self.train])
        self.corpus = Corpus(number[flat], np.append(0, np.cumsum(lengths)), counts[order].astype(np.int64))
        pairs = [
            (self.at.get(file_sessions[i][-2], -1), self.at.get(file_sessions[i][-1], -1))
            for i in sorted(held_out)
        ]
        self.pairs = Pairs(*np.array(pairs, np.int64).T)

    def __str__(self) -> str:
        plays = len(self.corpus.tokens)
        return f"{len(self.train):,} sessions, {plays:,} plays, {len(self.names):,} tracks, {len(self.pairs):,} pairs"

    def hits(self, model: Model) -> Hits:
        published = model.combine()
        return {
            "published": self.rate(rank_targets(published, published, self.pairs)),
            "in-out": self.rate(rank_targets(model.in_vectors, model.out_vectors, self.pairs)),
        }

    @staticmethod
    def rate(places: np.ndarray) -> float:
        return scores(places)["hr@10"]


def trainers(sessions: Sessions, cores: int) -> dict[str, Callable[[int], tuple[float, Hits]]]:
    def ours(backend: str) -> Callable[[int], tuple[float, Hits]]:
        def run(seed: int) -> tuple[float, Hits]:
            settings = Settings(seed=seed, threads=cores, backend=backend)
            settings = settings.replace(window=5) if backend == "gensim" else settings
            model, seconds = run_timed(fit, sessions.corpus, settings)
            return seconds, sessions.hits(model)

        return run

    return {
        "Segue": ours("sgns"),
        "gensim, Segue's settings": ours("gensim"),
        "gensim's defaults, 20 epochs": lambda seed: _gensim_defaults(sessions, cores, seed),
        "MLlib, 10 iterations, 1 part": lambda seed: _mllib(sessions, seed, 1),
        "MLlib, 10 iterations, 2 parts": lambda seed: _mllib(sessions, seed, 2),
    }


def part_fit(sessions: Sessions, args: argparse.Namespace) -> None:
    fit(sessions.corpus, Settings(epochs=1, threads=args.cores))  # compiles
    runs = trainers(sessions, args.cores)
    results_by_trainer: dict[str, list[tuple[float, Hits]]] = {name: [] for name in runs}
    for seed in range(1, args.seeds + 1):
        for name, run in runs.items():
            results_by_trainer[name].append(run(seed))
    for name, results in results_by_trainer.items():
        time_ratios = [s / o for (s, _), (o, _) in zip(results, results_by_trainer["Segue"], strict=True)]
        line = f"  {name:<30}{format_mean([s for s, _ in results], 's', 1)}   {_format_hits(results)}"
        print(f"{line}   {statistics.median(time_ratios):.1f} x the time")
    baselines(sessions)


def part_wide(sessions: Sessions, args: argparse.Namespace) -> None:
    results = []
    for seed in range(1, args.seeds + 1):
        settings = Settings(seed=seed, threads=args.cores, **WIDE)
        model, seconds = run_timed(fit, sessions.corpus, settings)
        results.append((seconds, sessions.hits(model)))
    print(
        f"  {'Segue, 128 x 20 epochs':<30}{format_mean([s for s, _ in results], 's', 1)}   {_format_hits(results)}"
    )
    cooccurrence = baselines(sessions)
    ratio = statistics.mean(hits["in-out"] for _, hits in results) / cooccurrence
    print(f"  in-out against co-occurrence in sessions: {ratio:.3f} x")


def baselines(sessions: Sessions) -> float:
    corpus, tracks = sessions.corpus, len(sessions.names)
    popularity = sessions.rate(rank_by_popularity(corpus.counts, sessions.pairs))
    cooccurrence = [
        sessions.rate(rank_by_cooccurrence(corpus.tokens, corpus.offsets, tracks, sessions.pairs, window))
        for window in (None, 5)
    ]
    rates = f"of co-occurrence in sessions {cooccurrence[0]:.4f}, within 5 plays {cooccurrence[1]:.4f}"
    print(f"  HR@10 of popularity {popularity:.4f}; {rates}")
    return cooccurrence[0]


def part_job(sessions: Sessions, args: argparse.Namespace) -> None:
    from pyspark.sql import functions as F

    from features.embeddings.sequences import FOLDS, build_sequences
    from features.embeddings.track_embeddings import build_track_embeddings
    from jobs.embeddings import trainer
    from jobs.embeddings.scratch import Scratch
    from jobs.embeddings.task import Plan
    from jobs.embeddings.tracks import SEQUENCES, VOCABULARY

    with tempfile.TemporaryDirectory() as folder:
        spark, sessions_path = session(), _write_sessions(sessions, f"{folder}/sessions")

        def job(seed: int, is_evaluated: bool) -> None:
            settings = Settings(seed=seed, threads=args.cores)
            scratch, rows = (
                Scratch(f"{folder}/scratch-{seed}-{is_evaluated}"),
                spark.read.parquet(sessions_path),
            )
            trainer.write_vocabulary(scratch, rows, None, settings)
            vocabulary = spark.read.parquet(scratch.path(VOCABULARY))
            numbers = vocabulary.select("number", "track_id")
            sequences = build_sequences(rows, numbers, settings, files=args.cores)
            sequences = sequences if is_evaluated else sequences.withColumn("fold", F.lit(FOLDS - 1))
            sequences.write.parquet(scratch.path(SEQUENCES))
            trained = trainer.train(spark, Plan(scratch, settings, "cold", False), lambda line: None)
            learned_table = spark.read.parquet(scratch.path(trained.learned))
            table = build_track_embeddings(learned_table, vocabulary, None, "v", "v", date(2026, 1, 1))
            table.write.format("delta").save(f"{folder}/table-{seed}-{is_evaluated}")

        job(0, False)  # compiles
        for is_evaluated in (False, True):
            ratios, seconds = [], []
            for seed in range(1, args.seeds + 1):
                _, own_seconds = run_timed(job, seed, is_evaluated)
                mllib_seconds, _ = _mllib(sessions, seed, 1)
                ratios.append(mllib_seconds / own_seconds)
                seconds.append(own_seconds)
            what = "and measured on plays held out" if is_evaluated else "vocabulary to written table"
            ratio = statistics.median(ratios)
            print(
                f"  Segue, {what:<34}{format_mean(seconds, 's', 1)}   MLlib's fit alone takes {ratio:.1f} x that"
            )


def part_warm(sessions: Sessions, args: argparse.Namespace) -> None:
    for seed in range(1, args.seeds + 1):
        draws = np.random.default_rng(seed)
        part = draws.integers(0, 31, sessions.corpus.sequences)
        before, now = (_select_sequences(sessions.corpus, np.flatnonzero(part != left)) for left in (30, 0))
        settings = Settings(seed=seed, threads=args.cores)
        model = fit(before, settings)
        rows = np.sort(draws.permutation(np.flatnonzero((before.counts > 0) & (now.counts > 0)))[:3000])
        neighbours_before, vectors_before = find_neighbours(model.combine(), rows), model.combine()[rows]
        cold = fit(now, settings.replace(seed=seed + 100))
        _, seconds = run_timed(fit, now, settings, model, range(settings.warm_epochs))
        warm_overlap = overlap(neighbours_before, find_neighbours(model.combine(), rows))
        cosine = float((vectors_before * model.combine()[rows]).sum(axis=1).mean())
        cold_overlap = overlap(neighbours_before, find_neighbours(cold.combine(), rows))
        warm_hits, cold_hits = sessions.hits(model), sessions.hits(cold)
        rates = ", ".join(f"{name} {warm_hits[name] / cold_hits[name]:.3f} x" for name in warm_hits)
        distances = f"overlap@10 {warm_overlap:.3f} (learned anew {cold_overlap:.3f}), cosine {cosine:.3f}"
        print(f"  seed {seed}: {seconds:.1f} s, {distances}, HR@10 against learned anew: {rates}")


def part_neighbours(sessions: Sessions, args: argparse.Namespace) -> None:
    from features.embeddings.neighbours import Search, find_similar_tracks

    model = fit(sessions.corpus, Settings(threads=args.cores))
    with tempfile.TemporaryDirectory() as folder:
        path = _write_embeddings(sessions, model, f"{folder}/embeddings.parquet")
        spark, rates = session(), []
        for n in range(args.seeds + 1):

            def run(n: int = n) -> None:
                neighbour_table = find_similar_tracks(
                    spark.read.parquet(path), args.k, Search(tasks=args.cores, threads=1)
                )
                neighbour_table.write.parquet(f"{folder}/similar-{n}")

            _, seconds = run_timed(run)
            rates.append(len(sessions.names) / seconds)
    what = f"{len(sessions.names):,} x {model.in_vectors.shape[1]}, k = {args.k}"
    print(f"  {what}: {format_mean(rates[1:], 'queries/s', 0)} (the first run, {rates[0]:,.0f}, warms up)")


def part_memory(sessions: Sessions, args: argparse.Namespace) -> None:
    command = [sys.executable, __file__, args.file, "--part", "memory-alone"]
    print(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def memory_alone(cores: int, tracks: int = 2_000_000, dimensions: int = 128, plays: int = 14) -> int:
    """Two million tracks, fourteen plays of each, in sessions of seven: as the file's, at its scale."""
    draws = np.random.default_rng(0)
    tokens = draws.permutation(np.repeat(np.arange(tracks, dtype=np.int32), plays))
    corpus = Corpus(tokens, np.arange(0, len(tokens) + 1, 7), np.full(tracks, plays, np.int64))
    settings = Settings(dimensions=dimensions, epochs=1, threads=cores)
    model, seconds = run_timed(fit, corpus, settings)
    needed = sum(array.nbytes for array in vars(model).values())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    most = f"{peak / 2**30:.2f} GiB at most, {peak / needed:.2f} x the two matrices and their state"
    print(f"  {tracks:,} x {dimensions}: {most}; an epoch {seconds:.0f} s")
    return 0


PARTS = {
    name.removeprefix("part_"): function
    for name, function in list(globals().items())
    if name.startswith("part_")
}


def _mllib(sessions: Sessions, seed: int, parts: int) -> tuple[float, Hits]:
    """At its best of what was tried; its own vectors, by cosine."""
    from pyspark.ml.feature import Word2Vec

    rows = (
        session()
        .createDataFrame([(session_,) for session_ in sessions.train], "tracks array<string>")
        .repartition(parts)
        .cache()
    )
    rows.count()
    trainer = Word2Vec(
        vectorSize=Settings().dimensions, windowSize=5, minCount=1, maxIter=10, numPartitions=parts, seed=seed,
        inputCol="tracks", outputCol="vector",
    )  # fmt: skip
    model, seconds = run_timed(trainer.fit, rows)
    table = model.getVectors().toPandas()
    rows.unpersist()
    matrix = np.zeros((len(sessions.names), Settings().dimensions), np.float32)
    matrix[[sessions.at[word] for word in table["word"]]] = np.stack(
        [vector.toArray() for vector in table["vector"]]
    )
    matrix /= np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-12)
    return seconds, {"published": sessions.rate(rank_targets(matrix, matrix, sessions.pairs))}


def _gensim_defaults(sessions: Sessions, cores: int, seed: int) -> tuple[float, Hits]:
    from gensim.models import Word2Vec

    model, seconds = run_timed(
        lambda: Word2Vec(
            sessions.train,
            vector_size=Settings().dimensions,
            sg=1,
            min_count=1,
            epochs=20,
            seed=seed,
            workers=cores,
        )
    )
    at = np.array([model.wv.key_to_index[name] for name in sessions.names])
    vectors = model.wv.vectors[at] / np.linalg.norm(model.wv.vectors[at], axis=1, keepdims=True)
    return seconds, {"published": sessions.rate(rank_targets(vectors, vectors, sessions.pairs))}


@cache
def session() -> Any:
    from jobs.session import open_session

    return open_session("item2vec", Path(tempfile.gettempdir()) / "segue-item2vec.log")


def _write_sessions(sessions: Sessions, path: str) -> str:
    """What training reads of the table `sessions`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    lengths = np.diff(sessions.corpus.offsets)
    number = np.repeat(np.arange(len(lengths)), lengths)
    table = pa.table(
        {
            "session_id": pa.array(number).cast(pa.string()),
            "position": pa.array(
                (np.arange(len(number)) - sessions.corpus.offsets[number] + 1).astype(np.int32)
            ),
            "track_id": pa.array(sessions.names[sessions.corpus.tokens]),
            "user_id": pa.array(number).cast(pa.string()),
            "session_started_at": pa.array(number.astype("datetime64[s]")),
            "artist_id": pa.nulls(len(number), pa.string()),
            "is_bot": pa.repeat(False, len(number)),
        }
    )
    os.makedirs(path)
    pq.write_table(table, f"{path}/part.parquet")
    return path


def _write_embeddings(sessions: Sessions, model: Model, path: str) -> str:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = len(sessions.names)
    columns = {"track_id": pa.array(sessions.names), "vector": to_list_array(model.combine())}
    columns |= {name: pa.repeat("v", rows) for name in ("version_id", "space_id")}
    columns |= {
        "ds": pa.repeat(date(2026, 1, 1), rows),
        "feature_at": pa.repeat(pa.scalar(0, pa.timestamp("us", "UTC")), rows),
    }
    schema = pa.schema(
        [pa.field(name, column.type, nullable=name == "vector") for name, column in columns.items()]
    )
    pq.write_table(pa.table(columns, schema=schema), path)
    return path


def _select_sequences(corpus: Corpus, numbers: np.ndarray) -> Corpus:
    lengths = np.diff(corpus.offsets)
    mask = np.repeat(np.isin(np.arange(len(lengths)), numbers), lengths)
    tokens = corpus.tokens[mask]
    return Corpus(
        tokens, np.append(0, np.cumsum(lengths[numbers])), np.bincount(tokens, minlength=len(corpus.counts))
    )


def run_timed(work: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    start = time.monotonic()
    result = work(*arguments)
    return result, time.monotonic() - start


def format_mean(values: list[float], unit: str, decimals: int) -> str:
    spread = f" ± {statistics.stdev(values):,.{decimals}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):8,.{decimals}f}{spread} {unit}"


def _format_hits(results: list[tuple[float, Hits]]) -> str:
    names = results[0][1]
    return "   ".join(
        f"HR@10 {name} {format_mean([hits[name] for _, hits in results], '', 4).strip()}" for name in names
    )


def read_text(path: Path) -> str:
    """Of a file, gzipped or plain."""
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == ".gz" else content).decode()


def _drop_repeats(tracks: list[str]) -> list[str]:
    return [track for track, before in zip(tracks, [None, *tracks], strict=False) if track != before]


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="(default: all parts)")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each (%(default)s)")
    parser.add_argument(
        "--cores", type=int, default=os.cpu_count() or 1, help="threads of each trainer (%(default)s)"
    )
    parser.add_argument("-k", type=int, default=50, help="neighbours of a track (%(default)s)")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
