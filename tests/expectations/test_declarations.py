"""A project expects more of a table, or less, than we do: the batch is held to that, and the report says who says so.

What is said of wrong ones: tests/segue/test_mistakes.py.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest

from expectations.declarations import Change, TableExpectations, expect_rows, load_expectations
from expectations.gate_settings import GateSettings, check_gate
from expectations.project_suites import extend_suite, name_row_expectations
from expectations.suite import Bound, SoftBound
from expectations.suites import suite_for
from expectations.verdict import Refused
from jobs import show_gate
from jobs.job import Job
from jobs.publishing.gate_file import load_gate
from jobs.publishing.warehouse import Warehouse
from jobs.report import write_report
from reference.batches import batch
from reference.frames import frame
from schemas import PLAYS
from schemas.operations import DeclarationError
from segue.project import VARIABLE

TOP = Path(__file__).parents[2]
IMPORTS = "from expectations.declarations import Change, TableExpectations, expect_rows\n"
STRICT = f"""{IMPORTS}
PLAYS = TableExpectations(
    "plays",
    (
        Change("rejected_share", "our files are checked before they are sent", high=0.01),
        expect_rows("ms_played", "ms_played > 3", "over 3 ms", reason="shorter ones are clicks"),
    ),
    owner="the radio team",
)
"""
LAX = f"""{IMPORTS}
PLAYS = TableExpectations("plays", (Change("rejected_share", "a feed of listeners' own files", severity="warning"),))
"""
MEASURES = {"rejected_share": 0.04, "duplicate_share": 0.0}
NEVER = "released_on: expect_rows_to_satisfy: released_on <= current_date() + 366"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with a project, and a file of expectations in it that is taken."""
    (tmp_path / "segue.toml").write_text('name = "radio"\nowner = "the data team"\n')
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    monkeypatch.setenv("SEGUE_EXPECTATIONS", str(tmp_path / "plays.py"))
    return tmp_path


def test_project_refuses_a_batch_that_ours_passes_and_passes_one_that_ours_refuses(spark, project):
    def publish(declared, n, **measures):
        (project / "plays.py").write_text(declared)
        job = Job("ingest-plays", str(project / "root"), "run-1")
        rows = frame(spark, batch(PLAYS), PLAYS)
        return job.publish(
            job.batch("plays", parameters={"n": n}, appends=True), rows, {**MEASURES, **measures}
        )

    with pytest.raises(Refused) as refusal:
        publish(STRICT, 1)
    ours = "one row in twenty that is no play is a feed that broke, or a source file that misreads it"
    assert ours not in str(refusal.value)
    changed = "expected at most 1 % (our files are checked before they are sent; by default at most 5 %, critical; the"
    added = "ms_played: expected over 3 ms (shorter ones are clicks; the radio team, "
    assert changed in str(refusal.value) and added in str(refusal.value), str(refusal.value)
    assert "plays is owned by the data team." in str(refusal.value)
    assert publish(LAX, 3, rejected_share=0.3).rows == 10
    report = Path(write_report(str(project / "root"))).read_text()
    for text in (
        "radio: run-1",
        "the radio team, ",
        "by default at most 5 %, critical",
        "a feed of listeners&#39; own files",
    ):
        assert text in report, text


def test_ours_pass_what_the_strict_project_refuses():
    """The same numbers and rows against our own suite: the bound holds, and there is no condition on clicks."""
    bounds = {bound.name: bound for bound in suite_for("plays").bounds}
    assert bounds["rejected_share"].check(MEASURES).success
    assert not any("ms_played > 3" in name for name in name_row_expectations(suite_for("plays")))


def suite_of(table, *rules):
    return extend_suite(suite_for(table), [TableExpectations(table, rules)])


def test_change_of_a_condition_on_rows_takes_its_severity_and_keeps_the_others():
    before = {name: each.configuration.severity.value for name, each in rows_of(suite_for("tracks"))}
    after = {
        name: each.configuration.severity.value
        for name, each in rows_of(suite_of("tracks", Change(NEVER, "a typing error", severity="critical")))
    }
    assert after == {**before, NEVER: "critical"} and before[NEVER] == "warning"
    gone = dict(rows_of(suite_of("tracks", Change(NEVER, "we announce years ahead", enabled=False))))
    assert gone.keys() == before.keys() - {NEVER}


