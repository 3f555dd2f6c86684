"""What is known of discoveries by their rules, against what proxies find in discoveries that were drawn by them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from features.proxies.evidence import TOGETHER
from features.proxies.proxies import measure_proxies
from features.synthetic.perfect_rewards import compute_perfect_rewards
from features.synthetic.world import World
from reference.discoveries import draw_discoveries

PLAIN = World(discoveries=0.3)
# whole weeks, so that weekdays are drawn as often as their sessions
VARIED = World(discoveries=0.3, background=0.4, weekend=2.0, days=60 + 7 * 10)
SIGNALS = ("completed", "saved", "replayed_1d")
DAYS = (0, 1, 7, 30)


@pytest.fixture(scope="module")
def drawn():
    return VARIED, draw_discoveries(VARIED, 12_000, 1_200)


@pytest.fixture(scope="module")
def found(drawn):
    rows = [{name: value for name, value in row.items() if name != "expected"} for row in drawn[1]]
    table = pa.Table.from_pylist(rows)
    return [
        measure_proxies(table, "sticky_59d", of, days_observed=days, replicates=0).proxies
        for of, days in ((SIGNALS, ()), (("completed", "saved", "trace"), DAYS))
    ]


def test_proxies_rank_three_signals_as_they_were_planted(drawn, found):
    truth = compute_perfect_rewards(drawn[0]).alone
    measured = {each.signal: each.r2.value for each in found[0] if each.signal in SIGNALS}
    ranked = [each.signal for each in found[0] if each.signal in SIGNALS]
    assert ranked == sorted(truth, key=truth.get, reverse=True)
    assert measured == pytest.approx(truth, abs=0.02)


def test_r2_by_days_observed_is_that_of_the_rules(drawn, found):
    truth = compute_perfect_rewards(drawn[0]).by_line
    measured = {each.days: each.r2.value for each in found[1] if each.signal == TOGETHER}
    assert measured == pytest.approx({n: truth[n] for n in DAYS}, abs=0.02)


def test_predictions_are_calibrated(found):
    together = [each for each in found[1] if each.signal == TOGETHER]
    assert [each.slope.value for each in together] == pytest.approx([1] * len(DAYS), abs=0.05)


def test_who_knows_the_rules_explains_what_a_perfect_model_does(drawn):
    world, rows = drawn
    truth = compute_perfect_rewards(world)
    target, expected = (
        np.array([row["sticky_59d"] for row in rows]),
        np.array([row["expected"] for row in rows]),
    )
    errors = ((target[:, None] - expected) ** 2).mean(axis=0)
    assert 1 - errors / target.var() == pytest.approx(truth.known, abs=0.02)
    assert target.mean() == pytest.approx(truth.mean, rel=0.03)


@pytest.mark.parametrize("world", [PLAIN, VARIED], ids=["plain", "varied"])
def test_more_days_tell_more_and_no_line_tells_more_than_the_rules(world):
    truth = compute_perfect_rewards(world)
    assert (np.diff(truth.by_line) > 0).all()
    assert (np.diff(truth.known) > 0).all()
    assert (truth.known >= truth.by_line - 1e-12).all()
    assert truth.known[-1] == pytest.approx(1)
    assert truth.by_line[-1] == pytest.approx(1)


def test_intent_makes_a_completed_play_say_less():
    plain, varied = (compute_perfect_rewards(World(discoveries=0.3, background=b)).alone for b in (0.0, 0.5))
    assert varied["completed"] < plain["completed"] / 2


def test_tracks_of_one_quality_leave_returns_to_chance():
    truth = compute_perfect_rewards(PLAIN, (0.0, 1.0, 0.0))
    assert truth.known[0] == pytest.approx(0, abs=1e-12)
    assert truth.alone["completed"] == pytest.approx(0, abs=1e-12)
