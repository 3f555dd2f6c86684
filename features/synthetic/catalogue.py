"""The generated catalogue: which tracks there are, whose, in which taste cluster, since when.

Track t belongs to cluster t mod C and is the (t div C + 1)-th most popular there; artists are dealt out to clusters
the same way, and a cluster's tracks to its artists.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.ingest import TRACK_FIELDS
from features.synthetic.world import World

# Two to four and a half minutes: more than half of any track is past the half minute that counts as a play.
SHORTEST_MS = 120_000
LONGEST_MS = 270_000
TRACKS_PER_ALBUM = 8
OLDEST_DAYS = 20 * 365
EXPLICIT_SHARE = 0.1

ADJECTIVES = (
    "Slow", "Velvet", "Broken", "Golden", "Silent", "Electric", "Paper", "Distant", "Hollow", "Crimson",
    "Northern", "Midnight", "Gentle", "Wild", "Frozen", "Burning", "Hidden", "Restless", "Silver",
    "Lonely", "Neon", "Faded", "Early", "Salted", "Amber", "Second", "Empty", "Quiet", "Heavy", "Bright",
    "Borrowed", "Crooked", "Wooden", "Tidal", "Glass", "Winter", "Secret", "Marble", "Endless", "Honest",
    "Bitter", "Blue", "Copper", "Drifting", "Feral", "Lucky", "Modern", "Sunken",
)  # fmt: skip
NOUNS = (
    "Harbour", "Engine", "River", "Garden", "Window", "Mirror", "Station", "Summer", "Letter", "Lantern",
    "Orchard", "Signal", "Mountain", "Satellite", "Ocean", "Kingdom", "Shadow", "Highway", "Island",
    "Feather", "Machine", "Morning", "Cathedral", "Falcon", "Ember", "Meadow", "Tower", "Arrow", "Rodeo",
    "Desert", "Canyon", "Valley", "Anchor", "Comet", "Sparrow", "Bridge", "Carnival", "Theatre",
    "Beacon", "Forest", "Horizon", "Magnet", "Pilot", "Parade", "Ribbon", "Tiger", "Avenue", "Voyage",
)  # fmt: skip
ENDINGS = (
    "at Dawn", "in Colour", "After Dark", "by the Sea", "in July", "for Two", "Again", "Tonight",
    "Without You", "at Low Tide", "Revisited", "on the Radio",
)  # fmt: skip


def cluster_size(world: World, items: int, cluster: Column) -> Column:
    """How many of `items` things, dealt out in turn, the cluster got."""
    return F.floor((F.lit(items - 1) - cluster) / world.clusters) + 1


def cluster_of(world: World, number: Column) -> Column:
    return number % world.clusters


def track_at(world: World, cluster: Column, rank: Column) -> Column:
    """The number of the cluster's rank-th track; ranks count from 1."""
    return (rank - 1) * world.clusters + cluster


# everything about a track follows from its number: plays need no join to know it
def artist_of(world: World, track: Column) -> Column:
    cluster = cluster_of(world, track)
    turn = F.floor(track / world.clusters) % cluster_size(world, world.artists, cluster)
    return turn * world.clusters + cluster


def track_ms(world: World, track: Column) -> Column:
    return world.randbelow(LONGEST_MS - SHORTEST_MS + 1, "track_ms", track) + SHORTEST_MS


def is_released(world: World, track: Column, day: Column) -> Column:
    return ~_is_new(world, track) | (_release_day_of_new(world, track) <= day)


def release_day(world: World, track: Column) -> Column:
    """Day number, negative for tracks older than the world."""
    # up to twenty years older, each day as likely
    old = -1 - world.randbelow(OLDEST_DAYS, "age", track)
    return F.when(_is_new(world, track), _release_day_of_new(world, track)).otherwise(old)


def _is_new(world: World, track: Column) -> Column:
    # never the first of a cluster: it stands in for those that are not out
    return (track >= world.clusters) & (world.uniform("new", track) < world.new_tracks)


def _release_day_of_new(world: World, track: Column) -> Column:
    return 1 + world.randbelow(max(1, world.days - 1), "release day", track)


def format_id(letter: str, digits: int, number: Column) -> Column:
    """An id such as t00042; longer numbers keep all their digits."""
    # format_string takes ten times as long
    padded = F.substring((number + 10**digits).cast("string"), 2, digits)
    return F.concat(F.lit(letter), F.when(number < 10**digits, padded).otherwise(number.cast("string")))


def track_id(number: Column) -> Column:
    return format_id("t", 5, number)


def artist_id(number: Column) -> Column:
    return format_id("a", 4, number)


def generate_tracks(world: World, numbers: DataFrame) -> DataFrame:
    """One row per number in `id`: TRACK_FIELDS, then track and release_day as numbers."""
    track = F.col("id")
    artist = artist_of(world, track)
    album = F.floor(F.floor(track / world.artists) / TRACKS_PER_ALBUM)
    released = release_day(world, track)
    values = (
        track_id(track),
        _title(world, "title", track),
        artist_id(artist),
        _artist_name(artist),
        _title(world, "album", artist, album),
        track_ms(world, track),
        world.uniform("explicit", track) < EXPLICIT_SHARE,
        F.date_add(F.lit(world.first_day), released.cast("int")),
    )
    named_values = [value.alias(name) for name, value in zip(TRACK_FIELDS, values, strict=True)]
    return numbers.select(*named_values, track.alias("track"), released.alias("release_day"))


def _title(world: World, stream: str, *keys: Column) -> Column:
    adjective, noun, ending = (
        _word_at(words, world.randbelow(len(words), f"{stream} {place}", *keys))
        for place, words in enumerate((ADJECTIVES, NOUNS, ENDINGS))
    )
    form = world.randbelow(4, f"{stream} form", *keys)
    return (
        F.when(form == 0, F.concat_ws(" ", adjective, noun))
        .when(form == 1, F.concat_ws(" ", noun, ending))
        .when(form == 2, F.concat_ws(" ", F.lit("The"), adjective, noun))
        .otherwise(F.concat_ws(" ", adjective, noun, ending))
    )


def _artist_name(artist: Column) -> Column:
    # no two alike among the first 4,608: the multiplier has no factor in common with that
    pairs = len(ADJECTIVES) * len(NOUNS)
    code = (artist * 1_597) % (2 * pairs)
    adjective = _word_at(ADJECTIVES, code % len(ADJECTIVES))
    noun = _word_at(NOUNS, F.floor(code / len(ADJECTIVES)) % len(NOUNS))
    band = F.concat(F.lit("The "), adjective, F.lit(" "), noun, F.lit("s"))
    return F.when(code < pairs, band).otherwise(F.concat_ws(" ", adjective, noun))


def _word_at(words: tuple[str, ...], place: Column) -> Column:
    return F.element_at(F.array(*map(F.lit, words)), (place + 1).cast("int"))
