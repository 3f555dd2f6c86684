"""What one task learned, and the catalogue, as rows of `track_embeddings`: a vector for each track that can.

Sources, best first:

- learned: as trained;
- artist: the mean of the artist's learned tracks, each as often as it was played; nearer to the album's own the more
  plays the album has, (n * album + kappa * artist) / (n + kappa);
- content: ridge regression from length, explicit mark, year and words to the learned vectors;
- none: no vector.

A vector whose in + out is all zeros is none, and the next source is tried.
"""

from __future__ import annotations

from datetime import date
from functools import partial

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from features.embeddings.cold_vectors import NUMBERS, WORDS, fill_vectors, solve_ridge, sum_normal_equations
from schemas.track_embeddings import TRACK_EMBEDDINGS

# A catalogue has many times the tracks that were ever played, and new ones each Friday.
# Rejected: shrinking learned tracks of under ten plays to their artist. It moved HR@10 by less than its error
# on two and a half years of one station's plays (0.0105 to 0.0129, +-0.0023), and a warm start would repeat
# it each day.

# Learned tracks with content from which on the regression is trusted: it has some 260 columns to fit.
FEWEST_TO_FIT = 2_000
# The year of Edison's phonograph: what is of before it is no date of a release.
FIRST_RECORDING = 1877
# Of the logarithm of a track's length in 200 s: ten seconds and an hour. A stream of a day is no longer than that.
MOST_LENGTH = 3.0
# Rows travel by artist in so many parts, each led by a copy of the regression's weights (a quarter of a
# megabyte at 128 dimensions); more would make copies dear, fewer would leave a large cluster idle.
SLICES = 256

_WORDED = ("title", "artist_name", "album")
_STATES = ("in_state", "out_state")
_LEARNED = ("in_vector", "out_vector", "support", *_STATES)
_FILLED = ("track_id", "in_vector", "out_vector", "vector", "norm", "support", "source", *_STATES)


def join_previous_vectors(vocabulary: DataFrame, previous: DataFrame | None) -> DataFrame:
    """The vocabulary, and beside each track the vectors and states that the version before had for it.

    Adds `previous_plays`: the plays that version learned it from, 0 where its vector came of other tracks, null where
    it had none.
    """
    if previous is None:
        types = {"previous_plays": "bigint", "in_vector": "array<float>", "out_vector": "array<float>"}
        types |= dict.fromkeys(_STATES, "double")
        return vocabulary.select("*", *[F.lit(None).cast(kind).alias(name) for name, kind in types.items()])
    # a vector that came of other tracks is where a track that is played for the first time begins
    plays = F.when(F.col("source") == "learned", F.col("support")).otherwise(F.lit(0)).cast("bigint")
    columns = (plays.alias("previous_plays"), "in_vector", "out_vector", *_STATES)
    vectors = previous.where("source <> 'none'").select("track_id", *columns)
    joined = vocabulary.join(vectors, "track_id", "left")
    return joined.select("number", "track_id", "plays", *vectors.columns[1:])


def build_track_embeddings(
    learned: DataFrame,
    vocabulary: DataFrame,
    catalogue: DataFrame | None,
    version_id: str,
    space_id: str,
    day: date,
) -> DataFrame:
    """One row per track of `vocabulary` (track_id, plays) or `catalogue`; others as in `fill_cold_vectors`."""
    plays = vocabulary.select("track_id", "plays")
    rows = fill_cold_vectors(plays.select("track_id").join(learned, "track_id", "left"), catalogue, day)
    # tracks that were not learned, of too few plays or in no sequence, have plays in the window as well
    with_plays = rows.drop("support").join(plays, "track_id", "left")
    return with_plays.select(
        *[name for name in rows.columns if name != "support"],
        F.coalesce("plays", F.lit(0)).alias("support"),
        F.lit(version_id).alias("version_id"),
        F.lit(space_id).alias("space_id"),
        F.lit(day).alias("ds"),
        F.date_add(F.lit(day), 1).cast("timestamp").alias("feature_at"),
    )


def fill_cold_vectors(learned: DataFrame, catalogue: DataFrame | None, day: date) -> DataFrame:
    """One row per track of either, with its vectors and where they come from: the columns `_FILLED`.

    Args:
        learned: track_id, in_vector, out_vector, support, in_state, out_state; unique by track. It is read
            twice, so it must come from a table or a checkpoint, not from a plan that trains.
        catalogue: the table `tracks`, or some of its rows; None where there is none.
        day: of the training. Tracks are released up to the year after.

    Raises:
        VectorError: in a task, for vectors of different lengths.
    """
    if catalogue is None:  # no track has an artist, and nothing needs to be sorted
        rows = _add_empty_catalogue(learned)
    else:
        rows = _cluster_by_artist(_join_catalogue(learned, catalogue, day))
    # Types and nullability as the contract has them: a null where there must be none fails in the task.
    contract = TRACK_EMBEDDINGS.struct()
    return rows.mapInArrow(fill_vectors, StructType([contract[name] for name in _FILLED]))


