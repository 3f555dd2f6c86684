"""A deployment changes bounds in one file; what that file cannot say is refused with what it could mean."""

from __future__ import annotations

import argparse
import json

import pytest

from expectations.gate_settings import GateError, GateSettings, parse_gate
from expectations.suite import Bound, Suite
from expectations.suites import suite_for
from jobs import show_gate
from jobs.errors import WrongUsage
from jobs.job import Job
from jobs.publishing.gate_file import load_gate
from jobs.publishing.warehouse import Warehouse

GATE_FILE = """
[track_embeddings."next.hr_ratio_high"]
low = 0.9
severity = "warning"
[similar_tracks."hubness@10"]
enabled = false
[plays.rejected_share]
high = 0.2
[track_embeddings.lag_days]
high = 14
"""


def find_bound(gate, table, name):
    return {bound.name: bound for bound in gate.bounds_of(table, suite_for(table))}.get(name)


def test_parse_gate_changes_only_the_bounds_in_the_file():
    gate = parse_gate(GATE_FILE, "gate.toml")
    bound = find_bound(gate, "track_embeddings", "next.hr_ratio_high")
    default_bound = find_bound(GateSettings(), "track_embeddings", "next.hr_ratio_high")
    assert (bound.low, bound.severity, bound.reason) == (0.9, "warning", default_bound.reason)
    assert (default_bound.low, default_bound.severity) == (0.95, "critical")
    assert find_bound(gate, "similar_tracks", "hubness@10") is None
    assert find_bound(gate, "plays", "rejected_share").check({"rejected_share": 0.19}).success
    assert find_bound(gate, "plays", "rejected_share.warning").high == 0.02
    assert gate.bounds_of("sessions", suite_for("sessions")) == suite_for("sessions").bounds
    assert (gate.lag_days("track_embeddings", 7), gate.lag_days("plays", 7)) == (14, 7)
    assert (
        find_bound(gate, "track_embeddings", "next.hr_ratio_high") in gate.suite_of("track_embeddings").bounds
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[track_embeding.cosine]\nlow = 1", "got table 'track_embeding'; expected perhaps track_embeddings"),
        ("plays = 3", r"plays = 3; expected a section \[plays\.<bound>\]"),
        ("[plays.rejected_shares]\nhigh = 1", "expected perhaps rejected_share"),
        ("[track_embeddings.next.hr_ratio_high]\nlow = 1", r'got \[track_embeddings."next"\].*in quotes'),
        ("[plays.rejected_share]\nmax = 1", "got max; expected one of low, high, severity, enabled"),
        ("[plays.rejected_share]\nhihg = 1", "got hihg; expected perhaps high"),
        ('[plays.rejected_share]\nhigh = "5 %"', "high = '5 %'; expected a number"),
        ("[plays.rejected_share]\nhigh = true", "high = True; expected a number"),
        ("[plays.rejected_share]\nhigh = nan", "high = nan; expected a number"),
        ('[plays.rejected_share]\nseverity = "fatal"', "'fatal'; expected critical, warning, info"),
        ("[plays.rejected_share]\nenabled = 0", "enabled = 0; expected true or false"),
        ("[plays.rejected_share]\nlow = 0.1", "goes from 0.1 to 0.05; expected low at or below high"),
        ("[plays]\nrejected_share = 0.1", "is 0.1; expected settings such as high = 7"),
        ("[plays.lag_days]\nlow = 1", "got low; expected one of high"),
        ("[plays.duplicate_keys]\nenabled = false", "a matter of integrity, which no deployment can"),
        ("[track_embeddings.z_over_chance]\nlow = 0", "a matter of integrity"),
        ("[track_embeddings.lost_tracks]\nhigh = 9", "a matter of integrity"),
        ("[plays", "gate.toml is no TOML"),
    ],
)
def test_parse_gate_refuses_an_invalid_entry_and_suggests_a_valid_one(text, message):
    with pytest.raises(GateError, match=message):
        parse_gate(text, "gate.toml")


def test_parse_gate_reports_all_errors_at_once():
    with pytest.raises(GateError) as refusal:
        parse_gate("[play.x]\nhigh = 1\n[plays.y]\nhigh = 1", "gate.toml")
    assert len(str(refusal.value).splitlines()) == 3


def test_parse_gate_changes_a_bound_on_a_share_of_rows():
    suite = Suite(
        "plays", (), (Bound("s", "why", high=0.5, share="avg(x)", column="c", share_of="of plays"),)
    )
    (bound,) = parse_gate("[plays.s]\nhigh = 0.7", "gate.toml", lambda _: suite).bounds_of("plays", suite)
    assert bound.limits == "at most 70 % of plays"


def test_job_refuses_to_start_with_an_invalid_gate_file(tmp_path):
    (tmp_path / "gate.toml").write_text("[plays.rejected_shares]\nhigh = 1")
    with pytest.raises(WrongUsage, match=r"gate\.toml cannot be used:\n.*rejected_share") as refusal:
        Job("any", str(tmp_path))
    assert refusal.value.exit_code == 2
    assert "segue gate --root" in str(refusal.value)
    (tmp_path / "gate.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(WrongUsage, match="no UTF-8"):
        load_gate(Warehouse(str(tmp_path)))


def test_show_gate_lists_every_bound_with_its_reason(tmp_path, capsys):
    (tmp_path / "gate.toml").write_text(GATE_FILE)
    assert show_gate.run(argparse.Namespace(tables=[], root=str(tmp_path), json=True)) == 0
    rows = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    row_by_bound = {(row["table"], row["bound"]): row for row in rows}
    assert len(row_by_bound) == len(rows) and all(row["reason"] for row in rows)
    assert {row["owner"] for row in rows} == {"the Segue authors"}
    path = f"{tmp_path}/gate.toml"
    assert row_by_bound["plays", "rejected_share"]["limits"] == "at most 20 % (default: at most 5 %)"
    assert row_by_bound["plays", "rejected_share"]["changed"] == path
    assert row_by_bound["similar_tracks", "hubness@10"]["severity"] == "off"
    assert row_by_bound["track_embeddings", "lag_days"]["limits"] == "at most 14"
    assert {row["changed"] for row in rows} == {"", path}
    assert show_gate.run(argparse.Namespace(tables=[], root=str(tmp_path), json=False)) == 0
    assert "rejected_share.warning" in capsys.readouterr().out
