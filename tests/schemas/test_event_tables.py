"""Event tables and entities of a project's own: what follows from their declarations, and what is refused, where."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from jobs.sources import Source
from reference import own_events
from reference.declared import feature, group
from schemas.contract import Column
from schemas.declarations import FeatureGroup
from schemas.event_tables import SOURCE_SETTINGS, EventTable
from schemas.operations import DeclarationError
from schemas.project_declarations import load_declarations
from schemas.starting_set import STARTING_SET
from schemas.tracks import TRACKS

SEARCHES, GROUPS = own_events.declare()


def write(tmp_path, text):
    path = tmp_path / "a.py"
    path.write_text(own_events.TABLES + "from schemas.declarations import Feature, FeatureGroup\n" + text)
    return path


def load(*paths):
    return load_declarations([str(path) for path in paths], ["plays", "rejected_plays", "sessions", "tracks"])


def test_contract_has_what_every_table_of_events_has():
    contract = SEARCHES.contract
    assert contract.names == (*SEARCHES.fields, "source", "bucket", "available_at", "ds")
    assert (contract.key, contract.entity, contract.event_time) == (("search_id",), "user_id", "searched_at")
    required = [column.name for column in contract.columns if not column.nullable]
    assert required == ["search_id", "user_id", "searched_at", "source", "bucket", "ds"]
    assert contract.personal and contract.by_day and SEARCHES.rejects.personal
    assert contract.constraints["results_range"] == "results is null or results >= 0"
    # an id of a listener in the log would outlive its erasure
    assert contract.statistics == ("bucket", "searched_at")


def test_groups_over_it_take_types_and_lineage_from_its_columns():
    searches = GROUPS["search_features"]
    columns = {column.name: column.type for column in searches.contract().columns}
    assert columns["queries_last_k_7d"] == "array<string>" and columns["results_mean_7d"] == "double"
    (results,) = (each for each in searches.features if each.what == "results")
    assert results.lineage == ("searched_at", "results")
    assert searches.rows_identity == {"source": "searches"}


def test_a_group_is_made_of_those_columns_of_the_catalogue_that_it_names():
    assert GROUPS["album_features"].catalogue_columns == ("title", "album", "genre")
    years = GROUPS["user_year_features"]
    assert years.catalogue_columns == ("released_on",) and years.keys == ("user_id", "release_year")
    assert GROUPS["search_features"].catalogue_columns == ()
    # a play says itself what it is of
    assert group(feature("sum", input="track_ms"), keys=("artist_id",)).catalogue_columns == ()


def test_groups_that_come_with_segue_are_identified_as_before():
    assert all(not (each.rows_identity or each.catalogue_columns) for each in STARTING_SET)
    assert all("row=" not in text for each in STARTING_SET for text in map(repr, each.features))
    identities = [identity for each in STARTING_SET for identity in each.identities.values()]
    assert identities and all("row" not in identity for identity in identities)


EXTENDED = """
from schemas.catalogue_columns import CatalogueColumns
from schemas.contract import Column
from schemas.declarations import Feature, FeatureGroup
from schemas.starting_set import USER_FEATURE_GROUP

