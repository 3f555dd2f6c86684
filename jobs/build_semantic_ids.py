"""Semantic ids: residual-quantised track embeddings, for generative recommenders. A space keeps its codebooks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from functools import partial
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from features.embeddings import semantic_ids
from features.embeddings.arrays import to_matrix
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
DEFAULTS = {"levels": 4, "codes": 256, "seed": 1}


def main(argv: Sequence[str] | None = None) -> int:
    parser = add_day_argument(new_parser(__doc__, "build-semantic-ids"))
    # of 60,416 tracks of real sessions, 4 x 256 codes leave 3 to 9 % in collisions, 3 x 256 11 to 22 %
    helps = {
        "levels": "codes of a track",
        "codes": "codes of a level, at most one for two tracks that were learned",
        "seed": "of the clustering",
    }
    # no default, so that it is known what was given: a space keeps the books of its first day
    for name, text in helps.items():
        parser.add_argument(f"--{name}", type=int, help=f"{text} ({DEFAULTS[name]}; later the space's)")
    args = parser.parse_args(argv)
    job = Job("build-semantic-ids", args.root, args.run_id)
    day = resolve_day(job, args.day)
    (space,) = job.snapshot(TABLE).spaces(day)
    before = _find_day_before(job, day, space)
    published = job.table(TABLE, [day])
    books_before = job.table(BOOKS, [before]) if before else None
    inputs = [published, books_before]
    given = {name: getattr(args, name) for name in DEFAULTS if getattr(args, name) is not None}
    kept = _read_shape(job, before) if before else {}
    _check_shape(given, kept)
    parameters = kept or DEFAULTS | given
    batch, batch_of_books = (job.batch(table, [day], inputs, parameters=parameters) for table in (IDS, BOOKS))
    with job.lease(IDS):
        if job.unchanged(batch):
            return 0
        embeddings = published.rows()
        # fitted again, the books would give every track another id: the parameters are for a new space
        if books_before:
            if given.items() - kept.items():
                job.say(
                    f"{IDS}: the codebooks of {space} stay as they are; --codes and --seed are for a new space"
                )
            books = semantic_ids.load_codebooks(row.asDict() for row in books_before.rows().collect())
        else:
            books = _fit_books(job, embeddings, parameters)

        def publish_books(staged: StagedBatch) -> None:
            """Before the ids are seen: ids without their books could not be read."""
            if not staged.verdict.refused:
                # of the staged files, not of the plan, which would assign all codes once more
                ids = job.spark.read.format("delta").load(staged.path)
                job.publish(batch_of_books, semantic_ids.build_codebook_rows(ids, books, space, day))

        rows = semantic_ids.build_semantic_ids(embeddings, books)
        measure = partial(_measure, job, embeddings=embeddings, before=before)
        job.publish(batch, rows, measure, after_audit=publish_books)
    return 0


def _find_day_before(job: Job, day: date, space: str) -> date | None:
    """The newest day before with books of the same space; none on the first day of a space."""
    state = job.state(BOOKS)
    days = [each for each in (state.days if state else []) if each < day]
    return days[-1] if days and space in job.snapshot(BOOKS).spaces(days[-1]) else None


def _read_shape(job: Job, day: date) -> dict[str, int]:
    """Levels of the books of a day, and codes of the largest."""
    snapshot = job.snapshot(BOOKS)
    codes_by_level = Counter(snapshot.read(snapshot.select(day), ["level"])["level"].to_pylist())
    return {"levels": len(codes_by_level), "codes": max(codes_by_level.values())}


def _check_shape(given: Mapping[str, int], kept: Mapping[str, int]) -> None:
    """Raises WrongUsage where what was given cannot have made the books that a space keeps."""
    for name, value in kept.items():
        # of more codes than there are, the others may have had too few tracks to be learned from
        is_possible = given.get(name, value) == value or (name == "codes" and given[name] > value)
        if not is_possible:
            raise WrongUsage(
                f"--{name} is {given[name]}; expected {value}, as the codebooks of this space have, which keep every "
                f"track its id; leave --{name} out, or give it on the first day of a space (train-track-embeddings "
                "--start cold)"
            )


def _fit_books(job: Job, embeddings: DataFrame, parameters: dict[str, int]) -> semantic_ids.Codebooks:
    """Raises WrongUsage for levels or codes that cannot be."""
    # learned on the driver, from a sample: 65,536 vectors for 256 codes a level are 17 MB at 64 dimensions.
    # By a hash of the id, so that a rerun learns from the same tracks; `limit` alone takes what comes first
    size = max(1, semantic_ids.SAMPLED * parameters["codes"])
    sample = embeddings.where("source = 'learned'").orderBy(F.xxhash64("track_id")).limit(size)
    vectors = to_matrix(sample.select("vector").toArrow()["vector"].combine_chunks())
    codes = semantic_ids.limit_codes(len(vectors), parameters["codes"])
    if codes < parameters["codes"]:
        job.say(f"{IDS}: {codes} codes a level, as {len(vectors)} tracks were learned")
    try:
        return semantic_ids.fit(vectors, **parameters | {"codes": codes})
    except semantic_ids.SemanticIdError as problem:
        raise WrongUsage(str(problem)) from problem


def _measure(job: Job, ids: DataFrame, embeddings: DataFrame, before: date | None) -> dict[str, float]:
    """Of the ids, and against the newest day before in the same books."""
    measures = semantic_ids.measure_ids(ids, embeddings)
    is_comparable = before is not None and measures["collisions"] > MANY
    # else the gate would miss the ratio that it has a bound for, and refuse every first day of a space
    measures["has_collisions_and_day_before"] = float(is_comparable)
    if before:
        old = job.at(IDS, job.version(IDS), [before])
        measures |= semantic_ids.measure_prefix_stability(old, ids)
        if is_comparable:
            old_embeddings = job.at(TABLE, job.version(TABLE), [before])
            collisions = semantic_ids.measure_ids(old, old_embeddings)["collisions"]
            measures["collisions_ratio"] = measures["collisions"] / max(FEW, collisions)
    return measures


if __name__ == "__main__":
    raise SystemExit(main())
