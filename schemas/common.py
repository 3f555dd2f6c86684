"""Columns that mean the same in every table that has them, and the length of a day."""

from __future__ import annotations

from schemas.contract import Column

MICROS_A_DAY = 86_400_000_000

# 64 buckets: at 64 million users a bucket is a million rows of one day, about one file.
BUCKETS = 64

DS = Column(
    "ds",
    "date",
    "day of the event in UTC; for features, the last day they cover",
    nullable=False,
    profile=False,
)
# nullable: rows are staged without it, and the commit sets it as a partition value
AVAILABLE_AT = Column(
    "available_at",
    "timestamp",
    "instant of publication; known at the commit, null before",
    "UTC",
    profile=False,
)
FEATURE_AT = Column(
    "feature_at",
    "timestamp",
    "the values describe everything before this instant",
    "UTC",
    False,
    profile=False,
)
VERSION_ID = Column("version_id", "string", "the training, as in embedding_versions", nullable=False)
SPACE_ID = Column("space_id", "string", "vectors compare only within one space", nullable=False)


def quote_name(name: str) -> str:
    """A column's name as Spark reads it, whatever characters are in it: without, `item.price` is a field of `item`."""
    return "`" + name.replace("`", "``") + "`"


def bucket(entity: str) -> Column:
    # xxhash64, as clients without Spark have it too: XXH64 of the UTF-8 bytes with seed 42
    return Column(
        "bucket",
        "int",
        f"pmod(xxhash64({entity}), {BUCKETS})",
        nullable=False,
        check=f"between 0 and {BUCKETS - 1}",
        profile=False,
    )
