"""How many names of one track have one key, and samples to read: `python benchmarks/track_keys.py PLAYLIST`.

PLAYLIST is the file of triple j that deploy/sources/triplej.toml reads. Whether a sample is right is for a person to
say; what was said is in docs/measurements.md.
"""

from __future__ import annotations

import csv
import gzip
import random
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from itertools import combinations
from pathlib import Path

from features.records import split_records
from features.track_keys import make_track_key

SAMPLE, SEED = 60, 1
# Titles that differ by less may be one, spelt in two ways.
ALIKE = 0.85
# Seconds.
APART = 10

Name = tuple[str, str]


def read_plays(path: str) -> Iterator[Mapping[str, str]]:
    text = gzip.decompress(Path(path).read_bytes()).decode("mac_roman")
    lines = (record.replace("\r", " ") for _, record in split_records(text, "\r", '"'))
    return (row for row in csv.DictReader(lines) if row["artist"] and row["trackname"])


def find_alike(keys: Mapping[str, set[Name]]) -> list[tuple[str, str, str]]:
    titles: dict[str, set[str]] = defaultdict(set)
    for key in keys:
        artist, _, title = key.partition(" / ")
        titles[artist].add(title)
    pairs = ((a, *pair) for a, each in titles.items() for pair in combinations(sorted(each), 2))
    return [pair for pair in pairs if SequenceMatcher(None, pair[1], pair[2]).ratio() >= ALIKE]


def count_apart(joined: Mapping[str, set[Name]], seconds: Mapping[Name, list[int]]) -> int:
    """Keys whose names have median durations that differ by more than `APART`."""
    medians = [
        [sorted(seconds[name])[len(seconds[name]) // 2] for name in names if seconds[name]]
        for names in joined.values()
    ]
    return sum(bool(each) and max(each) - min(each) > APART for each in medians)


def main(path: str) -> None:
    written: set[Name] = set()
    keys: dict[str, set[Name]] = defaultdict(set)
    seconds: dict[Name, list[int]] = defaultdict(list)
    plays = 0
    for row in read_plays(path):
        plays += 1
        written.add((row["artist"], row["trackname"]))
        name = (row["artist"].strip().lower(), row["trackname"].strip().lower())
        keys[make_track_key(*name) or ""].add(name)
        if row["seconds"].strip().isdigit():
            seconds[name].append(int(row["seconds"]))
    joined = {key: names for key, names in keys.items() if len(names) > 1}
    alike = find_alike(keys)
    print(f"{plays:,} plays, {len(written):,} names, {sum(map(len, keys.values())):,} without case")
    print(f"{len(keys):,} keys; {len(joined)} join {sum(map(len, joined.values()))} names")
    print(f"{count_apart(joined, seconds)} with durations apart; {len(alike)} pairs of titles alike\n")
    draw = random.Random(SEED)
    for key in draw.sample(sorted(joined), SAMPLE):
        print(f"joined: {key}: {sorted(joined[key])}")
    for pair in draw.sample(alike, SAMPLE):
        print(f"apart: {pair}")


if __name__ == "__main__":
    main(sys.argv[1])
