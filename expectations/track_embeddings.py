"""What is expected of track embeddings: row by row, and of the space as a whole.

Integrity is absolute: it holds for any data, and for a first version. Quality is relative to the published version on
the same held-out pairs, as a floor for it would only fit the data that it was measured on; what a space is like by
itself warns. Two trainings that differ in the seed alone share 33 to 40 % of their ten nearest.
"""

from __future__ import annotations

from expectations.aggregates import ExpectOneValuePerDay
from expectations.contracts import (
    FEATURE_AT_IS_END_OF_DAY,
    build_suite,
    expect_rows,
    expect_within,
    explain,
)
from expectations.suite import MIN_PAIRS, Bound, SoftBound
from schemas.track_embeddings import SOURCES, TRACK_EMBEDDINGS


def expect_one_per_day(
    column: str, expected: str, reason: str, value: str | None = None
) -> ExpectOneValuePerDay:
    """`value` is SQL of what must be the same in all rows of a day; the column itself for None."""
    return ExpectOneValuePerDay(
        column=column, value=value or column, description=expected, meta=explain(reason)
    )


def _length_sql(vector: str) -> str:
    # summed as doubles, so that the tolerance is for the floats' own rounding and none of the sum's
    return f"sqrt(aggregate({vector}, 0D, (sum, x) -> sum + double(x) * x))"


ONE_SPACE = expect_one_per_day("space_id", "one space per day", "vectors of two spaces compare as noise")
# Of every table that is made from one training a day: vectors of two spaces compare as noise.
OF_ONE_TRAINING = (
    FEATURE_AT_IS_END_OF_DAY,
    ONE_SPACE,
    expect_one_per_day(
        "version_id", "one version per day", "half of a training beside half of another is neither of them"
    ),
)
# Why all vectors of a day have one size, and why two of a row have the same.
ONE_SIZE = "index and models are made for one number of dimensions; a row of another cannot be loaded"
# vectors are floats, their length is a double
UNIT_VECTOR = expect_rows(
    "vector",
    f"abs({_length_sql('vector')} - 1) <= 1e-3",
    "of length 1",
    reason="readers take the product of two as their cosine",
)

# A normal variable exceeds it 3 times in 100,000; spaces of 100 to 1,000 planted sessions are at 25 to 60.
MIN_Z_OVER_CHANCE = 4.0
VECTORS = ("vector", "in_vector", "out_vector")
_SUM = "zip_with(in_vector, out_vector, (x, y) -> double(x) + y)"
_SOURCES_SQL = ", ".join(f"'{source}'" for source in SOURCES)

