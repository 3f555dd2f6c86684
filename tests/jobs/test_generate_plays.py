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
from features.synthetic.discoveries import QUALITIES, RETURN_DAYS
from features.synthetic.perfect_rewards import compute_perfect_rewards
from features.synthetic.world import World
from jobs.errors import WrongUsage
from jobs.generate_plays import GenerationRequest, main, session_days
from jobs.generated_discoveries import read_discoveries
from jobs.sources import load_source
from reference import catalogues

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


def read_lines(folder: Path) -> dict[date, list[list[str]]]:
    """The fields of every line, headers left out, by day of delivery and in the order of the file."""
    days = {}
    for path in sorted(folder.glob("plays/delivered=*")):
        days[date.fromisoformat(path.name.partition("=")[2])] = rows = []
        for file in path.glob("*.csv"):
            header, *lines = csv.reader(file.open(newline=""))
            assert tuple(header) == DELIVERY_FIELDS, file
            rows += lines
    return days


def read_truth(folder: Path) -> dict:
    return json.loads((folder / "truth.json").read_text())


def find_corruption(fields: list[str]) -> str | None:
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


def count_lines(days: dict[date, list[list[str]]]) -> dict[str, dict]:
    """What truth.json should say, from the files alone; spoiled lines count as broken ones."""
    play_ids: set[str] = set()
    counts = {}
    for day, rows in sorted(days.items()):
        corruptions: Counter[str] = Counter()
        kinds: Counter[str] = Counter()
        for fields in rows:
            if corruption := find_corruption(fields):
                corruptions[corruption] += 1
                continue
            kinds["duplicates" if fields[0] in play_ids else "plays"] += 1
            kinds["late"] += fields[0] not in play_ids and date.fromisoformat(fields[4][:10]) < day
            play_ids.add(fields[0])
        counts[str(day)] = {"rows": len(rows), **kinds, "broken": dict(corruptions)}
    return counts


def read_files(folder: Path) -> dict[str, str]:
    """Contents by folder and part number; the middle of a name is Spark's, and new with every run."""
    return {f"{p.parent.relative_to(folder)}/{p.name[:10]}": p.read_text() for p in folder.rglob("*.csv")}


def test_generate_plays_writes_a_truth_that_agrees_with_its_files(out):
    truth_days, file_days = read_truth(out)["days"], count_lines(read_lines(out))
    assert list(truth_days) == list(file_days) == [str(day) for day in DAYS]
    for day, counts in file_days.items():
        assert {name: truth_days[day][name] for name in counts} == counts, day
        assert truth_days[day]["spoiled"] == 0


def test_generate_plays_writes_totals_that_are_the_sums_of_the_days(out):
    truth = read_truth(out)
    totals, days = truth["totals"], truth["days"].values()
    for name in ("rows", "plays", "duplicates", "late", "bot_plays"):
        assert totals[name] == sum(day[name] for day in days) > 0, name
    assert totals["rows"] == totals["plays"] + totals["duplicates"] + sum(totals["broken"].values())


def test_generate_plays_damages_rows_at_the_requested_rates(out):
    totals = read_truth(out)["totals"]
    assert totals["duplicates"] / totals["plays"] == pytest.approx(0.5, rel=0.1)
    # nothing of the last day can be late
    assert totals["late"] / totals["plays"] == pytest.approx(0.5 * 8 / 9, rel=0.1)
    assert sum(totals["broken"].values()) / totals["plays"] == pytest.approx(0.1, rel=0.2)
    for corruption in CORRUPTION_KINDS:
        assert totals["broken"][corruption] > 30, f"{corruption} in {totals['broken']}"


def test_generate_plays_writes_good_lines_that_are_well_formed(out):
    for day, rows in read_lines(out).items():
        for fields in rows:
            if find_corruption(fields) is None:
                assert re.fullmatch(r"[0-9a-f]+,u\d{6},t\d{5},a\d{4}", ",".join(fields[:4])), fields
                assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", fields[4]), fields
                delay = day - date.fromisoformat(fields[4][:10])
                assert timedelta(0) <= delay <= timedelta(days=4), (day, fields)
                assert fields[7] in ("true", "false") and fields[8] in ("true", "false"), fields


