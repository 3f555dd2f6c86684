"""How a proposal reads when a play began, and what it says of instants that are in doubt. No Spark."""

from __future__ import annotations

import pytest

HEADER = "user_id,track_id,played_at\n"
ADD_SECONDS = "regexp_replace(played_at, '([T ][0-9]+:[0-9]+) ?([A-Z+-].*)$', '$1:00$2')"
NOTATIONS = {
    "20170201": ("try_to_timestamp(played_at, 'yyyyMMdd')", "days without a time: taken as midnight"),
    "201702010011": ("try_to_timestamp(played_at, 'yyyyMMddHHmm')", "without a zone"),
    "20170201000011": ("try_to_timestamp(played_at, 'yyyyMMddHHmmss')", "without a zone"),
    "20171301": ("timestamp_seconds(try_cast(played_at as bigint))", "write the unit of such numbers"),
    "999999999": ("timestamp_seconds(try_cast(played_at as bigint))", ""),
    "999999999999": ("timestamp_millis(try_cast(played_at as bigint))", ""),
    "5": ("timestamp_seconds(try_cast(played_at as bigint))", "write the unit of such numbers"),
    "2009-05-04T23:08Z": (ADD_SECONDS, "seconds are put in before the zone"),
    "2009-05-04 23:08 +0200": (ADD_SECONDS, "seconds are put in before the zone"),
    "2009-05-04T23:08:00Z": ("played_at", ""),
    "2009-05-04 23:08:00+02": ("played_at", ""),
    "2009-05-04 23:08:00 GMT": ("played_at", ""),
    "2009-05-04 23:08": ("played_at", "without a zone: taken as UTC"),
    " 31/12/2026 9:05": ("try_to_timestamp(btrim(played_at), 'd/M/yyyy H:mm[:ss]')", "without a zone"),
}


@pytest.mark.parametrize(("text", "expected"), NOTATIONS.items(), ids=NOTATIONS)
def test_instants_are_read_by_how_they_are_written(propose, text, expected):
    proposal, source = propose(f"{HEADER}u,t,{text}\n")
    assert source.plays["played_at"] == expected[0], f"{text} would be another instant, or a reject"
    line = next(line for line in proposal.text.splitlines() if line.startswith("played_at"))
    _, _, note = line.partition('"    # ')
    assert note.startswith(expected[1]) if expected[1] else not note, f"what is said of {text}: {note}"


EPOCHS = {
    "a stray zero": (["1700000000000"] * 199 + ["0"], "timestamp_millis", False),
    "seconds before 2001 and after": (["999999000", "1000000060"], "timestamp_seconds", False),
    "seconds and milliseconds": (["1700000000"] * 9 + ["1700000000000"], "timestamp_seconds", True),
    "times from 5 on": (["5", "100", "11200", "1700000000"], "timestamp_seconds", True),
}


@pytest.mark.parametrize(("values", "function", "is_open"), EPOCHS.values(), ids=EPOCHS)
def test_the_unit_is_that_of_nearly_all(propose, values, function, is_open):
    proposal, source = propose(HEADER + "".join(f"u,t,{value}\n" for value in values))
    assert source.plays["played_at"].startswith(function + "("), "all instants would be of another unit"
    assert ("write the unit of such numbers" in proposal.text) == is_open


TWO = {
    "20170201,00:00:11": "try_to_timestamp(concat(`date`, ' ', `time`), 'yyyyMMdd H:mm[:ss]')",
    "31 Jan 2021,22:36": "try_to_timestamp(concat(`date`, ' ', `time`), 'd MMM yyyy H:mm[:ss]')",
    "31 Jan 2021, 22:36": "try_to_timestamp(concat(`date`, ' ', btrim(`time`)), 'd MMM yyyy H:mm[:ss]')",
}


@pytest.mark.parametrize(("cells", "sql"), TWO.items(), ids=TWO)
def test_days_of_all_notations_are_put_before_their_times(propose, cells, sql):
    _, source = propose(f"user_id,track_id,date,time\nu,t,{cells}\n")
    assert source.plays["played_at"] == sql, "the day is lost"


def test_plays_of_a_day_that_are_one_are_said(propose):
    note = "plays of a track by a listener on one day are one play: give a play_id"
    for day in ("2026-10-01", "20261001"):
        assert note in propose(f"{HEADER}u,t,{day}\n")[0].text, "repeats go as duplicates without a word"
        assert note not in propose(f"play_id,{HEADER}p,u,t,{day}\n")[0].text, "ids tell repeats apart"
    assert note not in propose(f"{HEADER}u,t,2026-10-01T10:00:00Z\n")[0].text


def test_a_play_begins_before_it_ended(propose):
    row = "u,t,2026-10-01T10:00:00Z,5000\n"
    for name in ("end_time", "endedAt"):
        proposal, source = propose(f"user_id,track_id,{name},ms_played\n{row}")
        end = f"unix_millis(try_cast({name} as timestamp))"
        start = f"timestamp_millis({end} - coalesce(try_cast(ms_played as bigint), 0))"
        assert source.plays["played_at"] == start, f"{name} is when it ended"
        assert "# when it ended, less ms_played" in proposal.text
    proposal, source = propose("user_id,track_id,end_time\nu,t,2026-10-01T10:00:00Z\n")
    assert source.plays["played_at"] == "end_time"
    assert "# when a play ended: without a length it is taken as when it began" in proposal.text


def test_an_instant_of_either_end_is_for_the_user_to_say(propose):
    note = "# taken as when a play began; where it is when it ended, subtract ms_played"
    row = "u,t,2026-10-01T10:00:00Z,5000\n"
    assert note in propose(f"user_id,track_id,ts,ms_played\n{row}")[0].text
    assert note not in propose(f"user_id,track_id,started_at,ms_played\n{row}")[0].text
