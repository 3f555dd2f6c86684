"""A small file of each source that comes with Segue, as its publisher describes it, and the plays that are in it.

All names and ids are made up. Each has a row of every kind that the description speaks of.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


@dataclass(frozen=True)
class Example:
    """`plays` has columns of all rows that are plays, instants as text in UTC; `left_out` counts the others."""

    source: str
    name: str
    content: str | Callable[[Path], None]
    plays: tuple[Mapping[str, Any], ...]
    left_out: int = 0
    titles: Mapping[str, str | None] | None = None
    # other columns of tracks, by id
    tracks: Mapping[str, Mapping[str, Any]] | None = None

    def write(self, folder: Path) -> Path:
        path = folder / self.name
        if isinstance(self.content, str):
            path.write_text(self.content, encoding="utf-8", newline="")
        else:
            self.content(path)
        return path


def stream(**values: Any) -> dict[str, Any]:
    """A row of the extended history."""
    return {
        "ts": "2023-05-01T10:03:00Z",
        "platform": "ios",
        "ms_played": 180000,
        "conn_country": "NL",
        "ip_addr": "203.0.113.7",
        "master_metadata_track_name": "First Light",
        "master_metadata_album_artist_name": "The Lanterns",
        "master_metadata_album_album_name": "Dawn",
        "spotify_track_uri": "spotify:track:aaaa",
        "episode_name": None,
        "episode_show_name": None,
        "spotify_episode_uri": None,
        "reason_start": "trackdone",
        "reason_end": "trackdone",
        "shuffle": False,
        "skipped": False,
        "offline": False,
        "offline_timestamp": None,
        "incognito_mode": False,
        **values,
    }


NO_TRACK = {
    "master_metadata_track_name": None,
    "master_metadata_album_artist_name": None,
    "master_metadata_album_album_name": None,
    "spotify_track_uri": None,
}
PODCAST = NO_TRACK | {
    "episode_name": "Nine",
    "episode_show_name": "Talk",
    "spotify_episode_uri": "spotify:episode:e",
}
# 2023-04-30T08:00:00Z: it was played then, and reported when the device was online again
OFFLINE = 1682841600
STREAMS = [
    stream(),
    stream(**PODCAST),
    stream(ts="2023-05-01T10:03:00Z", offline=True, offline_timestamp=OFFLINE, skipped=True, ms_played=5000),
    stream(ts="2023-05-02T10:03:00Z", offline=True, offline_timestamp=(OFFLINE + 86400) * 1000, ms_played=0),
    stream(ts="2023-05-03T10:00:01Z", offline_timestamp=OFFLINE, ms_played=1000),
]


def spotify_play(
    played_at: str, ms_played: int, skipped: bool = False, user_id: str | None = None
) -> dict[str, Any]:
    return {
        "user_id": user_id,
        "track_id": "spotify:track:aaaa",
        "artist_id": "the lanterns",
        "played_at": played_at,
        "ms_played": ms_played,
        "skipped": skipped,
    }


LISTENS = [
    {
        "user_id": 7,
        "user_name": "ada",
        "timestamp": 1700000000,
        "recording_msid": "9f",
        "track_metadata": {
            "track_name": "First Light",
            "artist_name": "The Lanterns",
            "release_name": "Dawn",
            "additional_info": {"duration_ms": 181000, "isrc": "QZ-AAA-26-00001"},
            "mbid_mapping": {"recording_mbid": "b0000000-0000-4000-8000-000000000001"},
        },
    },
    {
        "user_id": 8,
        "user_name": "bob",
        "timestamp": 1700000060,
        "recording_msid": "a0",
        "track_metadata": {"track_name": "Second", "artist_name": "Nobody Known", "additional_info": {}},
    },
]
EXPORT = [
    {
        "inserted_at": 1700000200.5,
        "listened_at": 1700000100,
        "track_metadata": {
            "track_name": "Third",
            "artist_name": "The Lanterns",
            "additional_info": {"recording_mbid": "b0000000-0000-4000-8000-000000000003", "duration": 60.25},
        },
    }
]
PLAYLISTS = {
    "info": {"generated_on": "2017-12-03", "slice": "0-999", "version": "v1"},
    "playlists": [
        {
            "name": "evening",
            "collaborative": "false",
            "pid": 5,
            "modified_at": 1493424000,
            "num_tracks": 2,
            "duration_ms": 999,
            "tracks": [
                {
                    "pos": pos,
                    "artist_name": "The Lanterns",
                    "track_uri": f"spotify:track:{pos}",
                    "artist_uri": "spotify:artist:l",
                    "track_name": f"Song {pos}",
                    "album_uri": "spotify:album:d",
                    "duration_ms": 200000 + pos,
                    "album_name": "Dawn",
                }
                for pos in range(2)
            ],
        }
    ],
}
MSSD = """session_id,session_position,session_length,track_id_clean,skip_1,skip_2,skip_3,not_skipped,hour_of_day,date
0_a,1,2,t_1,false,true,true,false,16,2018-07-15
0_a,2,2,t_2,false,false,false,true,16,2018-07-15
"""
KUAIRAND = """user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,long_view,play_time_ms,duration_ms,tab
1,101,20220408,400,1649361600000,1,1,0,1,12000,20000,1
1,102,20220408,400,1649361601500,0,0,0,0,0,18000,1
"""
NO_NAME = ["track_id is missing"]
RECORDING = "dc9c1f1e-0000-4000-8000-000000000009"
LASTFM_1K = (
    'user_000001\t2009-05-04T23:08:57Z\tf1b1cf71\tDeep Dish\t\t"Live" Set 2009-05-02\n'
    f"user_000002\t2009-05-04T13:54:10Z\ta7f7df4a\tUnderworld\t{RECORDING}\tBoy, Boy, Boy\n"
    "user_000002\t2009-05-04T14:54:10Z\ta7f7df4a\tUnderworld\t\t\n"
    "user_000002\t2009-05-04T15:54:10Z\t\t\t\tIntro\n"
)
LASTFM_CSV = (
    '"uts","utc_time","artist","artist_mbid","album","album_mbid","track","track_mbid"\n'
    '"1600000000","13 Sep 2020, 12:26","The Lanterns","","Dawn, Volume ""1""","","First Light",""\n'
)
LASTFM_PLAIN = 'The Lanterns,Dawn,First Light,31 May 2013 16:06\n"Lanterns, The",,Two,01 Jun 2013 00:00\n'
ACCOUNT = [
    {
        "endTime": "2020-12-22 16:43",
        "artistName": "The Lanterns",
        "trackName": "First Light",
        "msPlayed": 60000,
    }
]

