"""What the catalogue says of a root is what lies there, read row by row."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable

from expectations.verdict import KEPT_EXPECTATION, Result
from jobs import describe, export_lineage, list_features, show_files, show_tables, write_catalogue
from jobs.catalogue import catalogue as catalogue_module
from jobs.catalogue import lineage
from jobs.catalogue.catalogue import Catalogue
from jobs.catalogue.entries import NOT_DECLARED, NOT_PUBLISHED
from jobs.catalogue.inventory import Inventory, Nulls
from jobs.catalogue.lineage import Lineage
from jobs.catalogue.wording import list_table_facts
from jobs.publishing.records import append_results, read_newest_audits
from jobs.publishing.warehouse import Warehouse
from reference.declared import feature
from reference.delta_files import rows_of
from reference.golden import unpack
from schemas import CONTRACTS, FEATURE_GROUPS, FeatureGroup
from schemas.user_features import USER_FEATURE_GROUP
from segue.errors import UsageError
from segue.releases import append_release, list_releases
from segue.schedule import parse_schedule

TOP = Path(__file__).parents[2]
COLUMN = ("user_features", "completion_mean_1d")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden")
    unpack(folder)
    return str(folder / "root")


@pytest.fixture
def copy(root, tmp_path):
    """A root that a test may change."""
    return shutil.copytree(root, tmp_path / "root")


@pytest.fixture(scope="module")
def rows(root):
    """Every row of every table, by delta-rs alone."""
    return {name: rows_of(DeltaTable(f"{root}/tables/{name}")) for name in Warehouse(root).list_tables()}


def open_catalogue(root, **options):
    return Catalogue(Inventory(str(root), **options), Lineage())


def run(command, capsys, *argv):
    """What a command prints."""
    parser = argparse.ArgumentParser()
    command.configure(parser)
    assert command.run(parser.parse_args(argv)) == 0
    return capsys.readouterr().out


def test_published_equals_what_the_rows_say(root, rows):
    inventory = Inventory(root)
    assert sorted(rows) == inventory.tables
    for name, table_rows in rows.items():
        published, days = inventory.published(name), sorted({row["ds"] for row in table_rows if "ds" in row})
        newest = [row for row in table_rows if not days or row["ds"] == days[-1]]
        assert (published.rows, published.days) == (len(table_rows), len(days)), name
        assert [published.first_day, published.last_day] == ([days[0], days[-1]] if days else [None] * 2), (
            name
        )
        assert published.available_at == max(row["available_at"] for row in newest), name
    assert inventory.published("releases").rows == len(rows_of(DeltaTable(f"{root}/releases")))


def test_nulls_equal_those_that_are_counted_in_the_rows(root, rows):
    inventory, counted = Inventory(root), 0
    for name, table_rows in rows.items():
        for column in CONTRACTS[name].names:
            if nulls := inventory.nulls(name, column):
                counted += 1
                expected = sum(row[column] is None for row in table_rows)
                assert (nulls.nulls, nulls.rows) == (expected, len(table_rows)), (name, column)
    # of each column but the instant of publication, which no audit can see, and those that are newer than the archive
    published = {name: {*CONTRACTS[name].names} & {*of_table[0]} for name, of_table in rows.items()}
    assert counted == sum(len(names - {"available_at"}) for names in published.values())


@pytest.mark.parametrize(
    ("after", "age"),
    [
        (timedelta(hours=-1), 0),
        (timedelta(days=1) - timedelta(microseconds=1), 0),
        (timedelta(days=1), 1),
        (timedelta(days=400), 400),
    ],
)
def test_age_is_of_whole_days_since_the_newest_day_was_over(root, after, age):
    midnight = datetime(2026, 1, 10, tzinfo=UTC)
    assert Inventory(root, now=midnight + after).published("sessions").age_days == age


@pytest.mark.parametrize(
    ("now", "late"),
    [
        # the newest day is 2026-01-09: the run of the 10th took it in, those after it have more to take in
        (datetime(2026, 1, 11, 4, 29, tzinfo=UTC), 0),
        (datetime(2026, 1, 11, 4, 30, tzinfo=UTC), 1),
        (datetime(2026, 1, 13, tzinfo=UTC), 2),
    ],
)
def test_late_are_scheduled_runs_that_a_newer_day_was_there_for(root, now, late):
    catalogue = Catalogue(Inventory(root, now=now), Lineage(), parse_schedule("30 4 * * *"))
    entries = {name: catalogue.describe_table(name) for name in ("plays", "user_features", "candidates")}
    assert {name: entry.late_runs for name, entry in entries.items()} == dict.fromkeys(entries, late)
    facts = dict(list_table_facts(entries["plays"]))
    assert (
        facts.get("late", "")
        == ["", "by 1 scheduled run, unless it is still running", "by 2 scheduled runs"][late]
    )
    # of rejects a night may have none, and a catalogue has no days
    others = [catalogue.describe_table(name).late_runs for name in ("rejected_plays", "tracks", "releases")]
    assert others == [None] * 3 and open_catalogue(root).describe_table("plays").late_runs is None


def test_expectations_have_severity_reason_and_what_the_audit_found(root):
    catalogue = open_catalogue(root)
    column = catalogue.describe_column("sessions", "is_bot")
    found = {each.expected: each for each in column.expectations}
    bots = found["at most 20 % of plays by bots"]
    assert (bots.severity, bots.outcome) == ("warning", "held")
    assert "bots are left out" in bots.reason and bots.observed
    assert found["not null"].severity == "critical"
    rows = {each.column: each for each in catalogue.list_expectations("sessions")}
    assert set(rows) == {"rows", "duplicate_keys"} and rows["rows"].observed == "991"
    # no source of this world has sessions of its own, which is no fault of a batch
    (absent,) = catalogue.describe_column("plays", "source_session_id").expectations
    assert (absent.severity, absent.outcome) == ("info", "noted")
    # every result on record is found beside what is expected, and nothing else is
    audited = {(row["expectation"], row["column"]) for row in catalogue.inventory.audit("sessions")}
    expected = [e for c in catalogue.describe_columns("sessions") for e in c.expectations]
    assert {(e.expectation, e.column) for e in [*expected, *rows.values()]} == audited


def test_declarations_and_tables_that_differ_say_so(copy, monkeypatch):
    kept = USER_FEATURE_GROUP.features[:2]
    group = FeatureGroup("user_features", ("user_id",), "m", (*kept, feature("max", input="ms_played")))
    groups = tuple(group if each.table == group.table else each for each in FEATURE_GROUPS)
    monkeypatch.setattr(catalogue_module, "FEATURE_GROUPS", groups)
    monkeypatch.setattr(lineage, "FEATURE_GROUPS", groups)
    monkeypatch.setattr("expectations.feature_groups.FEATURE_GROUPS", groups)
    monkeypatch.setitem(CONTRACTS, "user_features", group.contract())
    shutil.copytree(copy / "tables" / "user_features", copy / "tables" / "old_features")
    catalogue = open_catalogue(copy)
    notes = {entry.column: entry.note for entry in catalogue.describe_columns("user_features")}
    assert notes["plays_count_7d"] == "" and notes["x_max_7d"] == NOT_PUBLISHED
    assert notes["skips_rate_7d"] == NOT_DECLARED
    assert catalogue.describe_table("old_features").note == NOT_DECLARED
    old = catalogue.describe_column("old_features", "skips_rate_7d")
    assert (old.note, old.type, old.expectations) == (NOT_DECLARED, "double", [])


def test_releases_of_a_column_are_those_whose_version_has_it(copy):
    (release,) = list_releases(copy)
    table = DeltaTable(copy / "tables" / "user_features")
    wider = dict(release.tables)
    for name in ("new_1d", "new_2d"):
        table.alter.add_columns([_make_field(name)])
        wider["user_features"] = _at_version(release.tables["user_features"], table.version())
        append_release(copy, release.day, wider)
    append_release(copy, release.day, {"plays": release.tables["plays"]})
    releases = list_releases(copy)
    inventory = Inventory(str(copy))
    for column in ("plays_count_7d", "new_1d", "new_2d", "never"):
        expected = [
            each.release_id
            for each in releases
            if (at := each.tables.get("user_features")) and column in _names_at(copy, at.version)
        ]
        assert inventory.releases_of("user_features", column) == expected, column
    assert len(inventory.releases_of("user_features")) == 3
    assert len(inventory.releases_of("plays")) == 4


def _make_field(name):
    from deltalake.schema import Field, PrimitiveType

    return Field(name, PrimitiveType("long"))


def _at_version(entry, version):
    return type(entry)(**{**vars(entry), "version": version})


def _names_at(root, version):
    table = DeltaTable(root / "tables" / "user_features", version=version)
    return {field.name for field in table.schema().fields}


def test_read_newest_audits_takes_the_newest_attempt_of_what_the_table_holds(tmp_path):
    warehouse = Warehouse(str(tmp_path))
    attempts = [("old", "f1-1", "passed"), ("new", "f1-2", "passed"), ("bad", "f1-3", "refused")]
    for attempt, batch, outcome in [*attempts, ("gone", "f0-1", "passed")]:
        about = {"run_id": "r", "attempt_id": attempt, "table_name": "plays", "batch_id": batch}
        result = Result("expect_x", "x", "info", True, "seen", "wanted", 3)
        append_results(warehouse, {**about, "rows": 4, "outcome": outcome}, [result])
    audits = read_newest_audits(warehouse, {"plays": {"f1"}, "tracks": {"f1"}})
    assert [row["attempt_id"] for row in audits["plays"]] == ["new"] and set(audits) == {"plays"}
    assert read_newest_audits(warehouse, {}) == {}


def test_read_newest_audits_takes_what_an_addition_did_not_look_at_from_the_audit_before(tmp_path):
    warehouse = Warehouse(str(tmp_path))
    audits = [
        ("old", "f0-1", {("expect_x", "a"): 9, ("expect_x", "gone"): 1}),
        ("whole", "f1-1", {("expect_x", "a"): 3, ("expect_x", "b"): 4}),
        ("added", "f2-1", {(KEPT_EXPECTATION, None): 0, ("expect_x", "b"): 5, ("expect_x", "c"): 6}),
    ]
    for attempt, batch, counts in audits:
        about = {"run_id": "r", "attempt_id": attempt, "table_name": "plays", "batch_id": batch}
        results = [Result(name, column, "info", True, "", "", n) for (name, column), n in counts.items()]
        append_results(warehouse, {**about, "rows": 4, "outcome": "passed"}, results)
    rows = read_newest_audits(warehouse, {"plays": {"f2"}})["plays"]
    assert {(row["expectation"], row["column"]): row["unexpected_count"] for row in rows} == {
        **audits[1][2],
        **audits[2][2],
    }


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("user_feature", "table 'user_feature' is unknown.*did you mean 'user_features'"),
        (
            "user_features:play_count_7d",
            "column 'play_count_7d' is unknown in table user_features.*'plays_count_7d'",
        ),
        ("user_features:", "column '' is unknown in table user_features"),
        (
            "skips_rate_30d",
            "is a column, not a table. Hint: write user_features:skips_rate_30d or track_features:",
        ),
    ],
)
def test_describe_names_what_is_near_to_a_wrong_name(root, capsys, ref, message):
    with pytest.raises(UsageError, match=message):
        run(describe, capsys, ref, "--root", root)


def test_describe_of_a_feature_prints_what_is_known_of_it(root, capsys):
    text = run(describe, capsys, ":".join(COLUMN), "--root", root)
    facts = dict(line.split("  ", 1) for line in text.splitlines() if "  " in line)
    facts = {name: value.strip() for name, value in facts.items()}
    assert facts["meaning"] == "share of the track that was heard, 1d"
    assert facts["SQL"] == "mean(completion) group by user_id"
    assert facts["parts"] == "exact_completion, count_completion of user_partials"
    assert facts["from plays"].startswith("ms_played, track_ms")
    assert facts["nulls"] == "34 of 114 rows (29.82 %), as last audited, of 2026-01-05 to 2026-01-09"
    assert facts["releases"] == "2026-01-09.1"
    assert "held: 34 of 114 rows are null" in text and "\x1b" not in text


def test_describe_as_json_has_all_columns_and_uses(root, capsys):
    (line,) = run(describe, capsys, "sessions", "--root", root, "--json").splitlines()
    table = json.loads(line)
    assert [each["column"] for each in table["columns"]] == list(CONTRACTS["sessions"].names)
    completion = next(each for each in table["columns"] if each["column"] == "completion")
    assert "user_features:completion_mean_1d" in completion["used_by"] and completion["unit"] == "0..1"
    assert table["published"]["last_day"] == "2026-01-09" and table["made_by"] == "build-sessions"
    pair = json.loads(run(describe, capsys, "user_track_features:plays_count_7d", "--root", root, "--json"))
    assert pair["computation"]["by"] == ["user_id", "track_id"] and pair["releases"] == ["2026-01-09.1"]


def test_tables_lists_all_that_are_declared_with_and_without_a_root(root, tmp_path, capsys):
    names = [*CONTRACTS, *(group.table for group in FEATURE_GROUPS if not group.daily)]
    records = [json.loads(line) for line in run(show_tables, capsys, "--root", root, "--json").splitlines()]
    assert [each["table"] for each in records] == names
    text = run(show_tables, capsys, "--root", root).splitlines()
    assert next(line for line in text if line.startswith("sessions ")).split()[1:3] == ["991", "5"]
    nothing = [
        json.loads(line) for line in run(show_tables, capsys, "--root", str(tmp_path), "--json").splitlines()
    ]
    assert [each["published"] for each in nothing] == [None] * len(names)
    assert "no table is published under" in run(show_tables, capsys, "--root", str(tmp_path))


@pytest.mark.parametrize("command", [show_tables, describe, write_catalogue, export_lineage, show_files])
def test_a_root_that_is_misspelt_is_refused_and_not_shown_as_an_empty_one(command, tmp_path, capsys):
    of_table = ["plays"] if command is describe else []
    with pytest.raises(UsageError, match=r"'.*/nowhere' is not there; give the folder that holds 'tables'"):
        run(command, capsys, *of_table, "--root", str(tmp_path / "nowhere"))
    assert list(tmp_path.iterdir()) == [], "the root that was misspelt was made"


def test_tables_and_lineage_import_neither_spark_nor_great_expectations(root):
    code = (
        "import argparse, sys; from jobs import export_lineage, show_tables\n"
        "for each in (show_tables, export_lineage):\n"
        "    parser = argparse.ArgumentParser(); each.configure(parser)\n"
        "    each.run(parser.parse_args(['--root', sys.argv[1]]))\n"
        "assert not {'pyspark', 'great_expectations'} & set(sys.modules)"
    )
    process = subprocess.run(
        [sys.executable, "-c", code, root], cwd=TOP, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr


def test_features_names_the_columns_that_a_groups_filter_reads(capsys):
    (plays,) = [
        each
        for line in run(list_features, capsys, "artist_features", "--json").splitlines()
        if (each := json.loads(line))["feature"] == "plays_count"
    ]
    assert plays["made of"].split() == ["play_id", "is_bot", "artist_id", "played_at"]
    with pytest.raises(UsageError, match="did you mean 'user_features'"):
        run(list_features, capsys, "user_feature")


def test_nulls_of_what_no_audit_counted_are_unknown(tmp_path):
    assert Inventory(str(tmp_path)).nulls(*COLUMN) is None
    assert Nulls(0, 0, None, None).rows == 0
