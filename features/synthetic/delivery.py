"""What happens to plays on their way: late, twice, broken; as lines of text.

Broken lines are extra lines, copies of a play spoiled in one way, under ids of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.ingest import PLAY_FIELDS
from features.synthetic.listening import format_play_id
from features.synthetic.world import World, WorldError

# This source has no sessions of its own: they are for us to find.
DELIVERY_FIELDS = tuple(name for name in PLAY_FIELDS if name != "source_session_id")
MAX_DELAY_DAYS = 3
NEXT_DAY_DUPLICATE_SHARE = 0.2


def _replace_by(text: str) -> Callable[[Column], Column]:
    return lambda _: F.lit(text)


def _negate(field: Column) -> Column:
    return F.concat(F.lit("-"), field)


def _insert_thousands_separator(field: Column) -> Column:
    # one field too many from here on: no line has a play of less than a second
    return F.regexp_replace(field, r"(\d{3})$", r",$1")


# how a line breaks -> the field, and what becomes of it
CORRUPTIONS: dict[str, tuple[str, Callable[[Column], Column]]] = {
    "missing_user": ("user_id", _replace_by("")),
    "missing_track": ("track_id", _replace_by("")),
    "year_1970": ("played_at", _replace_by("1970-01-01T00:00:00.000Z")),
    "year_2099": ("played_at", _replace_by("2099-12-31T23:59:59.000Z")),
    "negative_ms": ("ms_played", _negate),
    # one millisecond more than the ingest takes
    "over_a_day": ("ms_played", _replace_by("86400001")),
    "not_a_number": ("ms_played", _replace_by("NaN")),
    "words_for_ms": ("ms_played", _replace_by("three minutes")),
    "extra_field": ("ms_played", _insert_thousands_separator),
}
CUT_SHORT = "cut_short"
CORRUPTION_KINDS = (*CORRUPTIONS, CUT_SHORT)
PLAY, DUPLICATE, SPOILED = "play", "duplicate", "spoiled"


@dataclass(frozen=True)
class ClientBug:
    """A client bug: on one day of delivery, this share of the plays comes with negative ms_played."""

    day: date
    share: float

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise WorldError(f"spoil share is {self.share}, must be above 0 and at most 1")


def deliver(world: World, plays: DataFrame, bug: ClientBug | None = None) -> DataFrame:
    """One row per line of text that arrives.

    Columns: delivered (date), line, kind (play, duplicate, spoiled or one of CORRUPTION_KINDS; a play is the first
    good line with its id), late (a play that came after its day), is_bot, play and played_at (of the play in the line).
    """
    play, copy = F.col("play"), F.col("copy")
    is_late = world.uniform("late", play) < world.late
    delay = F.when(is_late, 1 + world.randbelow(MAX_DELAY_DAYS, "delay", play)).otherwise(0)
    is_next_day = (copy == DUPLICATE) & (world.uniform("next day", play) < NEXT_DAY_DUPLICATE_SHARE)
    # what would come after the last day comes on it: every play arrives
    delivery = F.least(F.col("day") + delay + is_next_day.cast("int"), F.lit(world.days - 1))
    copied = plays.withColumn("copy", F.explode(_lines_per_play(world))).withColumn("delivery", delivery)
    return copied.withColumn("kind", _kind(world, bug)).select(
        F.date_add(F.lit(world.first_day), F.col("delivery").cast("int")).alias("delivered"),
        _line(world).alias("line"),
        "kind",
        ((F.col("kind") == PLAY) & (F.col("delivery") > F.col("day"))).alias("late"),
        "is_bot",
        "play",
        "played_at",
    )


def _has_duplicate(world: World) -> Column:
    return world.uniform("duplicate", F.col("play")) < world.duplicates


def _lines_per_play(world: World) -> Column:
    play, kinds = F.col("play"), F.array(*map(F.lit, CORRUPTION_KINDS))
    is_double, is_broken = _has_duplicate(world), world.uniform("broken", play) < world.broken
    breaks = F.element_at(kinds, (world.randbelow(len(CORRUPTION_KINDS), "how broken", play) + 1).cast("int"))
    extra = F.array(F.lit(PLAY), F.when(is_double, F.lit(DUPLICATE)), F.when(is_broken, breaks))
    # array_compact is slow, and nearly all plays come once
    return F.when(is_double | is_broken, F.array_compact(extra)).otherwise(F.array(F.lit(PLAY)))


def _kind(world: World, bug: ClientBug | None) -> Column:
    copy = F.col("copy")
    if bug is None:
        return copy
    # doubles are spared: else the second line, on a day that is not written again, would be the play
    is_due = (copy == PLAY) & (F.col("delivery") == world.day_number(bug.day)) & ~_has_duplicate(world)
    is_hit = world.uniform("spoil", F.col("play")) < bug.share
    return F.when(is_due & is_hit, SPOILED).otherwise(copy)


def _line(world: World) -> Column:
    kind, texts = F.col("kind"), {name: F.col(name).cast("string") for name in DELIVERY_FIELDS}
    # written in the session's time zone: UTC, as in every job
    texts["played_at"] = F.date_format("played_at", "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'")
    changes = {
        name: [(kind == how, change) for how, (at, change) in CORRUPTIONS.items() if at == name]
        for name in DELIVERY_FIELDS
    }
    changes["ms_played"].append((kind == SPOILED, _negate))
    # under an id of its own, a broken line that is taken for a play shows: it is one play more
    own_id = format_play_id(world.hash("broken line", F.col("play")))
    changes["play_id"].append((kind.isin(*CORRUPTION_KINDS), lambda _: own_id))
    # the text, or what the first change that applies makes of it
    fields = [
        F.coalesce(*[F.when(applies, change(text)) for applies, change in changes[name]], text)
        for name, text in texts.items()
    ]
    line = F.concat_ws(",", *fields)
    return F.when(kind == CUT_SHORT, F.substring_index(line, ",", 3)).otherwise(line)
