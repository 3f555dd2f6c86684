"""`segue proxies`: what it reads, leaves out, prints and writes; of files and of a released table, without Spark."""

from __future__ import annotations

import argparse
import json
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash
from deltalake import write_deltalake

import segue
from jobs import show_proxies, signal_rows
from jobs.errors import WrongUsage
from jobs.generated_discoveries import read_discoveries
from jobs.signal_rows import SignalRows, find_status
from reference.golden import unpack
from reference.html_pages import Page
from schemas.attributions import AttributionRule, Attributions
from schemas.impression_rewards import ImpressionRewards
from schemas.reward_set import PLAY_REWARDS
from schemas.rewards import Rewards


def make_rewards(listeners=60, each=8, seed=2):
    rng = np.random.default_rng(seed)
    count = listeners * each
    quality = rng.random(count)
    days = rng.binomial(59, quality / 3)
    ripe = np.arange(count) % 6 > 0
    return pa.table(
        {
            "play_id": [f"p{n}" for n in range(count)],
            "user_id": [f"u{n % listeners}" for n in range(count)],
            "surface": np.array(["home", "search"])[np.arange(count) % 2],
            "is_bot": np.arange(count) % 10 == 3,
            "completed": rng.random(count) < 0.5 + quality / 4,
            "replayed_1d": rng.random(count) < quality,
            "sticky_59d": pa.array(1 + days, mask=~ripe),
            "status_60d": np.where(ripe, "ripe", "unripe"),
        }
    )


def run(capsys, *arguments):
    parser = argparse.ArgumentParser()
    show_proxies.configure(parser)
    assert show_proxies.run(parser.parse_args([*map(str, arguments)])) == 0
    return capsys.readouterr().out


@pytest.fixture
def rows(tmp_path):
    pq.write_table(make_rewards(), tmp_path / "rows.parquet")
    return tmp_path / "rows.parquet"


REQUEST = ("--target", "sticky_59d", "--of", "completed", "replayed_1d", "--replicates", "20")


def test_table_has_the_best_signal_first_and_says_what_is_left_out(rows, capsys):
    text = run(capsys, "--rows", rows, *REQUEST, "--segment", "surface")
    table = make_rewards()
    people = table.filter(pa.array(~np.array(table["is_bot"].to_pylist())))
    unripe = people["sticky_59d"].null_count
    lines = text.splitlines()
    assert lines[0].startswith(f"sticky_59d of {len(people) - unripe} rows; AUC is of a target above ")
    assert lines[1] == f"left out: {unripe} (target unripe), {len(table) - len(people)} (bots)"
    assert lines[3].split()[:4] == ["signal", "days", "segment", "rows"]
    cells = [line.split()[:3] for line in lines[4:]]
    assert [each[2] for each in cells] == ["(all)"] * 3 + ["search"] * 3 + ["home"] * 3
    assert cells[0][0] in ("(together)", "replayed_1d")
    assert cells[2][:2] == ["completed", "0"]


def test_json_has_a_line_for_each_signal_day_and_segment(rows, capsys):
    text = run(capsys, "--rows", rows, *REQUEST, "--segment", "surface", "--json")
    lines = [json.loads(line) for line in text.splitlines()]
    assert {(line["signal"], line["days"], line["segment"]) for line in lines} == {
        (signal, days, segment)
        for signal, days in (("completed", 0), ("replayed_1d", 1), ("(together)", 1))
        for segment in (None, "home", "search")
    }
    best = lines[0]
    assert best["r2"]["low"] < best["r2"]["value"] < best["r2"]["high"]
    assert best["target_unknown"] == {"unripe": best["target_unknown"]["unripe"]}
    assert sum(each["rows"] for each in best["bins"]) == best["rows"]


def test_report_is_one_page_with_plots(rows, capsys, tmp_path):
    run(capsys, "--rows", rows, *REQUEST, "--segment", "surface", "--report", tmp_path / "proxies.html")
    text = (tmp_path / "proxies.html").read_text()
    page = Page(text)
    for words in ("R² of a ridge", "Calibration", "days observed", "R² of a ridge: home", "target unripe"):
        assert words in page.text
    # three measures, a calibration, two segments
    assert page.tags.count("svg") == 6


def test_delta_and_parquet_give_the_same(rows, capsys, tmp_path):
    write_deltalake(str(tmp_path / "delta"), make_rewards())
    texts = [run(capsys, "--rows", path, *REQUEST, "--json") for path in (rows, tmp_path / "delta")]
    assert texts[0] == texts[1]


