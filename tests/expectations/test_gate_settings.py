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

CHANGED = """
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


def bound_of(gate, table, name):
    return {bound.name: bound for bound in gate.bounds_of(table, suite_for(table))}.get(name)


def test_a_bound_is_as_the_file_has_it_and_the_others_are_ours():
    gate = parse_gate(CHANGED, "gate.toml")
    changed = bound_of(gate, "track_embeddings", "next.hr_ratio_high")
    ours = bound_of(GateSettings(), "track_embeddings", "next.hr_ratio_high")
    assert (changed.low, changed.severity, changed.reason) == (0.9, "warning", ours.reason)
    assert (ours.low, ours.severity) == (0.95, "critical")
    assert bound_of(gate, "similar_tracks", "hubness@10") is None
    assert bound_of(gate, "plays", "rejected_share").check({"rejected_share": 0.19}).success
    assert bound_of(gate, "plays", "rejected_share.warning").high == 0.02
    assert gate.bounds_of("sessions", suite_for("sessions")) == suite_for("sessions").bounds
    assert (gate.lag_days("track_embeddings", 7), gate.lag_days("plays", 7)) == (14, 7)
    assert (
        bound_of(gate, "track_embeddings", "next.hr_ratio_high") in gate.suite_of("track_embeddings").bounds
    )


@pytest.mark.parametrize(
    ("text", "says"),
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
def test_what_cannot_be_is_refused_with_what_it_could_mean(text, says):
    with pytest.raises(GateError, match=says):
        parse_gate(text, "gate.toml")


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(GateError) as refused:
        parse_gate("[play.x]\nhigh = 1\n[plays.y]\nhigh = 1", "gate.toml")
    assert len(str(refused.value).splitlines()) == 3


def test_a_share_of_rows_can_be_changed_too():
    suite = Suite(
        "plays", (), (Bound("s", "why", high=0.5, share="avg(x)", column="c", share_of="of plays"),)
    )
    (bound,) = parse_gate("[plays.s]\nhigh = 0.7", "gate.toml", lambda _: suite).bounds_of("plays", suite)
    assert bound.limits == "at most 70 % of plays"


def test_a_job_does_not_begin_with_a_file_that_is_wrong(tmp_path):
    (tmp_path / "gate.toml").write_text("[plays.rejected_shares]\nhigh = 1")
    with pytest.raises(WrongUsage, match=r"gate\.toml cannot be used:\n.*rejected_share") as refused:
        Job("any", str(tmp_path))
    assert refused.value.exit_code == 2
    assert "segue gate --root" in str(refused.value)
    (tmp_path / "gate.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(WrongUsage, match="no UTF-8"):
        load_gate(Warehouse(str(tmp_path)))


def test_the_command_lists_every_bound_with_its_reason(tmp_path, capsys):
    (tmp_path / "gate.toml").write_text(CHANGED)
    assert show_gate.run(argparse.Namespace(root=str(tmp_path), json=True)) == 0
    rows = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    found = {(row["table"], row["bound"]): row for row in rows}
    assert len(found) == len(rows) and all(row["reason"] for row in rows)
    path = f"{tmp_path}/gate.toml"
    assert found["plays", "rejected_share"]["limits"] == "at most 20 % (default: at most 5 %)"
    assert found["plays", "rejected_share"]["changed"] == path
    assert found["similar_tracks", "hubness@10"]["severity"] == "off"
    assert found["track_embeddings", "lag_days"]["limits"] == "at most 14"
    assert {row["changed"] for row in rows} == {"", path}
    assert show_gate.run(argparse.Namespace(root=str(tmp_path), json=False)) == 0
    assert "rejected_share.warning" in capsys.readouterr().out