APPLE = (
    "Artist Name,Song Name,Event Type,Item Type,Event Start Timestamp,Event End Timestamp,Play Duration Milliseconds,"
    "Media Duration In Milliseconds,End Reason Type,Client IP Address,Device Identifier\n"
    'The Lanterns,"First, Light",PLAY_END,ITUNES_STORE_CONTENT,2023-05-01T10:00:00.250Z,2023-05-01T10:03:00.250Z,'
    "180000,181000,NATURAL_END_OF_TRACK,203.0.113.7,d1\n"
    ",Second,PLAY_END,,,2023-05-01T10:04:00Z,30000,,TRACK_SKIPPED_FORWARDS,203.0.113.7,d1\n"
    "The Lanterns,Third,PLAY_START,,2023-05-01T10:05:00Z,,,0,NOT_APPLICABLE,203.0.113.7,d1\n"
    ",News at ten,PLAY_END,STREAM,2023-05-01T11:00:00Z,2023-05-01T11:01:00Z,60000,0,NOT_APPLICABLE,203.0.113.7,d1\n"
    ",,LYRIC_DISPLAY,,,2023-05-01T10:05:30Z,,,,203.0.113.7,d1\n"
)
# of before the title was called `Song Name`
APPLE_OF_BEFORE = (
    "Apple Id Number,Artist Name,Content Name,Event Type,Event End Timestamp,Play Duration Milliseconds,"
    "End Reason Type\n"
    "1,The Lanterns,First Light,PLAY_END,2018-05-01T10:03:00Z,1000,NATURAL_END_OF_TRACK\n"
)
DEEZER = (
    "Song Title,Artist,ISRC,Album Title,IP Address,Listening Time,Platform Name,Platform Model,Date\n"
    '"First, Light",The Lanterns,QZAAA2300001,Dawn,203.0.113.7,180,android,SM-G991B,2023-05-01 10:00:00\n'
    "Second,Nobody,,Dusk,203.0.113.7,31.5,web,,2023-05-02 10:00:00\n"
)


