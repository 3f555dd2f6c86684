"""Events are as the specification of OpenLineage has them, and say of a root what is true of it."""

from __future__ import annotations

import argparse
import json
import sys
import uuid
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from jobs import FLOW, export_lineage
from jobs.catalogue.catalogue import Catalogue
from jobs.catalogue.embedding_lineage import INPUTS
from jobs.catalogue.inventory import Inventory
from jobs.catalogue.lineage import Lineage
from jobs.catalogue.lineage_client import build_event
from jobs.catalogue.open_lineage import Events, name_dataset
from jobs.errors import JobError, WrongUsage
from jobs.publishing.commits import Change, swap
from jobs.publishing.state import read_state
from jobs.publishing.warehouse import Warehouse
from jobs.sources import Source
from reference.golden import unpack
from schemas import CONTRACTS

# What the schemas 2-0-2 of events, and those of facets, require and allow.
REQUIRED = {
    "RunEvent": {"eventTime", "producer", "schemaURL", "run", "job"},
    "JobEvent": {"eventTime", "producer", "schemaURL", "job"},
}
ALLOWED = {"eventType", "inputs", "outputs"}
FACET = {"_producer", "_schemaURL"}
FACETS = {
    "schema": {"fields"},
    "columnLineage": {"fields"},
    "documentation": {"description"},
    "ownership": {"owners"},
    "version": {"datasetVersion"},
}
SUBTYPES = {
    "DIRECT": {"IDENTITY", "TRANSFORMATION", "AGGREGATION"},
    "INDIRECT": {"JOIN", "GROUP_BY", "FILTER", "SORT", "WINDOW", "CONDITIONAL"},
}
SOURCE = Source(name="ours", plays={"ms_played": "seconds * 1000", "user_id": "user_id"})
NOW = datetime(2026, 1, 11, tzinfo=UTC)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden")
    unpack(folder)
    return str(folder / "root")


def list_events(root):
    catalogue = Catalogue(Inventory(str(root)), Lineage(SOURCE))
    # as they are sent
    return [json.loads(json.dumps(event)) for event in Events(catalogue, NOW).list_events()]


@pytest.fixture(scope="module")
def events(root):
    return list_events(root)


def check_event(event):
    kind = event["schemaURL"].removeprefix("https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/")
    assert event.keys() >= REQUIRED[kind] and event.keys() <= REQUIRED[kind] | ALLOWED
    assert datetime.fromisoformat(event["eventTime"]).utcoffset() is not None
    assert event["job"].keys() == {"namespace", "name"} and ":" in event["producer"]
    if kind == "RunEvent":
        assert str(uuid.UUID(event["run"]["runId"])) == event["run"]["runId"]
        assert event["eventType"] == "COMPLETE"
    for dataset in event["inputs"] + event["outputs"]:
        assert dataset.keys() >= {"namespace", "name"}
        for name, facet in dataset.get("facets", {}).items():
            check_facet(name, facet)


def check_facet(name, facet):
    assert facet.keys() == FACETS[name] | FACET
    assert facet["_schemaURL"].startswith("https://openlineage.io/spec/facets/1-")
    if name == "schema":
        assert all(set(field) == {"name", "type", "description"} for field in facet["fields"])
    if name == "columnLineage":
        for field in facet["fields"].values():
            for each in field["inputFields"]:
                assert each.keys() == {"namespace", "name", "field", "transformations"}
                assert all(use["subtype"] in SUBTYPES[use["type"]] for use in each["transformations"])


def test_events_have_what_the_specification_requires(events, tmp_path):
    for event in (*events, *list_events(tmp_path)):
        check_event(event)


def test_there_is_one_event_for_each_step_that_makes_tables(events, root):
    steps = [step for step in FLOW if step.name != "release-tables"]
    assert [event["job"]["name"] for event in events] == [step.name for step in steps]
    for event, step in zip(events, steps, strict=True):
        assert [each["name"] for each in event["outputs"]] == [f"{root}/tables/{name}" for name in step.makes]
        inputs = {each["name"] for each in event["inputs"]}
        assert {f"{root}/tables/{name}" for name in (*step.needs, *step.uses)} <= inputs
    assert {"namespace": "segue.source", "name": "ours"} in events[0]["inputs"]


