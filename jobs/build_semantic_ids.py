"""Semantic ids: residual-quantised track embeddings, for generative recommenders. A space keeps its codebooks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from features.embeddings.arrays import to_matrix
from features.embeddings.semantic_ids import (
    SAMPLED,
    Codebooks,
    SemanticIdError,
    build_codebook_rows,
    build_semantic_ids,
    fit,
    load_codebooks,
    measure_ids,
    measure_prefix_stability,
)
from jobs.arguments import new_parser
from jobs.embeddings.steps import TABLE, add_day_argument, resolve_day
from jobs.errors import WrongUsage
from jobs.job import Job
from jobs.publishing.protocol import StagedBatch

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Shares of tracks with the codes of another: below the one it does not matter, below the other it is chance.
MANY, FEW = 0.10, 0.01
IDS, BOOKS = "track_semantic_ids", "semantic_codebooks"


def main(argv: Sequence[str] | None = None) -> int:
    arguments = add_day_argument(new_parser(__doc__, "build-semantic-ids"))
    arguments.add_argument("--levels", type=int, default=4, help="codes of a track (%(default)s)")
    arguments.add_argument("--codes", type=int, default=256, help="codes of a level (%(default)s)")
    arguments.add_argument("--seed", type=int, default=1, help="of the clustering (%(default)s)")
    args = arguments.parse_args(argv)
    job = Job("build-semantic-ids", args.root, args.run_id)
    day = resolve_day(job, args.day)
    (space,) = job.snapshot(TABLE).spaces(day)
    before = _find_day_before(job, day, space)
    published = job.table(TABLE, [day])
    books_before = job.table(BOOKS, [before]) if before else None
    inputs = [published, books_before]
    parameters = {"levels": args.levels, "codes": args.codes, "seed": args.seed}
    batch, batch_of_books = (job.batch(table, [day], inputs, parameters=parameters) for table in (IDS, BOOKS))
    with job.lease(IDS):
        if not job.unchanged(batch):
            embeddings = published.rows()
            books = (
                load_codebooks(row.asDict() for row in books_before.rows().collect())
                if books_before
                else _fit_books(embeddings, args.levels, args.codes, args.seed)
            )

            def publish_books(staged: StagedBatch) -> None:
                """Before the ids are seen: ids without their books could not be read."""
                if not staged.verdict.refused:
                    ids = job.spark.read.format("delta").load(staged.path)
                    job.publish(batch_of_books, build_codebook_rows(ids, books, space, day))

            job.publish(
                batch,
                build_semantic_ids(embeddings, books),
                lambda ids: _measure(job, ids, embeddings, before),
                after_audit=publish_books,
            )
    return 0


def _find_day_before(job: Job, day: date, space: str) -> date | None:
    """The newest day before with books of the same space; none on the first day of a space."""
    state = job.state(BOOKS)
    days = [each for each in (state.days if state else []) if each < day]
    return days[-1] if days and space in job.snapshot(BOOKS).spaces(days[-1]) else None


def _fit_books(embeddings: DataFrame, levels: int, codes: int, seed: int) -> Codebooks:
    """Learned here, from a sample: 65,536 vectors for 256 codes a level are 17 MB at 64 dimensions.

    Raises:
        WrongUsage: levels or codes that cannot be.
    """
    sample = (
        embeddings.where("source = 'learned'").orderBy(F.xxhash64("track_id")).limit(max(1, SAMPLED * codes))
    )
    vectors = to_matrix(sample.select("vector").toArrow()["vector"].combine_chunks())
    try:
        return fit(vectors, levels, codes, seed)
    except SemanticIdError as problem:
        raise WrongUsage(str(problem)) from problem


def _measure(job: Job, ids: DataFrame, embeddings: DataFrame, before: date | None) -> dict[str, float]:
    """Of the ids, and against the newest day before in the same books."""
    measures = measure_ids(ids, embeddings)
    compares = before is not None and measures["collisions"] > MANY
    measures["has_collisions_and_day_before"] = float(compares)
    if before:
        old = job.at(IDS, job.version(IDS), [before])
        measures |= measure_prefix_stability(old, ids)
        if compares:
            vectors = job.at(TABLE, job.version(TABLE), [before])
            measures["collisions_ratio"] = measures["collisions"] / max(
                FEW, measure_ids(old, vectors)["collisions"]
            )
    return measures


if __name__ == "__main__":
    raise SystemExit(main())
