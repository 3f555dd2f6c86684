"""The page on ranking sets does what it says, and its ranker is better by what the made-up world knows."""

from __future__ import annotations

import json

import numpy as np
from test_tutorial import ROOT, find_blocks, run_python

from reference.laid_impressions import lay_world

PAGE = ROOT / "docs" / "ranking-sets.md"


def test_page_trains_a_ranker_that_beats_popularity_and_the_log(tmp_path, monkeypatch):
    lay_world(tmp_path / "lake")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in find_blocks(PAGE.read_text()):
        if block.language != "python":
            continue
        printed = run_python(block.code, names)
        assert not block.output or printed == block.output, (
            f"{block.code}\nprints\n{printed}\nand the page says\n{block.output}"
        )
    by_taken = names["ndcg_trec"]
    truth = json.loads((tmp_path / "lake" / "truth.json").read_text())
    in_taste = np.array([truth[id_] for id_ in names["test"].rows["impression_id"].to_pylist()])
    by_truth = {name: names["measure"](score, in_taste) for name, score in names["scores"].items()}
    for measured in (by_taken, by_truth):
        rivals = max(measured["popularity"], measured["log"])
        assert measured["lambdarank"] > rivals + 0.02, (
            f"{by_taken} by what was taken, {by_truth} by the truth"
        )