def watched(title: str, link: str | None, header: str = "YouTube Music", **more: Any) -> dict[str, Any]:
    """An entry of a watch history of Takeout."""
    row = {"header": header, "title": title, "time": "2023-05-01T10:00:00.123Z", "products": ["YouTube"]}
    return row | ({"titleUrl": link} if link else {}) | more


YOUTUBE = [
    watched(
        "Watched First Light",
        "https://music.youtube.com/watch?v=a-B_3456789",
        subtitles=[{"name": "The Lanterns - Topic", "url": "https://www.youtube.com/channel/x"}],
    ),
    watched("Watched a talk", "https://www.youtube.com/watch?v=c0000000000", "YouTube"),
    watched("Watched a video that has been removed", None),
]
LFM_1B = "31435741\t2\t4\t4\t1385212958\n31435742\t9\t8\t7\t1385212642\n"
LFM_2B = "user_id\ttrack_id\talbum_id\ttimestamp\n1\t17\t4\t2019-02-28 23:59:58\n1\t18\t4\t1233225176\n"
MBIDS = [f"b0000000-0000-4000-8000-00000000000{n}" for n in range(3)]
MLHD = "\t".join(["1385212958", *MBIDS]) + f"\n1385212642\t{MBIDS[0]}\t\t\n"
MLHD_LISTENER = "0a1b2c3d-0000-4000-8000-0000000000aa"


def write_yambda(path: Path) -> None:
    rows = {
        "uid": pa.array([100, 100, 100], pa.uint32()),
        "timestamp": pa.array([39420, 39425, 39430], pa.uint32()),
        "item_id": pa.array([8326270, 1441281, 7], pa.uint32()),
        "is_organic": pa.array([0, 1, 1], pa.uint8()),
        "event_type": pa.array(["listen", "like", "listen"]).dictionary_encode(),
        "played_ratio_pct": pa.array([100, None, 104], pa.uint16()),
        "track_length_seconds": pa.array([170, None, 200], pa.uint32()),
    }
    pq.write_table(pa.table(rows), path)


def to_lines(rows: list[dict[str, Any]]) -> str:
    return "\n".join(map(json.dumps, rows)) + "\n"


def after(start: str, seconds: int) -> str:
    return str(datetime.fromisoformat(start) + timedelta(seconds=seconds))


