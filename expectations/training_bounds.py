"""What is expected of a training: bounds of the space as a whole.

Integrity is absolute: it holds for any data, and for a first version. Quality is relative to the published version on
the same held-out pairs, as a floor for it would only fit the data that it was measured on; what a space is like by
itself warns. Two trainings that differ in the seed alone share 33 to 40 % of their ten nearest.

Apart from the suite, which takes the seconds of importing Great Expectations.
"""

from __future__ import annotations

from expectations.suite import MIN_PAIRS, Bound, SoftBound

# A normal variable exceeds it 3 times in 100,000; spaces of 100 to 1,000 planted sessions are at 25 to 60.
MIN_Z_OVER_CHANCE = 4.0

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
            applies_if="has_dimensions_of_parent",
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

BOUNDS = (*_INTEGRITY, *_RELATIVE_TO_PARENT, *_DESCRIPTIVE)