def test_schema_and_lineage_of_an_output_are_those_of_its_columns(events, root):
    outputs = {
        each["name"].rpartition("/")[2]: each["facets"] for event in events for each in event["outputs"]
    }
    fields = {
        name: {field["name"] for field in facets["schema"]["fields"]} for name, facets in outputs.items()
    }
    assert fields == {name: set(CONTRACTS[name].names) for name in outputs}
    for facets in outputs.values():
        for column in facets.get("columnLineage", {"fields": {}})["fields"].values():
            for each in column["inputFields"]:
                table = each["name"].rpartition("/")[2]
                assert each["field"] in fields.get(table, {"seconds", "user_id"})
    mean = outputs["track_features"]["columnLineage"]["fields"]["completion_mean_7d"]["inputFields"]
    assert {each["field"]: each["transformations"][0]["subtype"] for each in mean} == {
        "completion": "AGGREGATION",
        "is_bot": "FILTER",
        "track_id": "GROUP_BY",
        "played_at": "WINDOW",
    }
    plays = outputs["plays"]["columnLineage"]["fields"]
    uses = {name: plays[name]["inputFields"][0]["transformations"][0]["subtype"] for name in SOURCE.plays}
    assert uses == {"ms_played": "TRANSFORMATION", "user_id": "IDENTITY"}


def test_runs_are_known_by_what_they_published(events, root, tmp_path):
    assert [event["run"] for event in list_events(root)] == [event["run"] for event in events]
    assert len({event["run"]["runId"] for event in events}) == len(events)
    assert max(event["eventTime"] for event in events) < "2026-11-28"
    planned = list_events(tmp_path)
    assert all("run" not in event and event["eventTime"] == "2026-01-11T00:00:00Z" for event in planned)


def commit(root, table, kind, **changes):
    """One without files."""
    opened = Warehouse(root).table(table)
    swap(opened, Change(f"{kind}-1", kind, replace(read_state(opened), **changes)))


def find_run(root, name):
    """Id and time of the run of a step."""
    (event,) = [event for event in list_events(root) if event["job"]["name"] == name]
    return event["run"]["runId"], event["eventTime"]


def test_maintenance_and_erasures_are_no_runs_of_what_made_the_table(tmp_path):
    unpack(tmp_path)
    root, name = str(tmp_path / "root"), "build-sessions"
    before = find_run(root, name)
    for kind in ("compact", "erase", "retract"):
        later = {"published_at": "2026-11-30T00:00:00+00:00"} if kind == "retract" else {}
        commit(root, "sessions", kind, **later)
        assert find_run(root, name) == before, f"{kind} is no run of {name}"


def test_the_time_of_a_run_that_published_older_days_is_its_own(tmp_path):
    unpack(tmp_path)
    root, name = str(tmp_path / "root"), "build-user-features"
    before = find_run(root, name)
    # the newest day is as it was
    commit(root, "user_partials", "publish", published_at="2026-11-30T01:02:03+00:00")
    after = find_run(root, name)
    assert after[0] != before[0], "another run has published"
    assert after[1] == "2026-11-30T01:02:03Z"


def test_datasets_on_object_stores_are_named_by_bucket_and_key():
    assert name_dataset("s3a://lake/a/tables/plays") == {"namespace": "s3://lake", "name": "a/tables/plays"}
    assert name_dataset("gs://lake/tables/plays") == {"namespace": "gs://lake", "name": "tables/plays"}


def test_lineage_writes_one_event_a_line(root, tmp_path, capsys):
    parser = argparse.ArgumentParser()
    export_lineage.configure(parser)
    out = str(tmp_path / "events.json")
    assert export_lineage.run(parser.parse_args(["--root", root, "--out", out])) == 0
    assert capsys.readouterr().out == f"{out}: 12 RunEvents\n"
    with open(out) as file:
        lines = [json.loads(line) for line in file]
    assert export_lineage.run(parser.parse_args(["--root", root])) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == lines