def release(monkeypatch, table):
    """A store with this one table; returns which ones were opened."""
    opened = []

    def open_store(root, release):
        opened.append((root, release))
        scan = lambda name, names: iter(table.select(names).to_batches(100))  # noqa: E731
        return SimpleNamespace(columns=lambda name: table.column_names, scan=scan)

    monkeypatch.setattr(signal_rows.segue, "open", open_store)
    return opened


def test_name_without_a_slash_is_a_released_table(monkeypatch, capsys):
    opened = release(monkeypatch, make_rewards())
    text = run(capsys, "--root", "here", "--release", "2026-11-01.1", *REQUEST)
    assert opened == [("here", "2026-11-01.1")]
    assert "replayed_1d" in text


def test_released_table_is_read_at_the_version_of_the_release(tmp_path, capsys):
    unpack(tmp_path)
    root = tmp_path / "root"
    request = ("--rows", "sessions", "--target", "completion", "--of", "skipped", "--replicates", "1")
    text = run(capsys, "--root", root, *request, "--json")
    table = pa.Table.from_batches(segue.open(str(root)).scan("sessions", ["completion", "skipped", "is_bot"]))
    people = table.filter(pa.array([not bot for bot in table["is_bot"].to_pylist()]))
    line = json.loads(text)
    assert line["target_rows"] == len(people) - people["completion"].null_count
    assert line["bots"] == len(table) - len(people)
    assert line["spearman"]["value"] < -0.5


def test_sample_is_of_listeners_as_training_sets_take_it(rows):
    table, _ = SignalRows("", str(rows)).read(["user_id"], "user_id", 0.3)
    start = xxhash.xxh64_intdigest(b"sample", seed=42)

    def is_sampled(user):
        hashed = xxhash.xxh64_intdigest(user.encode(), seed=start)
        return (hashed if hashed < 2**63 else hashed - 2**64) % 10**9 < 0.3 * 10**9

    people = make_rewards().filter(pa.array(~np.array(make_rewards()["is_bot"].to_pylist())))
    assert table["user_id"].to_pylist() == [
        user for user in people["user_id"].to_pylist() if is_sampled(user)
    ]
    assert 0 < len(table) < len(people)


def test_generated_discoveries_are_shown_beside_what_a_perfect_model_would_know(rows, capsys, tmp_path):
    (tmp_path / "truth" / "discoveries").mkdir(parents=True)
    chosen = [f"p{n}" for n in range(0, 480, 2)]
    (tmp_path / "truth" / "discoveries" / "part.csv").write_text("\n".join(["play_id", *chosen, "gone", ""]))
    known = [n / 59 for n in range(60)]
    (tmp_path / "truth.json").write_text(json.dumps({"perfect_rewards": {"known": known}}))
    text = run(
        capsys, "--rows", rows, *REQUEST, "--generated", tmp_path, "--json", "--report", tmp_path / "a.html"
    )
    lines = [json.loads(line) for line in text.splitlines()]
    assert {line["days"]: line["perfect"] for line in lines} == {0: 0.0, 1: 1 / 59}
    table = make_rewards()
    expected = [
        not bot and sticky is not None and id_ in set(chosen)
        for id_, bot, sticky in zip(
            *(table[name].to_pylist() for name in ("play_id", "is_bot", "sticky_59d")), strict=True
        )
    ]
    assert lines[0]["target_rows"] == sum(expected)
    assert "a perfect reward model" in Page((tmp_path / "a.html").read_text()).text
    assert run(capsys, "--rows", rows, *REQUEST, "--generated", tmp_path).splitlines()[3].endswith("perfect")


def test_ids_of_digits_stay_as_they_are(tmp_path):
    (tmp_path / "truth" / "discoveries").mkdir(parents=True)
    (tmp_path / "truth" / "discoveries" / "part.csv").write_text("play_id,quality\n0012,0.4\n12e4,0.4\n")
    (tmp_path / "truth.json").write_text('{"perfect_rewards": {}}')
    assert read_discoveries(str(tmp_path))[0].to_pylist() == ["0012", "12e4"]


def test_folders_without_discoveries_and_other_targets_are_refused(rows, capsys, tmp_path):
    with pytest.raises(WrongUsage, match="no discoveries are there"):
        run(capsys, "--rows", rows, *REQUEST, "--generated", tmp_path)
    with pytest.raises(WrongUsage, match="the truth is of sticky_59d; got --target replayed_1d"):
        run(capsys, "--rows", rows, "--target", "replayed_1d", "--of", "completed", "--generated", tmp_path)