def _add_empty_catalogue(learned: DataFrame) -> DataFrame:
    types = {
        "artist_id": "string",
        "album": "string",
        **dict.fromkeys(NUMBERS, "double"),
        "weights": "binary",
    }
    nulls = {name: F.lit(None).cast(kind) for name, kind in types.items()}
    rows = learned.select("track_id", *_LEARNED)
    return rows.withColumns({**nulls, "words": F.array().cast("array<int>")})


def _join_catalogue(learned: DataFrame, catalogue: DataFrame, day: date) -> DataFrame:
    """Both side by side, the catalogue as numbers."""
    # a track with one vector of the two counts as not learned
    has_both = F.col("in_vector").isNotNull() & F.col("out_vector").isNotNull()
    vectors = learned.where(has_both).select("track_id", *_LEARNED)
    without_vectors = learned.where(~has_both).select("track_id")
    tracks = vectors.unionByName(without_vectors, allowMissingColumns=True)
    # words are numbers before the join, so that no titles are shuffled
    content = catalogue.select("track_id", "artist_id", "album", *_content_columns(day))
    return tracks.join(content, "track_id", "full_outer")


def _content_columns(day: date) -> list[Column]:
    """What the regression reads, each about 1 in size; null, or empty, where the catalogue says nothing."""
    length = F.log(F.col("track_ms") / 200_000)
    # inside of `when`, as the least of null and a number is the number
    bounded_length = F.least(F.greatest(length, F.lit(-MOST_LENGTH)), F.lit(MOST_LENGTH))
    # placeholders as 9999-12-31 would make vectors so long that a few such tracks follow nearly every other
    year = F.year("released_on")
    known_year = F.when(year.between(FIRST_RECORDING, day.year + 1), year)
    return [
        F.when(F.col("track_ms") > 0, bounded_length).alias("length"),
        F.col("explicit").cast("int").cast("double").alias("explicit"),
        ((known_year - 2000) / 20).alias("year"),
        F.concat(*[_hash_words(name) for name in _WORDED]).alias("words"),
    ]


def _hash_words(name: str) -> Column:
    """The column's words as numbers below 2 * WORDS: a place among WORDS, and a sign."""
    # hashed with the column's name: the same word means another thing in another column
    words = F.filter(F.split(F.lower(name), r"[^\p{L}\p{N}]+"), lambda word: word != "")
    numbers = F.transform(
        words, lambda word: F.pmod(F.xxhash64(F.concat(F.lit(f"{name} "), word)), 2 * WORDS)
    )
    return F.coalesce(numbers.cast("array<int>"), F.array().cast("array<int>"))


def _cluster_by_artist(tracks: DataFrame) -> DataFrame:
    """Artist by artist, whole artists to a task, each of them led by the weights of the regression."""
    slices = tracks.sparkSession.range(SLICES).select(F.col("id").alias("slice"))
    leaders = slices.crossJoin(F.broadcast(_fit_weights(tracks)))
    return (
        # tracks without artist are groups by themselves: by their own id they spread over all slices
        tracks.withColumn("slice", F.pmod(F.xxhash64(F.coalesce("artist_id", "track_id")), F.lit(SLICES)))
        .unionByName(leaders, allowMissingColumns=True)
        .repartition("slice")
        # sums go by artist, album and track id, so no result depends on how the rows were spread
        .sortWithinPartitions("slice", F.col("weights").isNull(), "artist_id", "album", "track_id")
        .drop("slice")
    )


def _fit_weights(tracks: DataFrame) -> DataFrame:
    """One row, `weights` of the regression; none where too few tracks were learned."""
    has_numbers = F.coalesce(*NUMBERS).isNotNull()
    has_content = has_numbers | F.coalesce(F.size("words") > 0, F.lit(False))
    examples = tracks.where(F.col("in_vector").isNotNull() & has_content)
    columns = examples.select("in_vector", "out_vector", "support", *NUMBERS, "words")
    # each task sends one row of sums (1 MB at 64 dimensions), however many tracks it read; they are added in
    # the order of the tasks, since sums of floats depend on theirs
    sums = columns.mapInArrow(sum_normal_equations, "task int, rows bigint, products binary")
    solve = partial(solve_ridge, fewest=FEWEST_TO_FIT)
    return sums.repartition(1).sortWithinPartitions("task").mapInArrow(solve, "weights binary")
