"""Every declared reward: what it means, how it is computed, and from when on it is known."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from jobs.owners import check_table_names, find_answerable
from schemas import REWARD_TABLES, Rewards
from segue import show

FIELDS = ("reward", "type", "value", "horizon", "discount", "ripe", "meaning", "owner")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = __doc__
    parser.add_argument("--json", action="store_true", help="one JSON object a line, for programs")


def run(args: argparse.Namespace) -> int:
    check_table_names()
    entries = [row for table in REWARD_TABLES for row in reward_entries(table)]
    if args.json:
        # of no rewards there is no line, and an empty one would be no JSON
        if entries:
            print(show.format_json_lines(entries))
        return 0
    if not entries:
        print("no reward is declared; declare Rewards(…) in the project: see schemas/reward_set.py")
        return 0
    print(show.format_table(FIELDS, [[show.format_cell(row[name]) for name in FIELDS] for row in entries]))
    return 0


def reward_entries(declared: Rewards) -> Iterator[dict[str, Any]]:
    """One object per reward, a column of its table."""
    for reward in declared.rewards:
        yield {
            "table": declared.name,
            "reward": reward.name,
            "type": reward.type,
            "value": reward.value,
            "horizon": reward.horizon if reward.days else "",
            "discount": reward.discount,
            "ripe": f"{reward.horizon} after the day of the play, see {reward.status}"
            if reward.days
            else "at once",
            "meaning": reward.meaning,
            "owner": find_answerable(declared.name, reward.owner),
        }
