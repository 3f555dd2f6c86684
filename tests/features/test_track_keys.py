"""Names of one track have one key; those of another recording do not."""

from __future__ import annotations

import pytest

from features.track_keys import make_track_key

ONE = {
    "case, accents and width": [("Björk", "Jóga"), ("BJORK", "joga"), ("Ｂｊöｒｋ", "Ｊóｇａ")],
    "an accent of its own": [("Beyoncé", "Halo"), ("Beyonce\u0301", "Halo")],
    "articles": [("The Beatles", "Help!"), ("Beatles, The", "Help"), ("beatles", "HELP")],
    "punctuation": [("N.E.R.D", "Ain't It"), ("N E R D", "Aint It"), ("N.E.R.D.", "Ain\u2019t it?")],
    "and": [("Chase & Status", "A & B"), ("Chase and Status", "A and B")],
    "guests": [
        ("A", "Song"),
        ("A", "Song (feat. B)"),
        ("A", "Song {ft. B & C}"),
        ("A", "Song [featuring B]"),
        ("A", "Song feat. B"),
        ("A feat. B", "Song"),
        ("A", "Song (with B)"),
    ],
    "releases": [
        ("A", "Song"),
        ("A", "Song - 2011 Remaster"),
        ("A", "Song (Remastered 2009)"),
        ("A", "Song - Remastered Version"),
        ("A", "Song (Album Version)"),
        ("A", "Song {radio edit}"),
        ("A", "Song (feat. B) - Mono"),
        ("A", "Song (Explicit)"),
    ],
}
OTHERS = [
    "Song", "Song (Live)", "Song - Live at Wembley", "Song (B Remix)", "Song (Acoustic)", "Song (Demo)", "Song, Pt. 2",
    "Song (Instrumental)", "Song 2", "With Song", "Song (Live) - 2011 Mix", "Featuring", "Remastered", "!!!",
]  # fmt: skip


@pytest.mark.parametrize("names", ONE.values(), ids=ONE)
def test_names_of_one_track_have_one_key(names):
    assert len({make_track_key(*name) for name in names}) == 1


def test_other_recordings_keep_their_keys():
    keys = {title: make_track_key("A", title) for title in OTHERS}
    assert len(set(keys.values())) == len(OTHERS), keys


def test_a_guest_before_a_mark_does_not_swallow_it():
    assert make_track_key("A", "Song feat. B (Live)") == make_track_key("A", "Song (Live)") == "a / song live"


@pytest.mark.parametrize("name", [(None, "Song"), ("A", None), ("", "Song"), ("A", " ")])
def test_no_key_of_half_a_name(name):
    assert make_track_key(*name) is None


def test_names_of_punctuation_alone_are_kept():
    assert make_track_key("!!!", "???") == "!!! / ???"
    assert make_track_key("The The", "The") == "the / the"