EXAMPLES = (
    Example(
        "spotify_extended",
        "Streaming_History_Audio_2023.json",
        json.dumps(STREAMS),
        (
            spotify_play("2023-05-01 10:00:00", 180000),
            spotify_play("2023-04-30 08:00:00", 5000, True),
            spotify_play("2023-05-01 08:00:00", 0),
            spotify_play("2023-05-03 10:00:00", 1000),
        ),
        1,
        {"spotify:track:aaaa": "First Light"},
    ),
    Example(
        "spotify_extended",
        "endsong_0.json",
        json.dumps([stream(username="ada")], indent=2),
        (spotify_play("2023-05-01 10:00:00", 180000, user_id="ada"),),
    ),
    Example(
        "spotify_account",
        "StreamingHistory_music_0.json",
        json.dumps(ACCOUNT, indent=1),
        (
            {
                "user_id": None,
                "track_id": "the lanterns / first light",
                "played_at": "2020-12-22 16:42:00",
                "ms_played": 60000,
            },
        ),
    ),
    Example(
        "lastfm_1k",
        "userid-timestamp-artid-artname-traid-traname.tsv",
        LASTFM_1K,
        (
            {
                "user_id": "user_000001",
                "track_id": 'deep dish / "live" set 2009-05-02',
                "artist_id": "f1b1cf71",
                "played_at": "2009-05-04 23:08:57",
            },
            {"user_id": "user_000002", "track_id": RECORDING, "played_at": "2009-05-04 13:54:10"},
            # by its artist alone it were one track with all others of that artist, by its title with all of that title
            {
                "user_id": "user_000002",
                "track_id": None,
                "played_at": "2009-05-04 14:54:10",
                "reasons": NO_NAME,
            },
            {
                "user_id": "user_000002",
                "track_id": None,
                "played_at": "2009-05-04 15:54:10",
                "reasons": NO_NAME,
            },
        ),
        tracks={RECORDING: {"recording_mbid": RECORDING}},
        titles={RECORDING: "Boy, Boy, Boy", 'deep dish / "live" set 2009-05-02': '"Live" Set 2009-05-02'},
    ),
    Example(
        "lastfm_csv",
        "scrobbles.csv",
        LASTFM_CSV,
        (
            {
                "user_id": None,
                "track_id": "the lanterns / first light",
                "played_at": "2020-09-13 12:26:40",
            },
        ),
    ),
    Example(
        "lastfm_csv_plain",
        "ada.csv",
        LASTFM_PLAIN,
        (
            {"track_id": "the lanterns / first light", "played_at": "2013-05-31 16:06:00"},
            {"track_id": "lanterns, the / two", "played_at": "2013-06-01 00:00:00"},
        ),
    ),
    Example(
        "listenbrainz",
        "1.listens",
        to_lines(LISTENS),
        (
            {
                "user_id": "ada",
                "track_id": "b0000000-0000-4000-8000-000000000001",
                "played_at": "2023-11-14 22:13:20",
                "track_ms": 181000,
            },
            {
                "user_id": "bob",
                "track_id": "nobody known / second",
                "artist_id": "nobody known",
                "played_at": "2023-11-14 22:14:20",
                "track_ms": None,
            },
        ),
        titles={"b0000000-0000-4000-8000-000000000001": "First Light", "nobody known / second": "Second"},
        tracks={
            "b0000000-0000-4000-8000-000000000001": {
                "recording_mbid": "b0000000-0000-4000-8000-000000000001",
                "isrc": "QZAAA2600001",
                "track_ms": 181000,
            },
            "nobody known / second": {"recording_mbid": None, "isrc": None, "track_ms": None},
        },
    ),
    Example(
        "listenbrainz",
        "11.jsonl",
        to_lines(EXPORT),
        (
            {
                "user_id": None,
                "track_id": "b0000000-0000-4000-8000-000000000003",
                "played_at": "2023-11-14 22:15:00",
                "track_ms": 60250,
            },
        ),
    ),
    Example(
        "music_streaming_sessions",
        "log_0_20180715_000000000000.csv",
        MSSD,
        (
            {
                "user_id": "0_a",
                "source_session_id": "0_a",
                "track_id": "t_1",
                "played_at": "2018-07-15 16:02:30",
                "skipped": True,
            },
            {"user_id": "0_a", "track_id": "t_2", "played_at": "2018-07-15 16:05:00", "skipped": False},
        ),
    ),
    Example(
        "million_playlist",
        "mpd.slice.0-999.json",
        json.dumps(PLAYLISTS, indent=4),
        tuple(
            {
                "user_id": "playlist:5",
                "source_session_id": "playlist:5",
                "track_id": f"spotify:track:{pos}",
                "played_at": after("2017-04-29 00:00:00", 180 * pos),
                "track_ms": 200000 + pos,
            }
            for pos in range(2)
        ),
        titles={"spotify:track:0": "Song 0", "spotify:track:1": "Song 1"},
    ),
    Example(
        "yambda",
        "multi_event.parquet",
        write_yambda,
        (
            {
                "user_id": "100",
                "track_id": "8326270",
                "played_at": after("2020-01-01 00:00:00", 39420),
                "ms_played": 170000,
                "track_ms": 170000,
            },
            {
                "user_id": "100",
                "track_id": "7",
                "played_at": after("2020-01-01 00:00:00", 39430),
                "ms_played": 208000,
            },
        ),
        1,
    ),
    Example(
        "movielens",
        "ratings.csv",
        'userId,movieId,rating,timestamp\n1,17,4.0,944249077\n1,18,3.5,"2005-04-02 23:53:47"\n',
        (
            {"user_id": "1", "track_id": "17", "played_at": "1999-12-03 19:24:37"},
            {"user_id": "1", "track_id": "18", "played_at": "2005-04-02 23:53:47"},
        ),
    ),
    Example(
        "movielens_movies",
        "movies.csv",
        'movieId,title,genres\n1,Toy Story (1995),Adventure|Animation\n2,"Room, The",(no genres listed)\n',
        (),
        titles={"1": "Toy Story (1995)", "2": "Room, The"},
        tracks={
            "1": {"genres": ["Adventure", "Animation"], "released": "1995"},
            "2": {"genres": None, "released": None},
        },
    ),
    Example(
        "music_streaming_tracks",
        "tf_000000000000.csv",
        "track_id,duration,release_year,us_popularity_estimate,acousticness\nt_1,180.066,1950,99.9,0.45\n",
        (),
        titles={"t_1": None},
        tracks={"t_1": {"track_ms": 180066, "released": "1950", "released_on": date(1950, 1, 1)}},
    ),
    Example(
        "kuairand",
        "log_standard_4_08_to_4_21_pure.csv",
        KUAIRAND,
        (
            {
                "user_id": "1",
                "track_id": "101",
                "played_at": "2022-04-07 20:00:00",
                "ms_played": 12000,
                "track_ms": 20000,
                "saved": True,
            },
        ),
        1,
    ),
    Example(
        "apple_music",
        "Apple Music Play Activity.csv",
        APPLE,
        (
            {
                "user_id": None,
                "track_id": "the lanterns / first, light",
                "artist_id": "the lanterns",
                "played_at": "2023-05-01 10:00:00",
                "ms_played": 180000,
                "track_ms": 181000,
                "skipped": False,
            },
            {
                "track_id": "second",
                "artist_id": None,
                "played_at": "2023-05-01 10:03:30",
                "ms_played": 30000,
                "track_ms": None,
                "skipped": True,
            },
        ),
        3,
        {"the lanterns / first, light": "First, Light", "second": "Second"},
    ),
    Example(
        "apple_music",
        "Apple Music Play Activity of 2018.csv",
        APPLE_OF_BEFORE,
        (
            {
                "track_id": "the lanterns / first light",
                "played_at": "2018-05-01 10:02:59",
                "ms_played": 1000,
            },
        ),
    ),
    Example(
        "deezer",
        "10_listeningHistory.csv",
        DEEZER,
        (
            {
                "track_id": "QZAAA2300001",
                "artist_id": "the lanterns",
                "played_at": "2023-05-01 10:00:00",
                "ms_played": 180000,
            },
            {"track_id": "nobody / second", "played_at": "2023-05-02 10:00:00", "ms_played": 31500},
        ),
        titles={"QZAAA2300001": "First, Light", "nobody / second": "Second"},
    ),
    Example(
        "youtube_music",
        "watch-history.json",
        json.dumps(YOUTUBE, indent=1),
        (
            {
                "user_id": None,
                "track_id": "a-B_3456789",
                "artist_id": "the lanterns",
                "played_at": "2023-05-01 10:00:00",
                "ms_played": None,
            },
        ),
        2,
        {"a-B_3456789": "First Light"},
    ),
    Example(
        "lfm_1b",
        "LFM-1b_LEs.txt",
        LFM_1B,
        (
            {
                "user_id": "31435741",
                "track_id": "4",
                "artist_id": "2",
                "played_at": "2013-11-23 13:22:38",
            },
            {"user_id": "31435742", "track_id": "7", "played_at": "2013-11-23 13:17:22"},
        ),
    ),
    Example(
        "lfm_2b",
        "listening_events.tsv",
        LFM_2B,
        (
            {"user_id": "1", "track_id": "17", "played_at": "2019-02-28 23:59:58"},
            {"user_id": "1", "track_id": "18", "played_at": "2009-01-29 10:32:56"},
        ),
    ),
    Example(
        "mlhd",
        f"{MLHD_LISTENER}.txt",
        MLHD,
        (
            {
                "user_id": MLHD_LISTENER,
                "track_id": MBIDS[2],
                "artist_id": MBIDS[0],
                "played_at": "2013-11-23 13:22:38",
            },
        ),
        1,
    ),
)