def test_generate_plays_gives_every_broken_line_an_id_of_its_own(out):
    rows = [fields for day in read_lines(out).values() for fields in day]
    good_ids = {fields[0] for fields in rows if find_corruption(fields) is None}
    broken_ids = [fields[0] for fields in rows if find_corruption(fields) is not None]
    assert not good_ids & set(broken_ids), "a broken line took the place of a play"
    assert len(broken_ids) == len(set(broken_ids))


def test_generate_plays_writes_a_catalogue_of_every_track_that_is_played(out):
    with next(out.glob("tracks/*.csv")).open(newline="") as file:
        tracks = {row["track_id"]: row for row in csv.DictReader(file)}
    assert len(tracks) == 60
    for rows in read_lines(out).values():
        for fields in rows:
            if find_corruption(fields) is None:
                track = tracks[fields[2]]
                assert (track["artist_id"], track["track_ms"]) == (fields[3], fields[6]), fields
                # a year or a month alone begins before any of its days
                assert track["released"] <= fields[4][:10], fields


def test_generate_plays_writes_values_of_every_column_of_the_catalogue(out):
    """In the form that the table has them, and some tracks without."""
    with next(out.glob("tracks/*.csv")).open(newline="") as file:
        tracks = list(csv.DictReader(file))
    assert {len(track["released"]) for track in tracks} == {4, 7, 10}
    assert {bool(track["recording_mbid"]) for track in tracks} == {True, False}
    assert {track["genres"].count("|") for track in tracks} == {0, 1}
    assert len({track["isrc"] for track in tracks}) == len(tracks)
    for track in tracks:
        values, reasons = catalogues.read_row(track | {"released_on": None})
        assert not reasons and values["isrc"] == track["isrc"]
        assert values["recording_mbid"] == (track["recording_mbid"] or None)


def test_generate_plays_again_writes_the_same_files(out, tmp_path):
    main(["--out", str(tmp_path), *SETTINGS])
    assert read_files(tmp_path) == read_files(out)
    assert read_truth(tmp_path) == read_truth(out)


def test_generate_plays_with_more_files_a_day_writes_the_same_lines(out, tmp_path):
    main(["--out", str(tmp_path), *SETTINGS, "--files-per-day", "4"])
    assert max(len(list(day.glob("*.csv"))) for day in tmp_path.glob("plays/*")) > 1
    one_file, four_files = read_lines(out), read_lines(tmp_path)
    assert {day: sorted(rows) for day, rows in four_files.items()} == {
        day: sorted(rows) for day, rows in one_file.items()
    }


def test_generate_plays_spoils_one_day_alone_and_repairs_it_completely(out, tmp_path):
    whole = ["--out", str(tmp_path), *SETTINGS]
    spoil, only = ["--spoil-day", str(SPOILED_DAY)], ["--only-day", str(SPOILED_DAY)]
    main([*whole, *spoil])
    spoiled_output = read_files(tmp_path), read_truth(tmp_path)
    assert_spoiled(read_lines(out), read_lines(tmp_path), read_truth(tmp_path))
    main([*whole, *only])
    assert read_files(tmp_path) == read_files(out), "the repaired day is not what it would have been"
    assert read_truth(tmp_path) == read_truth(out)
    main([*whole, *only, *spoil])
    assert (read_files(tmp_path), read_truth(tmp_path)) == spoiled_output, (
        "a day spoiled by itself is not the one spoiled at first"
    )


def assert_spoiled(before, after, truth):
    assert {d for d in DAYS if before[d] != after[d]} == {SPOILED_DAY}
    pairs = zip(sorted(before[SPOILED_DAY]), sorted(after[SPOILED_DAY]), strict=True)
    changes = [(old, new) for old, new in pairs if old != new]
    for old, new in changes:
        assert new == [*old[:5], f"-{old[5]}", *old[6:]], "more than the sign changed"
    assert truth["days"][str(SPOILED_DAY)]["spoiled"] == truth["totals"]["spoiled"] == len(changes)
    for day, counts in count_lines(after).items():
        for name in ("rows", "plays", "duplicates", "late"):
            assert truth["days"][day][name] == counts[name], f"{name} of {day}"
    occurrences = Counter(fields[0] for rows in before.values() for fields in rows)
    single = [f for f in before[SPOILED_DAY] if find_corruption(f) is None and occurrences[f[0]] == 1]
    assert len(changes) / len(single) == pytest.approx(0.4, abs=0.06)


