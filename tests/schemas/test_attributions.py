"""What follows from declared rules of attribution, and what is refused, where."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from jobs import FLOW
from jobs.errors import WrongUsage
from jobs.sources import load_source
from reference.shown import read_example
from schemas import CONTRACTS
from schemas.attributions import ATTRIBUTIONS, AttributionRule, Attributions
from schemas.contract import Column
from schemas.event_tables import EventTable
from schemas.impressions import IMPRESSIONS, has_slates
from schemas.operations import DeclarationError
from schemas.project_declarations import load_declarations

IMPORTS = """
from schemas.attributions import AttributionRule, Attributions
from schemas.contract import Column
from schemas.declarations import Feature, FeatureGroup
from schemas.event_tables import EventTable
from schemas.impressions import IMPRESSIONS
from schemas.play_columns import PlayColumns
from schemas.starting_set import USER_FEATURE_GROUP
"""
RULE = 'AttributionRule("last_touch_1d", "1d")'
# Prints the steps and tables of a process that loads these declarations.
STEPS = """
from expectations.release import REFERENCES
from jobs import FLOW, NIGHTLY, TABLES
(step,) = [step for step in FLOW if step.name == "build-attributions"]
print(step.needs, step.makes, "attributions" in TABLES, sorted(NIGHTLY & {"attributions", "taken_place_features"}))
print([(each.column or each.key, each.child, each.parent) for each in REFERENCES[-3:]])
"""


def load(tmp_path, text):
    (tmp_path / "a.py").write_text(IMPORTS + text)
    return load_declarations([str(tmp_path / "a.py")], ["plays", "sessions"])


def test_the_example_of_the_docs_loads_and_makes_steps(tmp_path):
    declared = load(tmp_path, read_example())
    assert [table.name for table in declared.event_tables] == ["impressions"]
    assert [[rule.name for rule in table.rules] for table in declared.attributions] == [["last_touch_1d"]]
    tables = [group.table for group in declared.groups]
    assert tables[-3:] == ["shown_place_features", "taken_place_features", "shown_listener_features"]
    taken = next(group for group in declared.groups if group.table == "taken_place_features")
    assert taken.events is ATTRIBUTIONS and taken.rows_identity["source"] == "attributions"
    types = {column.name: column.type for column in taken.contract().columns}
    assert types["taken_distinct_30d"] == "bigint" and types["delay_mean_30d"] == "double"
    environment = {"SEGUE_DECLARATIONS": str(tmp_path / "a.py"), "PYTHONPATH": str(Path(__file__).parents[2])}
    printed = subprocess.run(
        [sys.executable, "-c", STEPS], env=environment, check=True, capture_output=True, text=True
    ).stdout
    assert printed.splitlines() == [
        "('impressions', 'sessions') ('attributions',) True ['attributions']",
        "[('item_id', 'impressions', 'tracks'), ('play_id', 'attributions', 'plays'), "
        "('impression_id', 'attributions', 'impressions')]",
    ]


def test_without_declarations_nothing_knows_of_impressions():
    assert not {"impressions", "attributions"} & CONTRACTS.keys()
    assert not [step for step in FLOW if "impressions" in step.name or "attributions" in step.name]


def test_a_section_without_the_declaration_says_what_to_write(tmp_path):
    path = tmp_path / "source.toml"
    path.write_text('name = "cards"\n[impressions]\nuser_id = "who"\n')
    with pytest.raises(WrongUsage, match="write there: from schemas"):
        load_source(str(path))


def test_contract_of_attributions_is_that_of_its_impression_and_its_play():
    columns = {column.name: column for column in ATTRIBUTIONS.columns}
    assert columns["shown_at"] == IMPRESSIONS.contract.column("shown_at")
    assert ATTRIBUTIONS.personal and ATTRIBUTIONS.by_day and not ATTRIBUTIONS.daily
    assert IMPRESSIONS.contract.constraints["propensity_range"] == (
        "propensity is null or propensity > 0 and propensity <= 1"
    )


def test_windows_and_how_far_they_reach():
    lengths = {window: AttributionRule("r", window).length for window in ("30m", "6h", "1d")}
    assert lengths == {"30m": timedelta(minutes=30), "6h": timedelta(hours=6), "1d": timedelta(days=1)}
    assert [AttributionRule("r", window).days_before for window in ("1m", "24h", "1d", "25h", "2d")] == [
        1,
        1,
        1,
        2,
        2,
    ]
    rules = AttributionRule("a", "30m"), AttributionRule("b", "3d")
    assert Attributions(rules).days_before == 3


def test_impressions_with_more_columns_are_impressions():
    longer = replace(IMPRESSIONS, columns=(*IMPRESSIONS.columns, Column("device", "string", "where")))
    assert has_slates(longer) and Attributions((AttributionRule("r", "1d", where="device = 'tv'"),), longer)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "R = AttributionRule('Last touch', '1d')",
            "attribution rule Last touch: its name 'Last touch' is none",
        ),
        ("R = AttributionRule('r', '1 day')", "window is '1 day', expected a number and m, h or d"),
        ("R = AttributionRule('r', '0d')", "window is '0d', expected"),
        ("R = AttributionRule('r', '1d', {})", "items are empty"),
        (
            "R = AttributionRule('r', '1d', {'album': 'album_id'})",
            r"items name album_id, which neither sessions \(.*\) nor tracks \(.*\) has",
        ),
        (
            "R = AttributionRule('r', '1d', {'track': 'ms_played'})",
            r"ms_played, which is bigint, expected string or array<string>",
        ),
        ("A = Attributions(())", "table attributions: has no rule"),
        (f"A = Attributions(({RULE}, {RULE}))", "rule last_touch_1d is declared twice"),
        (
            "A = Attributions((AttributionRule('r', '1d', where='skipped'),))",
            "where of r names skipped, which impressions does not have",
        ),
        (
            f"A = Attributions(({RULE},))\nB = Attributions(({RULE},))",
            "table attributions is declared twice",
        ),
        (
            "from dataclasses import replace\nT = replace(IMPRESSIONS, columns=IMPRESSIONS.columns[:-1])\n"
            f"A = Attributions(({RULE},), T)",
            "impressions are no impressions: they lack release_id",
        ),
        (
            "G = FeatureGroup('g_features', ('user_id',), 'm', "
            "(Feature('x', 'count', 'play_id', 'm', ('7d',)),), source='attributions')",
            "source 'attributions' is none of sessions, plays; declare it before",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(tmp_path, text, message):
    with pytest.raises(DeclarationError, match=message) as refused:
        load(tmp_path, text)
    assert str(refused.value).splitlines()[1].startswith(f"{tmp_path / 'a.py'}:")


def test_items_can_be_columns_that_the_project_adds_to_plays(tmp_path):
    playlists = "P = PlayColumns((Column('playlist', 'string', 'from where'),))\n"
    rule = "AttributionRule('r', '1d', {'playlist': 'playlist'})"
    text = f"{playlists}A = Attributions(({rule},))\nU = USER_FEATURE_GROUP"
    (table,) = load(tmp_path, text).attributions
    assert table.rules[0].items == {"playlist": "playlist"}


def test_items_can_be_columns_of_the_catalogue(tmp_path):
    albums = (
        "from schemas.catalogue_columns import CatalogueColumns\n"
        "C = CatalogueColumns((Column('album_id', 'string', 'its album'),))\n"
    )
    rules = (
        "AttributionRule('r', '1d', {'album': 'album_id', 'track': 'track_id'}), AttributionRule('q', '1d')"
    )
    (table,) = load(tmp_path, f"{albums}A = Attributions(({rules}))\nU = USER_FEATURE_GROUP").attributions
    assert table.catalogue_columns == ("album_id",)
    assert [rule.catalogue_columns for rule in table.rules] == [("album_id",), ()]
    # by the others, days of before are known
    assert [len(rule.identity) for rule in table.rules] == [5, 4]


def test_a_table_of_that_name_with_other_columns_is_any_table_of_events(tmp_path):
    columns = (Column("id", "string", ""), Column("user_id", "string", ""), Column("at", "timestamp", ""))
    assert not has_slates(EventTable("impressions", "m", columns, "id", "at"))