GENRES = CatalogueColumns((Column("genre", "string", "as labels say"),))
USER_FEATURE_GROUP = USER_FEATURE_GROUP.extend(Feature("genres", "top_k", "genre", "most played", ("7d",), k=3))
"""


def test_columns_added_to_the_catalogue_are_of_the_table_and_of_every_row(tmp_path):
    (tmp_path / "a.py").write_text(EXTENDED)
    declared = load(tmp_path)
    assert declared.catalogue.names == (*TRACKS.names, "genre")
    (users,) = declared.groups
    assert users.catalogue_columns == ("genre",)
    # also once the files are loaded
    assert users.extend(feature("last", input="genre")).catalogue_columns == ("genre",)
    with pytest.raises(DeclarationError, match="input names genre, which sessions does not have"):
        group(feature("top_k", input="genre"))


def test_declared_tables_can_be_named_by_groups_of_later_files(tmp_path):
    (tmp_path / "a.py").write_text(own_events.TABLES)
    (tmp_path / "b.py").write_text(own_events.GROUPS)
    declared = load(tmp_path)
    assert [table.name for table in declared.event_tables] == ["searches"]
    assert "search_features" in [each.table for each in declared.groups]
    (tmp_path / "a.py").rename(tmp_path / "c.py")
    with pytest.raises(
        DeclarationError, match=r"b.py:\d+: .*'searches' is none of sessions, plays; declare it before"
    ):
        load(tmp_path)


def read_example(place):
    text = (Path(__file__).parents[2] / place).read_text(encoding="utf-8")
    if place.endswith(".md"):
        return next(block for block in text.split("```text\n") if "SEARCHES = EventTable" in block).partition(
            "```"
        )[0]
    # below this line it is as good as when its signs of comments are taken away
    *_, lines = text.partition("events than plays:\n")
    return text + "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines.splitlines())


@pytest.mark.parametrize(
    "place", ["docs/operations.md", "segue/project_template/declarations/features.py.template"]
)
def test_examples_for_users_load(tmp_path, place):
    (tmp_path / "a.py").write_text(read_example(place))
    declared = load(tmp_path)
    assert [table.name for table in declared.event_tables] == ["searches"]
    assert {"search_features", "album_features"} < {each.table for each in declared.groups}


def test_no_event_table_has_the_name_of_a_setting_of_sources():
    assert set(Source.model_fields) - {"plays", "tracks"} == set(SOURCE_SETTINGS)


COUNT = 'Feature("x", "count", "search_id", "m", ("7d",))'
GROUP = "G = FeatureGroup('g_features', ('user_id',), 'm', ({feature},), source={source})"
TABLE = 'T = EventTable("{name}", "m", ({columns}), key="{key}", event_time="{at}")\n' + GROUP.format(
    feature='Feature("x", "count", "track_id", "m", ("7d",))', source="'sessions'"
)
COLUMNS = 'Column("id", "string", ""), Column("user_id", "string", ""), Column("at", "timestamp", ""), '


def over(feature_text, source="'searches'", **options):
    text = GROUP.format(feature=feature_text, source=source)
    return text[:-1] + "".join(f", {name}={value!r}" for name, value in options.items()) + ")"


def table(columns=COLUMNS, name="likes", key="id", at="at"):
    return TABLE.format(columns=columns, name=name, key=key, at=at)


def more(column):
    return (
        "from schemas.catalogue_columns import CatalogueColumns\n"
        + GROUP.format(feature=COUNT, source="SEARCHES")
        + f"\nMORE = CatalogueColumns(({column},))"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        # columns of sessions alone, of plays alone, and of nothing
        (
            over('Feature("x", "rate", "skipped", "m", ("7d",))'),
            "input names skipped, which searches does not have",
        ),
        (
            over(COUNT, where="position = 1"),
            "table g_features: where names position, which searches does not",
        ),
        (
            over('Feature("x", "max", "position", "m", ("7d",))', "'plays'"),
            "input names position, which plays does",
        ),
        (
            over(COUNT, "'serches'"),
            "source 'serches' is none of sessions, plays, searches; declare it before",
        ),
        (
            over('Feature("x", "sum", "query", "m", ("7d",))'),
            "sum takes int or bigint or double, the type of 'query'",
        ),
        # without user_id, values of single searches could not be erased
        (
            over('Feature("x", "top_k", "search_id", "m", ("7d",), k=3)').replace("'user_id'", "'query'"),
            "x_top_k would keep what one listener did",
        ),
        (
            over(COUNT).replace("('user_id',)", "('album',)"),
            "album is no column of searches, so it names no entity",
        ),
        (over(COUNT).replace("('user_id',)", "()"), "keys are empty"),
        (over(COUNT).replace("'user_id'", "'results'"), "key results is int, expected string; derive one"),
        (
            over(COUNT).replace("'user_id'", "'ds'"),
            "ds is a column that tables of features have besides their keys",
        ),
        (over(COUNT, derived_keys={"q": "lower(query"}), "derived key q 'lower.query' is no SQL expression"),
        (over(COUNT, derived_keys={"q": "lower(qery)"}), "q names qery, which searches does not have"),
        (over(COUNT, derived_keys={"q": "lower(query)"}), r"derived key q is none of the keys \(user_id\)"),
        (
            over(COUNT, derived_keys={"user_id": "query"}),
            "derived key user_id is a column of searches already",
        ),
        (
            over(COUNT, derived_keys={"who": "lower(user_id)"}).replace("('user_id',)", "('who',)"),
            "derived key who would name a listener where none can be erased from",
        ),
        (over(COUNT).replace("g_features", "G features"), "table G features: its name 'G features' is none"),
        (table(name="Likes"), "event table Likes: its name 'Likes' is none; use a-z, 0-9 and _"),
        (table(name="format"), "format is a setting of sources"),
        (table(name="plays"), "table plays is one of Segue's own; give it another name"),
        (table(name="searches"), "table searches is declared twice"),
        (table(name="g_features"), "table g_features is declared twice"),
        (table(COLUMNS + 'Column("ds", "date", "")'), "column ds is one that Segue has for itself"),
        (table(COLUMNS + 'Column("file", "string", "")'), "column file is one that Segue has for itself"),
        (table(COLUMNS + 'Column("at", "timestamp", "")'), "column at declared twice"),
        (table(COLUMNS + 'Column("two words", "int", "")'), "its column 'two words' is none"),
        (
            table(COLUMNS + 'Column("x", "map<int,int>", "")'),
            "column x is map<int,int>, expected one of string, int",
        ),
        (table(COLUMNS + 'Column("x", "int", "", check=">= (")'), "check 'x >= .' is no SQL expression"),
        (
            more('Column("album", "string", "")'),
            "columns of the catalogue: column album is one of tracks already",
        ),
        (
            more('Column("mood", "string", "", nullable=False)'),
            "column mood must be nullable: tracks of before have",
        ),
        (more('Column("raw", "string", "")'), "column raw is one that Segue has for itself"),
        (table(key="nope"), r"key nope is no column of it \(id, user_id, at\); say which by key="),
        (table(key="at"), "key at is timestamp, expected string"),
        (table(at="id"), "event_time id is string, expected timestamp"),
        (table(COLUMNS.replace("user_id", "device")), "entity user_id is no column of it"),
        (
            table(COLUMNS).replace('event_time="at"', 'event_time="at", entity="id"'),
            "entity is id, expected user_id: a table with listeners is one that they can be erased from",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(DeclarationError, match=message) as refused:
        load(path)
    first, line = str(refused.value).splitlines()
    assert first == "a mistake in declarations of features"
    assert line.startswith(f"{path}:"), line


def test_a_mistake_of_a_feature_has_the_line_of_the_feature_not_of_its_group(tmp_path):
    text = 'X = Feature("x", "rate", "skipped", "m", ("7d",))\n\n' + GROUP.format(
        feature="X", source="SEARCHES"
    )
    path = write(tmp_path, text)
    line = path.read_text().splitlines().index(text.splitlines()[0]) + 1
    with pytest.raises(DeclarationError, match=f"{path}:{line}: feature x: input names skipped"):
        load(path)


def test_a_table_of_a_group_is_the_same_whichever_way_its_source_is_given(tmp_path):
    by_name = load(write(tmp_path, over(COUNT))).groups[0]
    by_value = load(write(tmp_path, over(COUNT, "SEARCHES"))).groups[0]
    assert by_name.contract() == by_value.contract() and isinstance(by_name.source, EventTable)
    # also once the files are loaded, when no name is known any more
    longer = by_name.extend(feature("max", input="results"))
    assert isinstance(longer, FeatureGroup) and longer.events == SEARCHES.contract


def test_an_event_table_without_listeners_needs_another_entity():
    columns = (Column("id", "string", ""), Column("label", "string", ""), Column("at", "timestamp", ""))
    signings = EventTable("signings", "m", columns, "id", "at", entity="label")
    assert not signings.contract.personal and signings.contract.entity == "label"
    assert replace(signings, name="others").rejects.name == "rejected_others"
