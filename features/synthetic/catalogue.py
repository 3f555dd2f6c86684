"""The generated catalogue: which tracks there are, whose, in which taste cluster, since when.

Track t belongs to cluster t mod C and is the (t div C + 1)-th most popular there; artists are dealt out to clusters
the same way, and a cluster's tracks to its artists.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.synthetic.world import World
from features.tracks import TRACK_FIELDS

# Two to four and a half minutes: more than half of any track is past the half minute that counts as a play.
SHORTEST_MS = 120_000
LONGEST_MS = 270_000
TRACKS_PER_ALBUM = 8
OLDEST_DAYS = 20 * 365
EXPLICIT_SHARE = 0.1
# Of the tracks that are older than the world: catalogues know a day of new ones, and of old ones often a year.
YEAR_ONLY_SHARE, MONTH_ONLY_SHARE = 0.2, 0.1
SECOND_GENRE_SHARE = 0.3
MBID_SHARE = 0.7
GENRES = (
    "Ambient", "Blues", "Chamber pop", "Dancehall", "Electronic", "Folk", "Garage rock", "House", "Indie", "Jazz",
    "Krautrock", "Latin", "Metal", "New wave", "Opera", "Punk", "R&B", "Soul", "Techno", "Zydeco",
)  # fmt: skip
# The first day alone follows from these, and a catalogue says no more than it knows.
DELIVERY_FIELDS = tuple(name for name in TRACK_FIELDS if name != "released_on")

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
    number = release_day(world, track)
    day = F.date_add(F.lit(world.first_day), number.cast("int"))
    values = (
        track_id(track),
        _title(world, "title", track),
        artist_id(artist),
        _artist_name(artist),
        _title(world, "album", artist, album),
        track_ms(world, track),
        world.uniform("explicit", track) < EXPLICIT_SHARE,
        _partial_date(world, track, day),
        day,
        _genres(world, track),
        _isrc(track, day),
        F.when(world.uniform("has mbid", track) < MBID_SHARE, _uuid(world, "mbid", track)),
    )
    named_values = [value.alias(name) for name, value in zip(TRACK_FIELDS, values, strict=True)]
    return numbers.select(*named_values, track.alias("track"), number.alias("release_day"))


def _partial_date(world: World, track: Column, day: Column) -> Column:
    precision, text = world.uniform("precision", track), day.cast("string")
    is_old = release_day(world, track) < 0
    return (
        F.when(is_old & (precision < YEAR_ONLY_SHARE), F.substring(text, 1, 4))
        .when(is_old & (precision < YEAR_ONLY_SHARE + MONTH_ONLY_SHARE), F.substring(text, 1, 7))
        .otherwise(text)
    )


def _genres(world: World, track: Column) -> Column:
    """That of the track's cluster, and for some tracks another one."""
    own = _word_at(GENRES, cluster_of(world, track) % len(GENRES))
    other = _word_at(GENRES, world.randbelow(len(GENRES), "genre", track))
    has_other = (world.uniform("second genre", track) < SECOND_GENRE_SHARE) & (other != own)
    return F.concat_ws("|", own, F.when(has_other, other))


def _isrc(track: Column, day: Column) -> Column:
    """Another one for each track up to four billion; QZ is a prefix that was given out."""
    registrant = F.lpad(F.conv(F.floor(track / 100_000).cast("string"), 10, 36), 3, "0")
    number = F.lpad((track % 100_000).cast("string"), 5, "0")
    return F.concat(F.lit("QZ"), registrant, F.date_format(day, "yy"), number)


def _uuid(world: World, stream: str, track: Column) -> Column:
    halves = [F.lpad(F.hex(world.hash(f"{stream} {half}", track)), 16, "0") for half in (1, 2)]
    # of version 4
    form = r"$1-$2-4$3-8$4-$5"
    return F.lower(F.regexp_replace(F.concat(*halves), "^(.{8})(.{4}).(.{3}).(.{3})(.{12})$", form))


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