# What is wrong whatever the data are.
_INTEGRITY = (
    # The first two are measured on the staged rows, not in the training: a wrong join after it is noticed too.
    Bound(
        "lost_tracks",
        "every track that was learned has its row: one that is not there was lost on the way",
        high=0,
        low=0,
        integrity=True,
    ),
    Bound(
        "z_over_chance",
        "tracks that follow each other in the sequences learned from score no higher together than paired at random: "
        "the vectors are untrained, or under the names of other tracks; by chance 1 space in 30,000 gets there",
        low=MIN_Z_OVER_CHANCE,
        applies_if="chance_can_be_told",
        integrity=True,
    ),
    Bound(
        "cosine",
        "vectors moved away from those of the same space before, so models trained on them read noise (in "
        "another space the mean is about 0); train with --start cold",
        low=0.5,
        applies_if="is_warm",
    ),
)
# Worse than the published version, by more than noise explains.
_RELATIVE_TO_PARENT = (
    # The interval is that of a ratio of paired proportions (Bonett and Price, 2006): a bootstrap is certain of itself
    # with a handful of hits. Its lower end only warns: with few pairs it would refuse equal versions.
    Bound(
        "next.hr_ratio_high",
        "on the same held-out pairs even the upper end of the 95 % interval is under 0.95 of the hits of the "
        "version before: it is worse, and not by chance",
        low=0.95,
        applies_if="has_pairs_and_parent",
    ),
    SoftBound(
        "next.hr_ratio_low",
        "the lower end of the 95 % interval is under 0.95 of the hits of the version before: it may be worse",
        low=0.95,
        applies_if="enough_pairs_and_parent",
    ),
    Bound(
        "coverage_ratio",
        "the version before has learned vectors for more of these very plays: one in twenty of them lost its",
        low=0.95,
        applies_if="has_parent",
    ),
    # measured: a day's warm update keeps 84 % of them, the same trained from scratch 33 %
    SoftBound(
        "overlap@10",
        "a warm start keeps more of the ten nearest from day to day; a jump in the data moves them, and two "
        "trainings that differ in the seed alone share 0.33 to 0.40",
        low=0.65,
        applies_if="is_warm",
    ),
    SoftBound(
        "cosine",
        "a day's data move vectors of a warm start by less; a jump in the data by more",
        low=0.95,
        applies_if="is_warm",
        title="cosine.warning",
    ),
    SoftBound(
        "overlap_over_seeds",
        "a cold start keeps fewer of the ten nearest than a training that differs in the seed alone",
        low=0.9,
        applies_if="is_cold_with_parent",
    ),
    *(
        SoftBound(
            f"norm_{percentile}_ratio",
            "lengths of in + out grow with the plays learned from; who searches by inner product sees it",
            0.75,
            1.25,
            applies_if="has_tracks_of_parent",
        )
        for percentile in ("p1", "p99")
    ),
)
# What a space is like by itself depends on the data: for the record, and worth a look.
_DESCRIPTIVE = (
    # No floors: one calibrated on a real history (0.85 of co-occurrence) refused a generated world that was right.
    Bound(
        "pairs",
        "with fewer held-out pairs the intervals are wide: only gross faults can be distinguished from noise",
        low=MIN_PAIRS,
        severity="info",
    ),
    SoftBound(
        "next.hr@10_over_popularity_high",
        "the most played tracks alone hit more, beyond noise: settings do not fit these data",
        low=1,
        applies_if="has_pairs",
    ),
    SoftBound(
        "next.hr@10_over_cooccurrence_high",
        "counting what is played in the same sessions hits more, beyond noise: settings do not fit these data (0.72 "
        "was seen with those of another history)",
        low=0.85,
        applies_if="has_pairs",
    ),
    SoftBound(
        "coverage",
        "plays of tracks too rare to be learned: with less than this, look at --min-plays",
        low=0.95,
        share="coalesce(try_divide(sum(if(source = 'learned', support, 0)), sum(support)), 1)",
        column="support",
        share_of="of plays are of tracks learned",
    ),
    SoftBound(
        "vector_coverage",
        "a play of a track without any vector is lost to everything made of them",
        low=0.99,
        share="coalesce(try_divide(sum(if(source = 'none', 0, support)), sum(support)), 1)",
        column="source",
        share_of="of plays are of tracks with a vector",
    ),
)

SUITE = build_suite(
    TRACK_EMBEDDINGS,
    *OF_ONE_TRAINING,
    *(expect_one_per_day(name, "one size per day", ONE_SIZE, f"array_size({name})") for name in VECTORS),
    expect_rows(
        "source",
        f"source in ({_SOURCES_SQL})",
        f"one of {', '.join(SOURCES)}",
        reason="readers choose by it how far they trust a vector",
    ),
    *(
        expect_rows(
            name,
            f"({name} is null) = (source = 'none')",
            "null where source is none, and only there",
            reason="who leaves out tracks without a vector goes by source, and would read a null or miss a vector",
        )
        for name in (*VECTORS, "norm")
    ),
    expect_rows(
        "vector",
        "size(vector) >= 2",
        "two dimensions or more",
        reason="of one dimension all vectors of length 1 are 1 or -1",
    ),
    *(
        expect_rows(name, f"size({name}) = size(vector)", "as many dimensions as vector", reason=ONE_SIZE)
        for name in ("in_vector", "out_vector")
    ),
    UNIT_VECTOR,
    expect_rows(
        "norm",
        f"abs({_length_sql(_SUM)} - norm) <= 1e-3 * norm",
        "the length of in + out",
        reason="vector times norm is in + out: with another norm, who needs lengths computes wrong ones",
    ),
    expect_rows(
        "norm",
        "norm > 0 and norm < 1000",
        "over 0, under 1,000",
        reason="a vector of no length has no direction, and one of length 1,000 is of a training that diverged",
    ),
    expect_rows(
        "support",
        "source <> 'learned' or support >= 1",
        "1 or more where learned",
        reason="nothing is learned of a track without plays: its vector is another track's, or noise",
    ),
    expect_within("support", "it is a number of plays", 0),
    optional=("in_state", "out_state"),
    bounds=(*_INTEGRITY, *_RELATIVE_TO_PARENT, *_DESCRIPTIVE),
)
