"""Counts of each file add up, whatever its name; rejects are taken in once their source or their file was mended."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

from simulation.laid import LaidStep, _select_new_rows, remove_spark
from simulation.loops import Rows

from jobs import ingest_plays, rejects
from jobs.file_records import list_records
from jobs.inputs import Input
from jobs.publishing.commits import list_file_days
from jobs.publishing.rewrite import Rewrite, rewrite_files
from jobs.publishing.warehouse import Warehouse
from reference.delta_files import read_newest_rows
from reference.published import pass_every_batch
from schemas import CONTRACTS

SOURCE = """
name = "test"
format = "json"
where = "kind = 'song'"
[plays]
play_id = "id"
user_id = "who"
track_id = "what"
played_at = "at"
"""
MENDED = SOURCE.replace('"at"', "\"if(at = 'noon', '2026-10-01T12:00:00Z', at)\"")
# What is to become of the rows of each file. Arrays are read as a whole, the others by line, and each way has a
# spelling of names of its own.
FILES = {
    "a b.jsonl": {
        "events": ["p1", "p2"],
        "duplicates": ["p1"],
        "noon": ["n1"],
        "nobody": ["x1"],
        "other": ["k1"],
    },
    "a%20b.jsonl": {"events": ["p3"], "nobody": ["x2"]},
    "a%20c.json": {"events": ["p4"], "noon": ["n2"]},
    "100% ä #1.json": {"events": ["p5"], "duplicates": ["p5", "p5"], "other": ["k2", "k3"]},
}
COUNTS = ("rows", "new_rows", "duplicate_rows", "late_rows", "rejected_rows", "left_out_rows")


def make_row(id_, what="events"):
    return {
        "id": id_,
        "who": "" if what == "nobody" else "u1",
        "what": "t1",
        "at": "noon" if what == "noon" else "2026-10-01T10:00:00Z",
        "kind": "podcast" if what == "other" else "song",
    }


class Root:
    def __init__(self, folder):
        self.root, self.source, self.landing = (
            str(folder / "root"),
            folder / "source.toml",
            folder / "landing",
        )
        self.landing.mkdir()
        self.source.write_text(SOURCE)
        for name, rows in FILES.items():
            self.write(name, [make_row(id_, what) for what, ids in rows.items() for id_ in ids])

    def write(self, name, rows):
        lines = "\n".join(map(json.dumps, rows)) + "\n"
        (self.landing / name).write_text(lines if name.endswith("l") else json.dumps(rows))

    def ingest(self, *arguments):
        files = ["--source", str(self.source), "--input", str(self.landing)]
        assert ingest_plays.main(["--root", self.root, *files, *arguments]) == 0

    def read(self, table, column):
        return sorted(row[column] for row in read_newest_rows(self.root, table))

    def counts(self):
        newest = {}
        for each in list_records(Warehouse(self.root), "plays"):
            newest.setdefault(Path(each["path"]).name, tuple(each[name] for name in COUNTS))
        return newest


def test_rejects_that_were_taken_out_come_in_again(tmp_path, monkeypatch):
    """A source is mended, so that its row is a reject no more, and put back: files and tables are what they were."""
    remove_spark(monkeypatch)
    monkeypatch.setattr(rejects, "select_rejects", lambda rows, _: rows)
    monkeypatch.setattr(rejects, "_list_days", lambda rows: sorted({row["ds"] for row in rows}))
    monkeypatch.setattr(
        rejects,
        "select_new_rows",
        lambda job, table, key, *others: _select_new_rows(job, table, *key, *others),
    )
    root = str(tmp_path)

    def publish(name):
        job = LaidStep("ingest-plays", root)
        row = {"reject_id": name, "source": "test", "user_id": None, "file": name, "raw": "?"}
        row |= {"reasons": ["no time"], "ds": date(2026, 10, 1)}
        rejects.publish_rejects(job, CONTRACTS["plays"], Rows([row]), [Input("files", name)])
        return sorted(each["reject_id"] for each in read_newest_rows(root, "rejected_plays"))

    assert [*map(publish, ("other", "mended"))] == [["other"], ["mended", "other"]]
    job, contract = LaidStep("ingest-plays", root), CONTRACTS["rejected_plays"]
    table = job.warehouse.create(contract)
    files, is_mended = (
        tuple(path for path, _ in list_file_days(table)),
        lambda row: row["reject_id"] == "mended",
    )
    rewrite_files(job, Rewrite("retract", table, contract.name, files, is_mended))
    assert [each["reject_id"] for each in read_newest_rows(root, contract.name)] == ["other"]
    assert publish("mended") == ["mended", "other"], "the reject passed for published, and is in no table"


def test_each_file_adds_up_and_its_rejects_are_replayed(spark, tmp_path, monkeypatch, capsys):
    pass_every_batch(monkeypatch)
    root = Root(tmp_path)
    root.ingest()
    assert root.counts() == {
        "a b.jsonl": (6, 2, 1, 0, 2, 1),
        "a%20b.jsonl": (2, 1, 0, 0, 1, 0),
        "a%20c.json": (2, 1, 0, 0, 1, 0),
        "100% ä #1.json": (5, 1, 2, 0, 0, 2),
    }
    assert [json.loads(raw)["id"] for raw in root.read("rejected_plays", "raw")] == ["n1", "n2", "x1", "x2"]
    ids = root.read("rejected_plays", "reject_id")
    # the source is mended for two; one file is, and its reject is no row any more; one stays what it is
    root.source.write_text(MENDED)
    root.write("a%20b.jsonl", [make_row("p3"), make_row("p6")])
    capsys.readouterr()
    root.ingest("--replay-rejected")
    printed = capsys.readouterr().out
    assert "rejected_plays: 3 rows are rejects no more, and are taken out" in printed
    assert "files: 4 to read, 0 new, 4 changed" in printed, "by other settings"
    assert [json.loads(raw)["id"] for raw in root.read("rejected_plays", "raw")] == ["x1"]
    assert {*root.read("rejected_plays", "reject_id")} < {*ids}
    assert root.read("plays", "play_id") == ["n1", "n2", "p1", "p2", "p3", "p4", "p5", "p6"]
    assert root.counts()["a b.jsonl"] == (6, 1, 3, 0, 1, 1)
