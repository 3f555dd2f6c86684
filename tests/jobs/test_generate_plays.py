"""The files that generate-plays writes, read with plain Python, against the truth that it tells."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import pytest

from features.synthetic import listening
from features.synthetic.delivery import CORRUPTION_KINDS, DELIVERY_FIELDS, deliver
from features.synthetic.world import World
from jobs.errors import WrongUsage
from jobs.generate_plays import GenerationRequest, main, session_days
from jobs.sources import load_source

FIRST = date(2026, 3, 1)
DAYS = [FIRST + timedelta(days=n) for n in range(9)]
SPOILED_DAY = DAYS[7]
# Much is late and double, so that a few duplicates of late plays of sessions past midnight are there.
SETTINGS = [
    "--users=80", "--days=9", "--first-day=2026-03-01", "--tracks=60", "--artists=12", "--clusters=3",
    "--sessions-per-day=1.5", "--bots=0.0125", "--late=0.5", "--duplicates=0.5", "--broken=0.1",
]  # fmt: skip


@pytest.fixture(scope="module")
def out(spark, tmp_path_factory):
    folder = tmp_path_factory.mktemp("generated")
    assert main(["--out", str(folder), *SETTINGS]) == 0
    return folder


def read(folder: Path) -> dict[date, list[list[str]]]:
    """The fields of every line, headers left out, by day of delivery and in the order of the file."""
    days = {}
    for path in sorted(folder.glob("plays/delivered=*")):
        days[date.fromisoformat(path.name.partition("=")[2])] = rows = []
        for file in path.glob("*.csv"):
            header, *lines = csv.reader(file.open(newline=""))
            assert tuple(header) == DELIVERY_FIELDS, file
            rows += lines
    return days


def truth(folder: Path) -> dict:
    return json.loads((folder / "truth.json").read_text())


def breakage(fields: list[str]) -> str | None:
    """What is wrong with a line; negative_ms for spoiled ones too, which look the same."""
    if len(fields) != len(DELIVERY_FIELDS):
        return "cut_short" if len(fields) < len(DELIVERY_FIELDS) else "extra_field"
    row = dict(zip(DELIVERY_FIELDS, fields, strict=True))
    checks = {
        "missing_user": row["user_id"] == "",
        "missing_track": row["track_id"] == "",
        "year_1970": row["played_at"].startswith("1970"),
        "year_2099": row["played_at"].startswith("2099"),
        "negative_ms": row["ms_played"].startswith("-"),
        "over_a_day": row["ms_played"].isdigit() and int(row["ms_played"]) > 86_400_000,
        "not_a_number": row["ms_played"] == "NaN",
        "words_for_ms": row["ms_played"] == "three minutes",
    }
    return next((name for name, applies in checks.items() if applies), None)


def counted(days: dict[date, list[list[str]]]) -> dict[str, dict]:
    """What truth.json should say, from the files alone; spoiled lines count as broken ones."""
    seen: set[str] = set()
    counts = {}
    for day, rows in sorted(days.items()):
        broken: Counter[str] = Counter()
        kinds: Counter[str] = Counter()
        for fields in rows:
            if how := breakage(fields):
                broken[how] += 1
                continue
            kinds["duplicates" if fields[0] in seen else "plays"] += 1
            kinds["late"] += fields[0] not in seen and date.fromisoformat(fields[4][:10]) < day
            seen.add(fields[0])
        counts[str(day)] = {"rows": len(rows), **kinds, "broken": dict(broken)}
    return counts


def files(folder: Path) -> dict[str, str]:
    """Contents by folder and part number; the middle of a name is Spark's, and new with every run."""
    return {f"{p.parent.relative_to(folder)}/{p.name[:10]}": p.read_text() for p in folder.rglob("*.csv")}


def test_the_truth_is_what_the_files_hold(out):
    said, seen = truth(out)["days"], counted(read(out))
    assert list(said) == list(seen) == [str(day) for day in DAYS]
    for day, counts in seen.items():
        assert {name: said[day][name] for name in counts} == counts, day
        assert said[day]["spoiled"] == 0


def test_totals_are_the_sums_of_the_days(out):
    said = truth(out)
    totals, days = said["totals"], said["days"].values()
    for name in ("rows", "plays", "duplicates", "late", "bot_plays"):
        assert totals[name] == sum(day[name] for day in days) > 0, name
    assert totals["rows"] == totals["plays"] + totals["duplicates"] + sum(totals["broken"].values())


def test_damage_is_as_frequent_as_asked(out):
    totals = truth(out)["totals"]
    assert totals["duplicates"] / totals["plays"] == pytest.approx(0.5, rel=0.1)
    # nothing of the last day can be late
    assert totals["late"] / totals["plays"] == pytest.approx(0.5 * 8 / 9, rel=0.1)
    assert sum(totals["broken"].values()) / totals["plays"] == pytest.approx(0.1, rel=0.2)
    for how in CORRUPTION_KINDS:
        assert totals["broken"][how] > 30, f"{how} in {totals['broken']}"


def test_a_good_line_is_a_play_of_its_time(out):
    for day, rows in read(out).items():
        for fields in rows:
            if breakage(fields) is None:
                assert re.fullmatch(r"[0-9a-f]+,u\d{6},t\d{5},a\d{4}", ",".join(fields[:4])), fields
                assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", fields[4]), fields
                delay = day - date.fromisoformat(fields[4][:10])
                assert timedelta(0) <= delay <= timedelta(days=4), (day, fields)
                assert fields[7] in ("true", "false") and fields[8] in ("true", "false"), fields


