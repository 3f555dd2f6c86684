"""New events are the same, by whichever way they are found; and as plain loops have it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from features.ingest import BLANKS, _trim
from jobs import known_ids, new_events
from jobs.errors import JobError
from jobs.job import Job
from jobs.publishing.warehouse import Warehouse
from reference.published import lay
from reference.worlds import play
from schemas import CONTRACTS


def make_play(draw: Random) -> dict:
    """Of few ids, so that many meet: given ones on any day, derived ones on their own, with and without durations."""
    day, n, ms = draw.randrange(3), draw.randrange(12), draw.choice([None, 1000, 2000])
    if draw.random() < 0.5:
        id_, former = f"given-{n}", None
    else:
        former = f"derived-{day}-{n}"
        id_ = former if ms is None else f"{former}-{ms}"
    at = datetime(2026, 10, 1, 10, tzinfo=UTC) + timedelta(days=day, seconds=draw.randrange(9))
    values = play(play_id=id_, user_id=f"u{n}", played_at=at, ms_played=ms)
    return {**values, "ds": at.date(), "source": "test", "former_id": former}


def make_row(draw: Random, n: int) -> dict:
    reasons = draw.choice([[], [], [], ["bad"], None])
    # plays of one id and one instant differ in this alone, or not at all
    session = draw.choice([None, f"s{draw.randrange(20)}"])
    return {**make_play(draw), "source_session_id": session, "file": f"f{n % 2}", "reasons": reasons}


def order_values(row: dict) -> list[tuple]:
    """By one column after the other of plays, what has no value first."""
    names = [name for name in CONTRACTS["plays"].names if name in row]
    return [(row[name] is not None, row[name]) for name in [*names, "file"]]


def find_new(rows: list[dict], published: list[dict]) -> list[tuple]:
    first: dict[str, dict] = {}
    for row in sorted(rows, key=order_values):
        if row["reasons"] == []:
            first.setdefault(row["play_id"], row)
    new = []
    for row in first.values():
        is_published = any(
            each["play_id"] == row["play_id"]
            or (
                (row["ms_played"] is not None and each["ms_played"] == row["ms_played"])
                and each["play_id"] == row["former_id"]
            )
            for each in published
        )
        new += [] if is_published else [row]
    return sorted(map(str, map(describe_play, new)))


def describe_play(row) -> tuple:
    # Spark gives instants without a zone
    at = row["played_at"].replace(tzinfo=None)
    return row["play_id"], row["ds"], at, row["ms_played"], row["source_session_id"], row["file"]


def lay_plays(root, plays: list[dict]) -> None:
    lay(
        Warehouse(str(root)), "plays", [{k: v for k, v in each.items() if k != "former_id"} for each in plays]
    )


def make_events(spark, rows: list[dict]):
    contract = CONTRACTS["plays"]
    names = [c.name for c in contract.columns if c.name not in ("bucket", "available_at")]
    types = [f"{name} {contract.column(name).type}" for name in names]
    schema = ", ".join([*types, "former_id string", "file string", "reasons array<string>"])
    extra = ("former_id", "file", "reasons")
    return spark.createDataFrame([tuple(row.get(name) for name in (*names, *extra)) for row in rows], schema)


@pytest.mark.parametrize("publishes", [False, True])
def test_new_events_are_found_alike_by_hashes_and_by_comparing_all(spark, tmp_path, monkeypatch, publishes):
    draw, contract = Random(7), CONTRACTS["plays"]
    published = list({row["play_id"]: row for row in (make_play(draw) for _ in range(12))}.values())
    rows = [make_row(draw, n) for n in range(60)]
    if publishes:
        lay_plays(tmp_path, published)
    events = make_events(spark, rows)
    expected = find_new(rows, published if publishes else [])
    assert 5 < len(expected) < len(rows) / 2
    ways = ((500_000, 2_000_000), (500_000, 0), (0, 0)) if publishes else ((500_000, 2_000_000),)
    for most_hashes, most_ids in ways:
        monkeypatch.setattr(new_events, "MOST_HASHES", most_hashes)
        monkeypatch.setattr(known_ids, "MOST_IDS", most_ids)
        new = new_events.select_new(Job("test", str(tmp_path)), contract, events, "test", "former_id")
        found = sorted(str(describe_play(row)) for row in new.rows.collect())
        assert found == expected, (most_hashes, most_ids)
        assert (new.existing is not None) == publishes
        new.release()


def test_plays_of_some_files_of_several_are_found(spark, tmp_path):
    """Other days have none of them: Spark takes Arrow's empty chunk for the end of the rows."""
    at = datetime(2026, 10, 1, 10, tzinfo=UTC)
    again = [f"p{n}" for n in range(0, 10, 2)]
    # of other days the least and the greatest id of all, or their files would not be opened
    days = {id_: int(id_[1]) for id_ in [*again, *(f"{c}{n}" for n in range(1, 10, 2) for c in "az")]}
    plays = {
        id_: {
            **play(play_id=id_, user_id="u", played_at=at + timedelta(days=n), ms_played=1000),
            "ds": (at + timedelta(days=n)).date(),
            "source": "test",
        }
        for id_, n in days.items()
    }
    lay_plays(tmp_path, list(plays.values()))
    rows = [{**plays[id_], "former_id": None, "file": "f", "reasons": []} for id_ in again]
    events = make_events(spark, rows)
    new = new_events.select_new(Job("test", str(tmp_path)), CONTRACTS["plays"], events, "test", "former_id")
    assert [row["play_id"] for row in new.rows.collect()] == [], "a published play is published again"