def rows_of(suite):
    return name_row_expectations(suite).items()


def test_bounds_are_added_changed_and_switched_off():
    share = SoftBound("saved_share", "why", low=0.01, share="avg(cast(saved as double))", column="saved")
    suite = suite_of(
        "plays",
        share,
        Change("saved_share", "why else", low=0.5),
        Change("duplicate_share", "w", enabled=False),
    )
    bounds = {bound.name: bound for bound in suite.bounds}
    assert (bounds["saved_share"].low, bounds["saved_share"].reason) == (0.5, "why else")
    assert "duplicate_share" not in bounds and bounds["rejected_share"].high == 0.05
    with pytest.raises(DeclarationError, match="bound rows is there already"):
        suite_of("plays", Bound("rows", "why", low=5))


def test_files_change_what_the_project_declares_and_segue_toml_is_the_strongest(project):
    (project / "plays.py").write_text(STRICT)
    (project / "gate.toml").write_text(
        "[plays.rejected_share]\nhigh = 0.02\n[plays.duplicate_share]\nhigh = 0.3"
    )
    with (project / "segue.toml").open("a") as file:
        file.write("[gate]\nplays.rejected_share.high = 0.03")
    gate = load_gate(Warehouse(str(project)))
    bounds = {bound.name: bound for bound in gate.suite_of("plays").bounds}
    assert (bounds["rejected_share"].high, bounds["duplicate_share"].high) == (0.03, 0.3)
    assert bounds["rejected_share"].default == "at most 5 %, critical"
    assert gate.path_of("plays", "rejected_share") == str(project / "segue.toml")
    assert gate.path_of("plays", "duplicate_share") == str(project / "gate.toml")
    # a stronger file takes a bound whole: what the weaker one says of it is not mixed in
    weak = check_gate({"plays": {"rejected_share": {"severity": "info"}}}, "weak")
    strong = check_gate({"plays": {"rejected_share": {"high": 0.5}}}, "strong")
    assert weak.override(strong).tables == {"plays": {"rejected_share": {"high": 0.5}}}
    assert GateSettings().override(strong).path_of("plays", "rejected_share") == "strong"


def test_show_gate_names_the_origin_of_what_the_project_adds_and_changes(project, capsys):
    (project / "plays.py").write_text(STRICT)
    arguments = argparse.Namespace(tables=[], root=str(project), json=True)
    assert show_gate.run(arguments) == 0
    rows = {
        row["bound"]: row for row in map(json.loads, capsys.readouterr().out.splitlines()) if row["changed"]
    }
    added = "ms_played: expect_rows_to_satisfy: ms_played > 3"
    assert rows.keys() == {"rejected_share", added}
    assert rows["rejected_share"]["limits"] == "at most 1 % (default: at most 5 %)"
    assert [rows[name]["changed"].rpartition("/")[2] for name in rows] == ["plays.py:6", "plays.py:7"]
    arguments.tables = ["plays"]
    assert show_gate.run(arguments) == 0
    listed = [json.loads(line)["bound"] for line in capsys.readouterr().out.splitlines()]
    assert "user_id: expect_column_values_to_not_be_null" in listed and added in listed
    (project / "plays.py").write_text(LAX)
    assert show_gate.run(arguments) == 0
    rows = {row["bound"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert rows["rejected_share"]["limits"] == "at most 5 % (default: critical)"


def test_expectations_without_an_owner_are_of_the_owner_of_the_table(project):
    (project / "plays.py").write_text(LAX)
    (declared,) = load_gate(Warehouse(str(project))).declared
    assert declared.owner == "the data team" and declared.origin_of(declared.rules[0]).startswith(
        "the data team, "
    )
    assert load_expectations([]) == ()


def test_expectations_are_loaded_without_great_expectations(project):
    (project / "plays.py").write_text(STRICT)
    code = (
        "import sys; from expectations.declarations import load_expectations; print(len(load_expectations())); "
        "print(*[name for name in ('great_expectations', 'pyspark') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=TOP, capture_output=True, text=True, check=False)
    assert ended.stdout.split() == ["1"], ended.stdout + ended.stderr


def test_expect_rows_and_change_are_plain_values():
    assert expect_rows("ms_played", "ms_played > 3", "over 3") == expect_rows(
        "ms_played", "ms_played > 3", "over 3"
    )
    assert Change("rows", "why", low=3).values == {"low": 3}