def test_every_broken_line_has_an_id_of_its_own(out):
    rows = [fields for day in read(out).values() for fields in day]
    good = {fields[0] for fields in rows if breakage(fields) is None}
    broken = [fields[0] for fields in rows if breakage(fields) is not None]
    assert not good & set(broken), "a broken line took the place of a play"
    assert len(broken) == len(set(broken))


def test_the_catalogue_names_every_track_that_is_played(out):
    with next(out.glob("tracks/*.csv")).open(newline="") as file:
        tracks = {row["track_id"]: row for row in csv.DictReader(file)}
    assert len(tracks) == 60
    for rows in read(out).values():
        for fields in rows:
            if breakage(fields) is None:
                track = tracks[fields[2]]
                assert (track["artist_id"], track["track_ms"]) == (fields[3], fields[6]), fields
                assert track["released_on"] <= fields[4][:10], fields


def test_the_same_command_writes_the_same_files(out, tmp_path):
    main(["--out", str(tmp_path), *SETTINGS])
    assert files(tmp_path) == files(out)
    assert truth(tmp_path) == truth(out)


def test_more_files_a_day_hold_the_same_lines(out, tmp_path):
    main(["--out", str(tmp_path), *SETTINGS, "--files-per-day", "4"])
    assert max(len(list(day.glob("*.csv"))) for day in tmp_path.glob("plays/*")) > 1
    one, four = read(out), read(tmp_path)
    assert {day: sorted(rows) for day, rows in four.items()} == {
        day: sorted(rows) for day, rows in one.items()
    }


def test_a_spoiled_day_differs_in_that_day_alone_and_its_repair_in_nothing(out, tmp_path):
    whole = ["--out", str(tmp_path), *SETTINGS]
    spoil, only = ["--spoil-day", str(SPOILED_DAY)], ["--only-day", str(SPOILED_DAY)]
    main([*whole, *spoil])
    spoiled = files(tmp_path), truth(tmp_path)
    assert_spoiled(read(out), read(tmp_path), truth(tmp_path))
    main([*whole, *only])
    assert files(tmp_path) == files(out), "the repaired day is not what it would have been"
    assert truth(tmp_path) == truth(out)
    main([*whole, *only, *spoil])
    assert (files(tmp_path), truth(tmp_path)) == spoiled, (
        "a day spoiled by itself is not the one spoiled at first"
    )


def assert_spoiled(before, after, said):
    assert {d for d in DAYS if before[d] != after[d]} == {SPOILED_DAY}
    pairs = zip(sorted(before[SPOILED_DAY]), sorted(after[SPOILED_DAY]), strict=True)
    changed = [(old, new) for old, new in pairs if old != new]
    for old, new in changed:
        assert new == [*old[:5], f"-{old[5]}", *old[6:]], "more than the sign changed"
    assert said["days"][str(SPOILED_DAY)]["spoiled"] == said["totals"]["spoiled"] == len(changed)
    for day, counts in counted(after).items():
        for name in ("rows", "plays", "duplicates", "late"):
            assert said["days"][day][name] == counts[name], f"{name} of {day}"
    times = Counter(fields[0] for rows in before.values() for fields in rows)
    single = [f for f in before[SPOILED_DAY] if breakage(f) is None and times[f[0]] == 1]
    assert len(changed) / len(single) == pytest.approx(0.4, abs=0.06)


def test_one_day_is_made_of_all_sessions_that_can_reach_it(spark):
    """The longest way: a late play after midnight, and its duplicate a day later still."""
    world = World(users=200, days=12, late=1.0, duplicates=1.0)
    plays = listening.generate_plays(world, spark.range(world.users)).where("not is_bot").persist()
    arrived = deliver(world, plays).select("play", "delivered").join(plays, "play")
    lags = {(row.delivered - world.day(row.session_day)).days for row in arrived.collect()}
    plays.unpersist()
    request = GenerationRequest(world, out="", bug=None, only_day=world.day(8), files_per_day=1)
    assert session_days(request) == range(8 - max(lags), 9 - min(lags)), lags


def test_the_source_file_names_the_columns_of_the_files(out):
    source = load_source(str(out / "source.toml"))
    for table, columns in (("plays/*", source.plays), ("tracks", source.tracks)):
        header = next(out.glob(f"{table}/*.csv")).read_text().splitlines()[0].split(",")
        assert columns == {name: name for name in header}, table


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--users", "0", "--late", "2"], "users is 0, must be 1 to 1,000,000,000; late is 2.0"),
        (
            ["--days", "3", "--spoil-day", "2026-01-08"],
            "day 2026-01-08 has no plays: expected 2026-01-05 to 2",
        ),
        (["--spoil-day", "2026-01-08", "--spoil-share", "1.4"], "spoil share is 1.4"),
        (["--spoil-day", "2026-01-08", "--only-day", "2026-01-09"], "leaves no day to spoil"),
        (["--only-day", "2026-01-09"], "no truth.json in"),
        (["--files-per-day", "0"], "files-per-day is 0"),
    ],
)
def test_wrong_arguments_get_one_clear_line(tmp_path, arguments, complaint):
    with pytest.raises(WrongUsage) as error:
        main(["--out", str(tmp_path), *arguments])
    assert complaint in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    assert not any(tmp_path.iterdir()), "something was written"


def test_a_day_of_another_world_is_not_mixed_in(out):
    with pytest.raises(WrongUsage, match="seed was 1, is 2"):
        main(["--out", str(out), *SETTINGS, "--seed", "2", "--only-day", str(SPOILED_DAY)])