def test_an_id_of_another_play_of_another_source_is_refused(spark, tmp_path, monkeypatch):
    """As of two sources that count their plays: their rows would all be duplicates."""
    at = datetime(2026, 10, 1, 10, tzinfo=UTC)

    def make(id_, source, user="u", seconds=0):
        played_at = at + timedelta(seconds=seconds)
        values = play(play_id=id_, user_id=user, played_at=played_at, ms_played=1000)
        return {**values, "ds": at.date(), "source": source}

    lay_plays(tmp_path, [make("1", "a"), make("2", "a"), make("3", "b"), make("4", "a", "v")])

    def select(*rows):
        laid = [{**each, "former_id": None, "file": "f", "reasons": []} for each in rows]
        events, contract = make_events(spark, laid), CONTRACTS["plays"]
        new = new_events.select_new(Job("test", str(tmp_path)), contract, events, "b", "former_id")
        return sorted(row["play_id"] for row in new.rows.collect())

    # the same play by way of another source, a correction by the same one, and a new one
    assert select(make("1", "b"), make("3", "b", "x", 9), make("5", "b")) == ["5"]
    for most_ids in (known_ids.MOST_IDS, 0):
        monkeypatch.setattr(known_ids, "MOST_IDS", most_ids)
        message = r"^2 rows of source b have a play_id .* of source a has, such as 2;"
        with pytest.raises(JobError, match=message):
            select(make("2", "b", seconds=1), make("4", "b", "w"), make("5", "b"))


def test_values_are_trimmed_as_python_strips_them(spark):
    edges = (
        "",
        " ",
        "\t",
        "~",
        "!",
        "\x7f",
        "\u200b",
        "\u00a0",
        "\ufeff",
        "\u2003 \u3000",
        "\u00e9",
        "\U0001f3b5",
    )
    texts = [f"{before}{middle}{after}" for before in edges for middle in ("", "a b") for after in edges]
    frame = spark.createDataFrame([(text,) for text in [*texts, None]], "text string")
    trimmed = [row[0] for row in frame.select(_trim(frame["text"])).collect()]
    assert trimmed == [*(text.strip(BLANKS) or None for text in texts), None]