def test_session_days_are_all_that_can_reach_the_only_day(spark):
    """The longest way: a late play after midnight, and its duplicate a day later still."""
    world = World(users=200, days=12, late=1.0, duplicates=1.0)
    plays = listening.generate_plays(world, spark.range(world.users)).where("not is_bot").persist()
    deliveries = deliver(world, plays).select("play", "delivered").join(plays, "play")
    lags = {(row.delivered - world.day(row.session_day)).days for row in deliveries.collect()}
    plays.unpersist()
    request = GenerationRequest(world, out="", bug=None, only_day=world.day(8), files_per_day=1)
    assert session_days(request) == range(8 - max(lags), 9 - min(lags)), lags


def read_known(folder: Path, name: str) -> list[dict[str, str]]:
    return [row for path in (folder / "truth" / name).glob("*.csv") for row in csv.DictReader(path.open())]


def test_generate_plays_writes_what_is_known_of_discoveries_beside_the_plays(spark, tmp_path, capsys):
    world = [
        "--users=30",
        "--days=3",
        "--tracks=60",
        "--artists=12",
        "--clusters=3",
        "--sessions-per-day=1.5",
    ]
    assert main(["--out", str(tmp_path), *world, "--discoveries=0.5", "--background=0.4", "--weekend=2"]) == 0
    truth = read_truth(tmp_path)["perfect_rewards"]
    known = read_known(tmp_path, "discoveries")
    qualities = {row["track_id"]: row["quality"] for row in read_known(tmp_path, "tracks")}
    assert len(known) == truth["discoveries"] > 10
    assert len(qualities) == 60
    assert all(row["quality"] == qualities[row["track_id"]] for row in known)
    plays = {fields[0]: fields[1:3] for rows in read_lines(tmp_path).values() for fields in rows}
    assert all(plays[row["play_id"]] == [row["user_id"], row["track_id"]] for row in known)
    intents = Counter(row["background"] for row in read_known(tmp_path, "sessions"))
    assert intents["true"] / intents.total() == pytest.approx(0.4, abs=0.15)
    levels = Counter(map(float, qualities.values()))
    world_of_then = World(discoveries=0.5, background=0.4, weekend=2, days=3)
    expected = compute_perfect_rewards(world_of_then, [levels[quality] / 60 for quality in QUALITIES])
    assert truth["known"] == pytest.approx(expected.known.tolist(), abs=1e-6)
    assert truth["by_line"] == pytest.approx(expected.by_line.tolist(), abs=1e-6)
    assert "who knew quality and intent would explain" in capsys.readouterr().out
    plays, found = read_discoveries(str(tmp_path))
    assert (sorted(plays.to_pylist()), found) == (sorted(row["play_id"] for row in known), truth)


def test_only_day_has_returns_to_discoveries_of_two_months_before():
    world = World(days=100, discoveries=0.1)
    request = GenerationRequest(world, out="", bug=None, only_day=world.day(80), files_per_day=1)
    assert session_days(request) == range(80 - RETURN_DAYS - 5, 81)


def test_generate_plays_writes_a_source_file_with_the_columns_of_the_files(out):
    source = load_source(str(out / "source.toml"))
    for table, columns in (("plays/*", source.plays), ("tracks", source.tracks)):
        header = next(out.glob(f"{table}/*.csv")).read_text().splitlines()[0].split(",")
        assert columns == {name: name for name in header}, table


@pytest.mark.parametrize(
    ("arguments", "message"),
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
def test_generate_plays_refuses_wrong_arguments_in_one_line(tmp_path, arguments, message):
    with pytest.raises(WrongUsage) as refusal:
        main(["--out", str(tmp_path), *arguments])
    assert message in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 1
    assert not any(tmp_path.iterdir()), "something was written"


def test_a_file_in_place_of_the_folder_is_named(tmp_path):
    file = tmp_path / "README.md"
    file.write_text("mine")
    with pytest.raises(
        WrongUsage, match=r"--out .*README.md is a file, expected a folder; give another name"
    ):
        main(["--out", str(file), *SETTINGS])
    assert file.read_text() == "mine"


def test_generate_plays_refuses_an_only_day_of_another_world(out):
    with pytest.raises(WrongUsage, match="seed was 1, is 2"):
        main(["--out", str(out), *SETTINGS, "--seed", "2", "--only-day", str(SPOILED_DAY)])