def test_columns_of_embeddings_go_back_to_the_tracks_of_sessions(events):
    outputs = {each["name"].rpartition("/")[2]: each for event in events for each in event["outputs"]}
    for table, columns in INPUTS.items():
        assert columns.keys() <= set(CONTRACTS[table].names)
        lineage = outputs[table]["facets"]["columnLineage"]["fields"]
        # of the others nothing is named: a name of the training, and how neighbours were searched
        others = set(CONTRACTS[table].names) - lineage.keys() - {"available_at"}
        assert others <= {"version_id", "space_id", "search", "level", "code"}, table
    traced = Lineage(SOURCE).trace("candidates", "track_ids")
    assert {
        ("similar_tracks", "neighbours"),
        ("track_embeddings", "out_vector"),
        ("sessions", "track_id"),
    } <= {(each.table, each.column) for each in traced}


# --- by the client of OpenLineage


def drop_empty(value):
    """What the client writes of options that nobody gave."""
    if isinstance(value, dict):
        return {name: drop_empty(each) for name, each in value.items() if each not in (None, [], {})}
    return [drop_empty(each) for each in value] if isinstance(value, list) else value


def drop_versions(value):
    """Of a specification there are newer versions than that of ours, for which it is as good."""
    if isinstance(value, dict):
        return {
            name: each.rpartition("/")[2] if name in ("_schemaURL", "schemaURL") else drop_versions(each)
            for name, each in value.items()
        }
    return [drop_versions(each) for each in value] if isinstance(value, list) else value


def test_events_are_those_that_classes_of_the_client_write(events, tmp_path):
    serde = pytest.importorskip("openlineage.client.serde", reason="segue-platform[lineage] is not installed")
    for event in (*events, *list_events(tmp_path)):
        written = drop_versions(drop_empty(serde.Serde.to_dict(build_event(event))))
        assert written == drop_versions(drop_empty(event))


@contextmanager
def serve(status=200):
    """A lineage server that takes what it is sent, or answers with another status."""
    received = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            received.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()
        server.server_close()


def emit(root):
    parser = argparse.ArgumentParser()
    export_lineage.configure(parser)
    return export_lineage.run(parser.parse_args(["--root", str(root), "--emit"]))


def test_emit_sends_every_event_to_the_configured_server(root, events, monkeypatch, capsys):
    pytest.importorskip("openlineage.client", reason="segue-platform[lineage] is not installed")
    with serve() as (url, received):
        monkeypatch.setenv("OPENLINEAGE_URL", url)
        assert emit(root) == 0
    assert capsys.readouterr().out == "12 RunEvents sent to http\n"
    assert {path for path, _ in received} == {"/api/v1/lineage"}
    assert [event["run"]["runId"] for _, event in received] == [event["run"]["runId"] for event in events]
    with serve(400) as (url, received):
        monkeypatch.setenv("OPENLINEAGE_URL", url)
        with pytest.raises(JobError, match=r"lineage of ingest-plays was not taken by http: .*400"):
            emit(root)


def test_emit_without_a_transport_says_what_to_set(tmp_path, monkeypatch):
    pytest.importorskip("openlineage.client", reason="segue-platform[lineage] is not installed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(WrongUsage, match="no transport of OpenLineage is configured; set OPENLINEAGE_URL"):
        emit(tmp_path)


def test_emit_without_the_client_says_what_to_install(tmp_path, monkeypatch):
    # None is what an import of a module that is not there finds
    monkeypatch.setitem(sys.modules, "openlineage", None)
    monkeypatch.setitem(sys.modules, "openlineage.client", None)
    with pytest.raises(WrongUsage, match=r"pip install 'segue-platform\[lineage\]'"):
        emit(tmp_path)