@pytest.mark.parametrize(
    ("target", "columns", "status"),
    [
        ("sticky_59d", ["status_1d", "status_30d", "status_60d", "status_90d"], "status_60d"),
        ("artist_again_30d", ["status_30d", "status_60d"], "status_30d"),
        ("x__plays_count_next_30d", ["x__status_next_30d", "y__status_next_30d"], "x__status_next_30d"),
        ("saved", ["status_1d"], None),
        ("sticky_59d", ["status_30d", "x__status_next_60d"], None),
    ],
)
def test_status_is_that_of_the_target_s_horizon(target, columns, status):
    assert find_status(target, columns) == status


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "sticky", "--of", "completed"], "has no column sticky; it has play_id, user_id"),
        (["--target", "sticky_59d", "--of", "completed:x"], "'x' are no days"),
        (["--target", "replayed_1d", "--of", "completed:1"], "completed is known no earlier than the target"),
        (["--target", "sticky_59d", "--of", "user_id"], "user_id is of type string; expected numbers"),
    ],
)
def test_wrong_columns_are_one_line(rows, capsys, arguments, message):
    with pytest.raises(WrongUsage, match=message):
        run(capsys, "--rows", rows, *arguments)


def test_files_that_are_none_are_one_line(tmp_path, capsys):
    (tmp_path / "rows.parquet").write_text("no rows")
    for path in (tmp_path / "rows.parquet", tmp_path / "missing"):
        with pytest.raises(WrongUsage, match="cannot be read as Parquet or Delta"):
            run(capsys, "--rows", path, *REQUEST)


@pytest.mark.parametrize(
    "option", [["--days", "-1"], ["--sample", "0"], ["--replicates", "0"], ["--sample", "a"]]
)
def test_wrong_numbers_are_refused(rows, capsys, option):
    with pytest.raises(SystemExit):
        run(capsys, "--rows", rows, *REQUEST, *option)


def test_a_declared_target_is_known_after_its_horizon_and_counted_by_the_status_of_that(monkeypatch, capsys):
    """Its name says neither; ripe rows without a value are those to which it does not apply."""
    table = make_rewards()
    ripe = np.array(table["status_60d"].to_pylist()) == "ripe"
    ms = pa.array(np.arange(len(table)), mask=~ripe)
    table = table.append_column("ms_after", ms).append_column("status_1d", table["status_60d"])
    release(monkeypatch, table)
    monkeypatch.setattr(show_proxies, "REWARD_TABLES", (Rewards(PLAY_REWARDS),))
    text = run(capsys, "--target", "ms_after", "--of", "completed", "--replicates", "1", "--json")
    assert json.loads(text)["target_unknown"].keys() == {"unripe"}
    with pytest.raises(WrongUsage, match="sticky_59d is known no earlier than the target ms_after"):
        run(capsys, "--target", "ms_after", "--of", "completed", "sticky_59d")


def test_rewards_of_an_impression_are_known_once_those_of_the_latest_play_are(monkeypatch):
    rule = AttributionRule("touch", "25h", {"track": "track_id"})
    rewards = Rewards(PLAY_REWARDS)
    monkeypatch.setattr(show_proxies, "REWARD_TABLES", (rewards,))
    monkeypatch.setattr(
        show_proxies, "IMPRESSION_REWARD_TABLES", (ImpressionRewards(rewards, Attributions((rule,))),)
    )
    of = ["plays", "completed", "ms_after", "seen"]
    known = ["plays:2", "completed:2", "ms_after:3", "seen"]
    assert list(show_proxies._add_horizons(of, "impression_rewards")) == known
    columns = ["status_0d", "status_60d"]
    targets = {
        name: show_proxies._find_target(name, "impression_rewards", columns)
        for name in ("plays", "sticky_59d")
    }
    assert targets == {"plays": (2, "status_0d"), "sticky_59d": (62, "status_60d")}


def test_days_on_which_a_perfect_model_knows_all_are_refused(rows, capsys):
    with pytest.raises(WrongUsage, match=r"on day 60 is known no earlier than the target, on day 59"):
        run(capsys, "--rows", rows, *REQUEST, "--days", "1", "60")


def test_a_reward_is_known_after_its_horizon_whatever_its_name_says(monkeypatch):
    monkeypatch.setattr(show_proxies, "REWARD_TABLES", (Rewards(PLAY_REWARDS),))
    of = ["ms_after", "saved", "sticky_59d", "streams:2", "plays_next_3d"]
    known = ["ms_after:1", "saved:0", "sticky_59d:60", "streams:2", "plays_next_3d"]
    assert list(show_proxies._add_horizons(of, "play_rewards")) == known
    assert list(show_proxies._add_horizons(of, "sets/home")) == of
